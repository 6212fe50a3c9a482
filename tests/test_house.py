"""The walls of the house: who may import whom, how long a file may grow, what the wheel carries."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "roundhouse_mcp"
DOORS = {  # room -> the modules of other rooms it may use
    "providers": set[str](),
    "server": {"providers"},
    "tui": {  # it reads the ledger and the configuration, and edits what the user keeps by hand
        "server.ledger",
        "server.config",
        "server.settings",
        "server.edits",
        "server.home",
        "server.errors",
        "server.budgets",
        "server.bars",
    },
    "testing": {  # other people's tests: it configures a home, starts servers, reads the ledger
        "providers",
        "server.config",
        "server.environment",
        "server.home",
        "server.ledger.driver",
        "server.plainly",
    },
}
EXTRA_DOORS = {  # the commands that show something, each inside its function
    "server/commands/watch.py": {"tui.app", "tui.once", "tui.outlet", "tui.stream"},
    "server/commands/demo.py": {"tui.app"},
    "server/commands/status.py": {"tui.outlet", "tui.statusline"},
    "server/commands/tail.py": {"tui.outlet", "tui.tail"},
}
BANNED = {
    "providers": {"mcp", "textual", "rich"},
    "server": {"textual", "rich"},
    "tui": {"mcp"},
    "testing": {"textual", "rich"},
}
SQLITE = "server/ledger/driver.py"
MAX_LINES = 500
FILES = sorted(path for room in DOORS for path in (ROOT / room).rglob("*.py"))

needs_checkout = pytest.mark.skipif(
    not (ROOT / "server").is_dir(), reason="the rooms are not beside the tests"
)
pytestmark = needs_checkout
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import as (level, dotted name); `from .a import b` is (1, "a.b")."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = f"{node.module}." if node.module else ""
            yield from ((node.level, stem + alias.name) for alias in node.names)


def leaves_room(path: Path) -> set[str]:
    depth = len(path.relative_to(ROOT).parts)
    return {name for level, name in imports(path) if level == depth}


@every_file
def test_a_file_uses_only_the_doors_open_to_its_room(path: Path) -> None:
    relative = path.relative_to(ROOT)
    open_doors = DOORS[relative.parts[0]] | EXTRA_DOORS.get(str(relative), set())

    closed = {
        name
        for name in leaves_room(path)
        if not any(name == door or name.startswith(f"{door}.") for door in open_doors)
    }

    assert closed == set()


@every_file
def test_a_file_never_names_the_package_or_a_room_absolutely(path: Path) -> None:
    named = {name.split(".")[0] for level, name in imports(path) if level == 0}

    assert named & {PACKAGE, *DOORS} == set()


@every_file
def test_a_room_keeps_foreign_libraries_out(path: Path) -> None:
    named = {name.split(".")[0] for level, name in imports(path) if level == 0}

    assert named & BANNED[path.relative_to(ROOT).parts[0]] == set()


@every_file
def test_only_one_file_picks_the_database_driver(path: Path) -> None:
    named = {name.split(".")[0] for level, name in imports(path) if level == 0}

    assert str(path.relative_to(ROOT)) == SQLITE or named & {"sqlite3", "pysqlite3"} == set()


@every_file
def test_a_file_fits_in_one_reading(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("room", DOORS)
def test_a_package_front_door_holds_only_its_docstring(room: str) -> None:
    for path in (ROOT / room).rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body

        assert [type(node) for node in body] == [ast.Expr]


def test_every_package_folder_is_shipped() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {
        path.parent.relative_to(ROOT): ".".join((PACKAGE, *path.parent.relative_to(ROOT).parts))
        for path in FILES
        if path.name == "__init__.py"
    }

    assert set(config["tool"]["setuptools"]["packages"]) == set(folders.values())
    assert config["tool"]["setuptools"]["package-dir"] == {
        name: folder.as_posix() for folder, name in folders.items()
    }


def test_every_folder_with_code_is_a_package() -> None:
    bare = {path.parent for path in FILES if not (path.parent / "__init__.py").exists()}

    assert bare == set()


def test_the_server_starts_without_the_heavy_libraries() -> None:
    heavy = (
        "textual",
        "rich",
        "genai_prices",
        "sqlite_utils",
        "tomlkit",
        "openai",
        "anthropic",
        "botocore",
        f"{PACKAGE}.server.web",
    )
    program = (
        f"import sys; import {PACKAGE}.server.serve; "
        f"print(sorted(set(sys.modules) & set({heavy!r})))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_every_view_of_the_interface_does_without_what_takes_much_memory() -> None:
    views = ", ".join(
        f"{PACKAGE}.tui.{name}"
        for name in ("live", "budgets", "circuits", "providers", "cost", "servers")
    )
    program = (
        f"import sys, {views}; print(sorted(set(sys.modules) & {{'pydantic', 'tomlkit', 'click'}}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"

"""The pages say what the data says: their tables, their commands, their configuration."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from seats import stripped, write_config

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.commands.root import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "choosing.md"]
WRITTEN = [*PAGES, ROOT / "docs" / "programs.md"]  # by hand, at least in part
pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="the pages are not beside the tests"
)
every_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)


def generated(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(root / "docs" / "generate.py")
    return subprocess.run(
        [sys.executable, program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The pages and what makes them, in a folder of their own."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/choosing.md", "docs/generate.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_tables_are_what_the_catalogue_says() -> None:
    if os.environ.get("UPDATE_DOCS"):
        generated(ROOT)

    done = generated(ROOT, "--check")

    assert (done.returncode, done.stdout) == (0, ""), f"{done.stdout}UPDATE_DOCS=1 writes them"


def test_a_table_out_of_date_is_named_and_written_anew(copies: Path) -> None:
    page = copies / "README.md"
    fresh = page.read_text(encoding="utf-8")
    page.write_text(fresh.replace("`OPENAI_API_KEY` | ✓", "`OPENAI_API_KEY` | "), encoding="utf-8")

    checked = generated(copies, "--check")
    generated(copies)

    assert checked.returncode == 1
    assert checked.stdout == "README.md: the table providers is out of date\n"
    assert page.read_text(encoding="utf-8") == fresh


def test_pages_that_are_right_are_left_alone(copies: Path) -> None:
    before = [(copies / page.relative_to(ROOT)).read_text(encoding="utf-8") for page in PAGES]

    done = generated(copies)

    after = [(copies / page.relative_to(ROOT)).read_text(encoding="utf-8") for page in PAGES]
    assert (done.stdout, after) == ("", before)


def test_prices_of_another_table_are_not_held_against_this_one(copies: Path) -> None:
    page = copies / "docs" / "choosing.md"
    text = page.read_text(encoding="utf-8")
    older = re.sub(r"genai-prices [\d.]+,", "genai-prices 0.0.1,", text).replace("$0.", "$9.")
    page.write_text(older, encoding="utf-8")

    checked = generated(copies, "--check")
    generated(copies)

    assert (checked.returncode, checked.stdout) == (0, "")
    assert "genai-prices 0.0.1" not in page.read_text(encoding="utf-8")
    assert generated(copies, "--check").returncode == 0


def test_a_page_without_a_place_for_its_table_is_an_error(copies: Path) -> None:
    page = copies / "README.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<!-- /providers -->", ""), encoding="utf-8")

    done = generated(copies, "--check")

    assert done.returncode == 1
    assert "there is no place for the table providers" in done.stderr


@every_page
def test_every_command_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`roundhouse ([a-z]+)", page.read_text(encoding="utf-8")))

    assert named
    assert named <= {*COMMANDS, "watch"}


def blocks(page: Path) -> list[str]:
    return re.findall(r"^ *```toml\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.S | re.M)


@every_page
def test_every_piece_of_configuration_on_a_page_is_accepted(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page)):
        home = tmp_path / str(number)
        gateway = '[providers.gateway]\nwire = "openai_chat"\nbase_url = "https://gate.example"\n'
        write_config(home, block, gateway if "gateway" in block and "wire" not in block else "")

        environ = {**stripped(), "ROUNDHOUSE_HOME": str(home)}
        result = CliRunner().invoke(command_line(), ["config", "check"], env=environ)

        assert (result.exit_code, block) == (0, block), result.output
    assert blocks(page)

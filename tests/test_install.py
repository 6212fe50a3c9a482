"""`roundhouse install`: what it puts into every client's file, what it leaves alone and refuses."""

import json
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from seats import stripped

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.install import changes, clients, entries, launcher
from roundhouse_mcp.server.install.changes import BACKUP
from roundhouse_mcp.server.install.clients import Client, Machine
from roundhouse_mcp.server.install.launcher import Launcher

GOLDEN = Path(__file__).parent / "install"
PINNED = launcher.published("0.1.0")
CLIENTS = list(clients.rows().values())
Run = Callable[..., Result]

every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on a machine of its own, as if uvx had started it."""
    monkeypatch.setattr(launcher, "here", lambda: Launcher("/opt/uv/uvx", PINNED.args))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(home)

    def go(line: str, typed: str | None = None, **environ: str) -> Result:
        env = {**stripped(), "HOME": str(home), **environ}
        for client in CLIENTS:
            env.setdefault(client.moved.get("variable", "HOME"), "")
        env |= {"XDG_CONFIG_HOME": "", "ROUNDHOUSE_HOME": "", **environ}
        return CliRunner().invoke(command_line(), line.split(), input=typed, env=env)

    return go


def golden(client: Client, when: str) -> bytes:
    suffix = "toml" if client.format == "toml" else "json"
    return (GOLDEN / f"{client.name}.{when}.{suffix}").read_bytes()


def wanted(client: Client, version: str = "0.1.0") -> dict[str, Any]:
    return entries.entry(client, launcher.published(version), {})


def install(client: Client, file: Path, version: str = "0.1.0") -> None:
    changes.installing(client, file, wanted(client, version)).make(private=True)


def uninstall(client: Client, file: Path) -> None:
    changes.removing(client, file).make(private=True)


@every_client
@pytest.mark.parametrize("line", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_client_gets_its_entry_and_keeps_everything_else(
    tmp_path: Path, client: Client, line: bytes
) -> None:
    before, after = (golden(client, when).replace(b"\n", line) for when in ("before", "after"))
    file = tmp_path / "its file"
    file.write_bytes(before)

    install(client, file)
    installed, copy = file.read_bytes(), changes.Change(client, file, "", "").backup.read_bytes()
    again = changes.installing(client, file, wanted(client))
    uninstall(client, file)

    assert installed == after
    assert copy == before
    assert again.nothing
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@every_client
@pytest.mark.parametrize("there", [None, b"", b"\n"])
def test_a_file_that_is_not_there_or_empty_is_made_and_is_again_as_it_was(
    tmp_path: Path, client: Client, there: bytes | None
) -> None:
    file = tmp_path / "folder" / "its file"
    if there is not None:
        file.parent.mkdir()
        file.write_bytes(there)

    install(client, file)
    found = changes.entry_in(client, file, file.read_text())
    mode = stat.S_IMODE(file.stat().st_mode)
    uninstall(client, file)

    assert found == wanted(client)
    assert there is not None or mode == 0o600
    assert (file.read_bytes() if file.exists() else None) == there
    assert [path.name for path in file.parent.iterdir()] == ([] if there is None else [file.name])


@every_client
def test_without_the_copy_only_the_entry_is_cut_out(tmp_path: Path, client: Client) -> None:
    file = tmp_path / "its file"
    file.write_bytes(golden(client, "after"))

    uninstall(client, file)

    copies = [path for path in tmp_path.iterdir() if path.name.endswith(BACKUP)]
    left = file.read_bytes() if file.exists() else None
    before = golden(client, "before")
    if client.name == "claude-code":  # nothing tells an empty table from none
        assert left == before[:-2] + b',\n  "mcpServers": {}\n}'
    else:  # lmstudio's is what we would have made ourselves
        assert left == (None if client.name == "lmstudio" else before)
    assert [copy.read_bytes() for copy in copies] == (
        [golden(client, "after")] if left is not None else []
    )


@every_client
def test_what_the_user_changed_since_stays_when_the_entry_goes(
    tmp_path: Path, client: Client
) -> None:
    file = tmp_path / "its file"
    file.write_bytes(golden(client, "before"))
    install(client, file)
    changed = file.read_text()
    for old, new in (('"Alt+Space"', '"F1"'), ("12", "13"), ("-y", "-n"), ("hosted", "ours")):
        changed = changed.replace(old, new)
    changed = changed.replace('"command": "a"', '"command": "b"') + "\n"
    file.write_text(changed)

    uninstall(client, file)

    assert changes.entry_in(client, file, file.read_text()) is None
    assert file.read_text().endswith("\n")
    assert file.read_bytes() != golden(client, "before")


@every_client
def test_another_version_is_replaced_and_what_the_user_added_to_the_entry_stays(
    tmp_path: Path, client: Client
) -> None:
    file = tmp_path / "its file"
    file.write_bytes(golden(client, "before"))
    install(client, file, "0.0.9")
    old = changes.entry_in(client, file, file.read_text())
    added = "disabled = true\n" if client.format == "toml" else '"disabled": true, "command"'
    text = file.read_text()
    if client.format == "toml":
        file.write_text(text + added)
    else:
        head, _, tail = text.rpartition('"command"')
        file.write_text(head + added + tail)

    install(client, file)

    assert old is not None
    assert entries.state(client, old, wanted(client)) == "version"
    now = changes.entry_in(client, file, file.read_text())
    assert now == {**wanted(client), "disabled": True}
    assert file.with_name(file.name + BACKUP).read_bytes() == golden(client, "before")


def test_a_longer_wait_of_the_users_stays_and_a_shorter_one_is_raised(tmp_path: Path) -> None:
    codex = clients.rows()["codex"]
    file = tmp_path / "config.toml"
    file.write_bytes(golden(codex, "after"))
    text = file.read_text()
    text = text.replace("tool_timeout_sec = 3600", "tool_timeout_sec = 9000 # mine")
    file.write_text(text.replace("startup_timeout_sec = 60", "startup_timeout_sec = 5 # too few"))

    install(codex, file)

    after = file.read_text()
    assert "tool_timeout_sec = 9000 # mine" in after
    assert "startup_timeout_sec = 60 # too few" in after


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = { a = { command = "a" } } # inline\n',
        'mcp_servers.a.command = "a"\n',
        '[mcp_servers]\n# servers\na = { command = "a" }\n\n[tui]\nx = 1\n',
        '[mcp_servers."a"]\ncommand = """\n[mcp_servers.roundhouse]\n"""\n',
        'notify = ["x"]',
    ],
)
def test_however_codex_writes_its_servers_the_others_stay(tmp_path: Path, text: str) -> None:
    codex = clients.rows()["codex"]
    file = tmp_path / "config.toml"
    file.write_text(text)
    before = tomllib.loads(text)

    install(codex, file)
    after = tomllib.loads(file.read_text())
    file.with_name(file.name + BACKUP).unlink()
    uninstall(codex, file)

    assert after["mcp_servers"].pop("roundhouse") == wanted(codex)
    assert after == {"mcp_servers": {}, **before}
    assert tomllib.loads(file.read_text()) == before


def test_comments_behind_codexs_entry_belong_to_what_follows(tmp_path: Path) -> None:
    codex = clients.rows()["codex"]
    file = tmp_path / "config.toml"
    ours = golden(codex, "after").decode().removeprefix(golden(codex, "before").decode())
    rest = '\n# The other one.\n[mcp_servers.b]\ncommand = "b"\n'
    file.write_text(f'model = "m"\n{ours}\n[mcp_servers.roundhouse.env]\nA = "1"\n{rest}')

    uninstall(codex, file)

    assert file.read_text() == f'model = "m"\n{rest}'


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("claude-desktop", '{"mcpServers": {}', "JSON (the end of the file in line 1 is not"),
        ("claude-desktop", '{"mcpServers": {} // mine\n}', "(line 1 has a comment)"),
        ("gemini", '{"mcpServers": {},}', "what stands in line 1 is not expected there"),
        ("cursor", '{"mcpServers": []}', "mcpServers is no table of servers"),
        ("cursor", '["mcpServers"]', "it holds no object"),
        ("cursor", '{"mcpServers": {"roundhouse": 1}}', "mcpServers.roundhouse is no table"),
        ("cursor", '{"mcpServers": {}, "mcpServers": {}}', "it has 'mcpServers' twice"),
        ("vscode", '{"servers": {"roundhouse": {}, "roundhouse": {}}}', "'roundhouse' twice"),
        ("cursor", "[" * 1000, "line 1 is nested too deeply"),
        ("vscode", b'{"a": "\xff"}', "is not text in UTF-8"),
        ("zed", "{'a': 1}", "line 1 has something that is no JSON"),
        ("codex", "mcp_servers = 5", "mcp_servers is no table of servers"),
        ("codex", "mcp_servers = {", "TOML ("),
        ("cursor", '{"mcpServers": {"roundhouse": {"url": "x"}}}', "for a server elsewhere"),
    ],
)
def test_a_file_that_cannot_be_understood_is_left_as_it_is(
    run: Run, home: Path, name: str, content: str | bytes, sentence: str
) -> None:
    content = content if isinstance(content, bytes) else content.encode()
    file = Machine("linux", home, {}).file_of(clients.rows()[name])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)

    result = run(f"install {name} --yes")
    listed = run("install")

    assert result.exit_code == 2
    assert sentence in result.output
    assert str(file) in result.output
    assert len(result.output.splitlines()) == 1
    assert file.read_bytes() == content
    assert list(file.parent.iterdir()) == [file]
    state = "differs" if "elsewhere" in sentence else "broken file"
    assert re.search(rf"^{state} +{name} ", listed.output, re.MULTILINE)


def linked(file: Path) -> None:
    file.with_name("elsewhere").write_text("{}")
    file.symlink_to(file.with_name("elsewhere"))


def locked(file: Path) -> None:
    file.write_text("{}")
    file.chmod(0o444)


def folder_is_a_file(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_text("")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (linked, "is a link; change the file it leads to by hand"),
        (locked, "is read-only"),
        (Path.mkdir, "is no regular file"),
        (folder_is_a_file, "cannot be read (Not a directory)"),
    ],
)
def test_a_file_that_must_not_be_written_is_left_as_it_is(
    run: Run, home: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    file = home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    spoil(file)

    result = run("install cursor --yes")

    assert result.exit_code == 2
    assert f"{file} {sentence}" in result.output
    assert "nothing was changed" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_file_that_changes_while_the_user_thinks_is_left_as_it_is(tmp_path: Path) -> None:
    cursor = clients.rows()["cursor"]
    file = tmp_path / "mcp.json"
    change = changes.installing(cursor, file, wanted(cursor))
    file.write_text("{}")

    with pytest.raises(ConfigError, match="changed meanwhile; nothing was changed"):
        change.make(private=True)

    assert file.read_text() == "{}"


def test_the_change_is_shown_without_anybodys_keys_and_made_once_agreed(
    run: Run, home: Path
) -> None:
    file = home / ".config/Claude/claude_desktop_config.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(golden(clients.rows()["claude-desktop"], "before"))
    file.chmod(0o640)

    refused = run("install claude-desktop", typed="n\n")
    unheard = run("install claude-desktop")
    unchanged = file.read_bytes()
    agreed = run("install claude-desktop", typed="y\n")
    again = run("install claude-desktop")
    gone = run("uninstall claude-desktop --yes")
    nothing = run("uninstall claude-desktop --yes")

    before = golden(clients.rows()["claude-desktop"], "before")
    assert (refused.exit_code, unheard.exit_code, agreed.exit_code) == (2, 2, 0)
    assert "Nothing was changed. Without a question: roundhouse install" in refused.output
    assert unchanged == before
    assert '+      "command": "/opt/uv/uvx",' in agreed.output
    assert "not_ours" not in refused.output + agreed.output + gone.output
    assert f"The file as it was: {file}{BACKUP}" in agreed.output
    assert "has it already" in again.output
    assert "does not have it" in nothing.output
    assert file.read_bytes() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_without_a_client_it_says_who_is_here_and_who_has_it(run: Run, home: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".gemini").mkdir()
    (home / ".claude.json").write_text('{"mcpServers": {"roundhouse": {"command": "mine"}}}')
    run("install gemini --yes")
    cursor = clients.rows()["cursor"]
    install(cursor, home / ".cursor/mcp.json", "0.0.9")

    said = run("install").output

    assert re.search(r"^not there +codex ", said, re.MULTILINE)
    assert re.search(r"^installed +gemini ", said, re.MULTILINE)
    assert re.search(r"^version 0.0.9 +cursor ", said, re.MULTILINE)
    assert re.search(r"^differs +claude-code ", said, re.MULTILINE)
    assert "Not found on this machine: claude-desktop, vscode, zed, windsurf, lmstudio" in said


def test_a_command_of_this_machine_in_a_project_file_is_pointed_out(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "here", lambda: Launcher("/home/u/.local/bin/roundhouse"))

    said = run("install cursor --project --yes").output

    assert '"/home/u/.local/bin/roundhouse"' in (home / ".cursor/mcp.json").read_text()
    assert "For others: uvx roundhouse-mcp install cursor --project" in said


def test_a_project_file_names_no_path_of_this_machine(run: Run, home: Path) -> None:
    result = run("install vscode --project --yes", ROUNDHOUSE_HOME="/somewhere/else")
    own = run("install vscode --yes").output

    entry = json.loads((home / ".vscode/mcp.json").read_text())["servers"]["roundhouse"]
    assert result.exit_code == 0
    assert "not seem to be on this machine" not in result.output
    assert "VS Code does not seem to be on this machine." in own
    assert entry == {
        "command": "uvx",
        "args": ["roundhouse-mcp==0.1.0", "serve", "--client", "vscode"],
        "type": "stdio",
    }


def test_a_client_without_project_files_says_so(run: Run) -> None:
    result = run("install lmstudio --project --yes")

    assert result.exit_code == 2
    assert "LM Studio has no file for one project" in result.output


def test_a_home_of_its_own_is_passed_on_and_no_key_is(run: Run, home: Path) -> None:
    run("install codex --yes", ROUNDHOUSE_HOME="/data/house", OPENAI_API_KEY="sk-canary-0123456789")

    text = (home / ".codex/config.toml").read_text()
    entry = tomllib.loads(text)["mcp_servers"]["roundhouse"]
    assert entry["env"] == {"ROUNDHOUSE_HOME": "/data/house"}
    assert "canary" not in text


@every_client
def test_what_is_printed_for_by_hand_is_the_entry_and_nothing_is_written(
    run: Run, home: Path, client: Client
) -> None:
    said = run(f"install {client.name} --print").output

    first, _, text = said.partition("\n\n")
    assert first == f"In {Machine('linux', home, {}).file_of(client)}:"
    tables = tomllib.loads(text) if client.format == "toml" else json.loads(text)
    assert tables[client.table]["roundhouse"]["args"][-2:] == ["--client", client.label]
    assert list(home.iterdir()) == []

"""Keys that a program gives out: asked once, without a shell, and never seen."""

import sys
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner
from seats import Inside, seated, served, stripped, text_of, write_config
from upstream import answer, upstream

from roundhouse_mcp.server import key_commands
from roundhouse_mcp.server.__main__ import command_line

CANARY = "sk-canary-0123456789abcdef"


def program(folder: Path, text: str) -> Path:
    """A program that notes each start and then does what `text` says."""
    path = folder / "vault.py"
    path.write_text(f"open({str(folder / 'starts')!r}, 'a').write('x')\n{text}\n", encoding="utf-8")
    return path


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text()) if (folder / "starts").exists() else 0


def keyed(url: str, path: Path, more: str = "") -> str:
    words = f"key_command = ['{sys.executable}', '{path}']\n"
    return served("vaulted", url, more=words + more)


async def complete(seat: Inside) -> str:
    with anyio.fail_after(20):
        return text_of(await seat.call("complete", prompt="Hi", model="vaulted/m"))


async def test_the_program_is_asked_once_with_the_first_call_and_its_key_is_sent(
    tmp_path: Path,
) -> None:
    path = program(tmp_path, f"print('{CANARY}')")
    script = answer(f'{{"error": {{"message": "no, {CANARY}"}}}}', status=400)
    async with (
        upstream(script) as service,
        seated(tmp_path / "home", keyed(service.url, path)) as seat,
    ):
        await seat.client.list_tools()
        before = starts(tmp_path)
        said = [await complete(seat) for _ in range(2)]
        write_config(seat.home, keyed(service.url, path, "weight = 2.0\n"))
        said.append(await complete(seat))

    assert (before, starts(tmp_path)) == (0, 1)
    assert [post.headers["authorization"] for post in service.posts] == [f"Bearer {CANARY}"] * 3
    assert CANARY not in "".join(said)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"import sys; print('{CANARY}'); sys.exit(7)", "ended with exit code 7"),
        ("print()", "gave no key: it is empty"),
        (f"print('{CANARY}\\n{CANARY}')", "gave no key: it has characters inside"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "gave no text"),
    ],
)
async def test_a_program_that_fails_is_named_with_its_exit_code_and_nothing_it_said(
    tmp_path: Path, text: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = program(tmp_path, text)
    async with seated(tmp_path / "home", keyed("http://127.0.0.1:9/v1", path)) as seat:
        said = [await complete(seat) for _ in range(2)]

    assert why in said[0]
    assert "providers.vaulted.key_command" in said[0]
    assert starts(tmp_path) == 1, "it is not asked again at once"
    assert CANARY not in "".join((*said, caplog.text))


async def test_a_program_that_failed_is_asked_again_when_the_configuration_changes(
    tmp_path: Path,
) -> None:
    async with upstream(answer("{}", status=400)) as service:
        path = program(tmp_path, "raise SystemExit(1)")
        async with seated(tmp_path / "home", keyed(service.url, path)) as seat:
            await complete(seat)
            program(tmp_path, f"print('{CANARY}')")
            write_config(seat.home, keyed(service.url, path, "weight = 2.0\n"))
            await complete(seat)

    assert service.posts[0].headers["authorization"] == f"Bearer {CANARY}"


async def test_a_private_call_asks_no_program_for_the_key_of_a_cloud(tmp_path: Path) -> None:
    path = program(tmp_path, f"print('{CANARY}')")
    config = f'[providers.openai]\nkey_command = "{sys.executable} {path}"\n'
    async with seated(tmp_path / "home", config) as seat:
        await seat.call("complete", prompt="Hi", privacy="local")

    assert starts(tmp_path) == 0


def test_a_program_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_commands, "TIMEOUT_S", 0.2)

    given = key_commands.ask("openai", [sys.executable, "-c", "import time; time.sleep(60)"], {})

    assert "did not end within 0.2 s" in given.problem


def test_a_program_there_is_not_is_said(tmp_path: Path) -> None:
    given = key_commands.ask("openai", [str(tmp_path / "absent")], {})

    assert "absent could not be started (No such file or directory)" in given.problem


def test_doctor_and_the_list_of_keys_say_where_the_key_comes_from(tmp_path: Path) -> None:
    path = program(tmp_path, f"print('{CANARY}')")
    write_config(tmp_path / "home", keyed("http://127.0.0.1:9/v1", path))
    environ = {**stripped(), "ROUNDHOUSE_HOME": str(tmp_path / "home")}

    listed = CliRunner().invoke(command_line(), ["keys", "list"], env=environ)
    asked_by_the_list = starts(tmp_path)
    doctor = CliRunner().invoke(command_line(), ["doctor"], env=environ)

    assert "key_command" in listed.output
    assert asked_by_the_list == 0
    assert "key from key_command" in doctor.output
    assert CANARY not in listed.output + doctor.output


@pytest.mark.parametrize("written", ['"op read \'x"', '""', "[]", '[""]'])
def test_a_command_that_names_no_program_is_refused_with_its_place(
    tmp_path: Path, written: str
) -> None:
    write_config(tmp_path, f"[providers.openai]\nkey_command = {written}\n")
    environ = {**stripped(), "ROUNDHOUSE_HOME": str(tmp_path)}

    result = CliRunner().invoke(command_line(), ["config", "check"], env=environ)

    assert result.exit_code == 2
    assert "key_command" in result.output

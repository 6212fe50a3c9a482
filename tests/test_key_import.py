"""Keys taken over from other programs: shown by name first, never by value."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from seats import stripped

from roundhouse_mcp.server import keys
from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.home import Home

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def run(home: Home, *words: str, **environ: str) -> Result:
    environment = {**stripped(), "ROUNDHOUSE_HOME": str(home.path), **environ}
    result = CliRunner().invoke(command_line(), ["keys", "import", *words], env=environment)
    assert CANARY not in result.output
    return result


def llm_keys(folder: Path, **found: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "keys.json").write_text(json.dumps({"// Note": "secret", **found}), encoding="utf-8")
    return folder / "keys.json"


def test_the_keys_of_llm_are_shown_by_name_and_written_when_told(
    tmp_path: Path, home: Home
) -> None:
    llm_keys(tmp_path / "llm", openai=CANARY, claude=f"{CANARY}-2", mystery=CANARY, groq="a b")
    user = {"LLM_USER_PATH": str(tmp_path / "llm")}

    shown = run(home, "llm", **user)
    there_before = home.keys.exists()
    written = run(home, "llm", "--yes", **user)

    assert shown.output.splitlines()[:2] == ["+ openai", "+ anthropic"]
    assert "mystery  left out: there is no such provider here" in shown.output
    assert "groq  left out: it has characters inside that no key has" in shown.output
    assert "Nothing was changed; --yes writes them." in shown.output
    assert not there_before
    assert "The keys of openai, anthropic are in" in written.output
    assert keys.read(home.keys) == {"openai": CANARY, "anthropic": f"{CANARY}-2"}
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o600


def test_a_key_that_is_kept_already_stays_unless_it_is_to_be_replaced(
    tmp_path: Path, home: Home
) -> None:
    keys.store(home, "openai", "mine")
    keys.store(home, "groq", CANARY)
    path = str(llm_keys(tmp_path, openai=CANARY, groq=CANARY))

    kept = run(home, "llm", "--from", path, "--yes")
    before = keys.read(home.keys)["openai"]
    replaced = run(home, "llm", "--from", path, "--yes", "--replace")

    assert "openai  another key is kept already; --replace takes this one" in kept.output
    assert "groq  the same key is there" in kept.output
    assert "There is nothing to import." in kept.output
    assert before == "mine"
    assert "~ openai  another key, replaced" in replaced.output
    assert keys.read(home.keys) == {"openai": CANARY, "groq": CANARY}


def test_the_variables_of_pal_are_read_from_a_file_as_they_are_written(
    tmp_path: Path, home: Home
) -> None:
    path = tmp_path / ".env"
    path.write_text(
        f"# keys\nexport GEMINI_API_KEY='{CANARY}'  # mine\n"
        f'OPENROUTER_API_KEY = "{CANARY}"\nXAI_API_KEY={CANARY} # bare\n'
        f"OPENAI_API_KEY=your_openai_api_key_here\nDIAL_API_KEY={CANARY}\n"
        "CUSTOM_API_URL=http://localhost:11434\nAZURE_OPENAI_API_KEY=\nnot a line\n",
        encoding="utf-8",
    )

    result = run(home, "pal", "--from", str(path), "--yes")

    assert "OPENAI_API_KEY  left out: it is a placeholder" in result.output
    assert "DIAL_API_KEY  left out: there is no such provider here" in result.output
    assert keys.read(home.keys) == dict.fromkeys(("gemini", "openrouter", "xai"), CANARY)


def test_the_variables_of_pal_are_read_from_the_environment(home: Home) -> None:
    result = run(home, "pal", "--yes", OPENAI_API_KEY=CANARY, SOME_OTHER_KEY=CANARY)

    assert result.output.splitlines()[0] == "+ openai"
    assert "SOME_OTHER_KEY" not in result.output
    assert keys.read(home.keys) == {"openai": CANARY}


@pytest.mark.parametrize("content", [None, f"{{{CANARY}", "[]", b"\xff\xfe"])
def test_a_file_that_is_none_changes_nothing_and_is_not_quoted(
    tmp_path: Path, home: Home, content: str | bytes | None
) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    result = run(home, "llm", "--from", str(path), "--yes")

    assert result.exit_code == 2
    assert str(path) in result.output
    assert not home.keys.exists()

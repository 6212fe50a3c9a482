"""`roundhouse providers`: what every provider can do, and everything about one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from seats import stripped, write_config

from roundhouse_mcp.providers import catalog, matrix
from roundhouse_mcp.server.__main__ import command_line

CANARY = "sk-canary-0123456789abcdef"
SHIPPED = [row for row in catalog.shipped().values() if not row.by_name_only]
Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    def go(line: str, charset: str = "utf-8", **environ: str) -> Result:
        env = {**stripped(), "ROUNDHOUSE_HOME": str(home), **environ}
        return CliRunner(charset=charset).invoke(command_line(), line.split(), env=env)

    return go


def named(result: Result) -> dict[str, str]:
    """The lines of the table by the provider they begin with."""
    lines = result.output.split("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line for line in lines}


def test_a_line_for_every_provider_says_what_it_can_and_what_it_needs(run: Run, home: Path) -> None:
    write_config(home)

    result = run("providers", OPENAI_API_KEY=CANARY)
    lines = named(result)

    assert {*lines} == {row.name for row in SHIPPED}
    assert lines["openai"].split()[1:] == ["✓"] * 8 + ["·", "yes,", "OPENAI_API_KEY"]
    assert lines["groq"].split()[-2:] == ["needs", "GROQ_API_KEY"]
    assert lines["azure"].split()[-2:] == ["needs", "AZURE_OPENAI_ENDPOINT"]
    assert lines["ollama"].endswith("no, switched off")
    assert CANARY not in result.output


def test_a_key_that_cannot_be_used_is_still_needed(run: Run, home: Path) -> None:
    write_config(home)

    lines = named(run("providers", OPENAI_API_KEY="two words"))

    assert lines["openai"].endswith("needs OPENAI_API_KEY")
    assert "is not used" in run("providers openai", OPENAI_API_KEY="two words").output


def test_what_only_some_models_can_is_said_so() -> None:
    row = catalog.provider(
        "x",
        {
            "wire": "openai_chat",
            "base_url": "https://x.example",
            "capabilities": ["chat"],
            "models": {"big*": {"vision": True}, "*": {"tools": False}},
        },
    )

    said = matrix.cells(row)

    assert (said["chat"], said["vision"], said["tools"]) == ("yes", "some", "no")


def test_no_line_is_wider_than_a_hundred_columns(run: Run, home: Path) -> None:
    long = "a-provider-of-some-length-indeed"
    row = f'like = "openai"\nkey_env = "{"A_VARIABLE" * 9}"\ndefault = "{"model" * 30}"\n'
    write_config(home, f"[providers.{long}]\n{row}")

    for line in ("providers", "providers --plain", f"providers {long}", "providers azure"):
        assert max(map(len, run(line).output.splitlines())) <= 100


@pytest.mark.parametrize(
    ("line", "charset"), [("providers --plain", "utf-8"), ("providers", "latin-1")]
)
def test_a_terminal_without_our_signs_gets_ascii(
    run: Run, home: Path, line: str, charset: str
) -> None:
    write_config(home, '[providers."größe"]\nlike = "openai"')

    result = run(line, charset)

    assert result.output.isascii()
    assert named(result)["gr??e"].split()[1:10] == ["yes"] * 8 + ["-"]


def test_names_from_a_file_cannot_command_the_terminal(run: Run, home: Path) -> None:
    write_config(home, '[providers."a\\u001b[2Jb"]\nlike = "openai"\nmodels = ["m\\u001b[1A"]')

    said = run("providers").output + run("providers a\u001b[2Jb").output

    assert "\u001b" not in said
    assert "[2Jb" in said


def test_one_provider_is_shown_with_its_prices_and_what_is_particular(run: Run, home: Path) -> None:
    write_config(home, '[prices."deepseek/*"]\ninput = "0.5"\noutput = "2"\n')

    said = " ".join(run("providers deepseek", DEEPSEEK_API_KEY=CANARY).output.split())

    assert said.startswith("DeepSeek (deepseek) ")
    assert "https://api.deepseek.com" in said
    assert "$0.5 in, $2 out per million" in said
    assert matrix.QUIRKS["json_object"][:30] in said
    assert "yes, DEEPSEEK_API_KEY" in said
    assert CANARY not in said


@pytest.mark.parametrize("row", SHIPPED, ids=lambda row: row.name)
def test_every_shipped_provider_can_be_shown(run: Run, home: Path, row: catalog.Provider) -> None:
    write_config(home)

    said = run(f"providers {row.name}").output

    assert said.splitlines()[0] == f"{row.title} ({row.name})"
    assert row.docs in said


@pytest.mark.parametrize("line", ["providers openai --json", "providers --json openai"])
def test_a_script_gets_one_provider_as_json(run: Run, home: Path, line: str) -> None:
    write_config(home)

    said = json.loads(run(line, OPENAI_API_KEY=CANARY).output)

    assert said["capabilities"]["fine_tuning"] == "yes"
    assert said["capabilities"]["offline"] == "no"
    assert (said["usable"], said["key"]) == (True, "OPENAI_API_KEY")


def test_a_script_gets_all_of_them_as_json(run: Run, home: Path) -> None:
    write_config(home)

    said = json.loads(run("providers --json").output)

    assert {each["provider"] for each in said} == {row.name for row in SHIPPED}
    openai = next(each for each in said if each["provider"] == "openai")
    assert (openai["usable"], openai["reason"]) == (False, "key_missing")


def test_a_misspelt_provider_is_not_guessed(run: Run, home: Path) -> None:
    write_config(home)

    result = run("providers opnai")

    assert result.exit_code == 2
    assert "Did you mean 'openai'?" in result.stderr

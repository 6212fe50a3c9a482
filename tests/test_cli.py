"""The command line as a user meets it: what it says, what it changes, how it ends."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from seats import QUIET, budget, scripted, stripped, write_config

from roundhouse_mcp.server.__main__ import command_line, is_server
from roundhouse_mcp.server.commands.call import value_of
from roundhouse_mcp.server.commands.root import COMMANDS

CANARY = "sk-canary-0123456789abcdef"
ONE = scripted("one", "text=All%20is%20well.", more='embedding_model = "finder"')
Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    def go(line: str, *more: str, typed: str | None = None, **environ: str) -> Result:
        env = {**stripped(), "ROUNDHOUSE_HOME": str(home), **environ}
        return CliRunner().invoke(command_line(), [*line.split(), *more], input=typed, env=env)

    return go


def config_of(home: Path) -> str:
    return (home / "config.toml").read_text(encoding="utf-8")


def test_help_names_every_command_in_one_line_each(run: Run) -> None:
    said = run("--help").output

    assert all(f"\n  {name} " in said for name in (*COMMANDS, "watch"))


@pytest.mark.parametrize("name", [*COMMANDS, "watch"])
def test_every_command_explains_itself(run: Run, name: str) -> None:
    result = run(f"{name} --help")

    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_doctor_on_a_bare_machine_says_what_would_help_and_fails(run: Run, home: Path) -> None:
    write_config(home)

    result = run("doctor")

    assert result.exit_code == 1
    assert "has no key; set OPENAI_API_KEY, or run: roundhouse keys set openai" in result.output
    assert "Nothing works yet" in result.output


def test_doctor_says_what_works_by_the_keys_name_alone(run: Run, home: Path) -> None:
    write_config(home, ONE, budget("10"))

    result = run("doctor", OPENAI_API_KEY=CANARY)

    assert result.exit_code == 0
    assert "key from OPENAI_API_KEY" in result.output
    assert "global: $10 a total" in result.output
    assert CANARY not in result.output


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("config.toml", "strategy = [", "is not valid TOML"),
        ("keys.toml", "openai = [", "is not valid TOML; remove it and run: roundhouse keys set"),
        (
            "ledger.db",
            "certainly not a database",
            "is not a database; run: roundhouse ledger repair",
        ),
    ],
)
def test_doctor_explains_a_broken_file(
    run: Run, home: Path, file: str, content: str, sentence: str
) -> None:
    write_config(home)
    (home / file).write_text(content, encoding="utf-8")
    (home / file).chmod(0o600)

    result = run("doctor")

    assert result.exit_code == 1
    assert sentence in result.output


class Echo(BaseHTTPRequestHandler):
    """Refuses the key and repeats it, as some services do."""

    status = 401

    def do_GET(self) -> None:
        message = f"Incorrect API key provided: {self.headers['authorization']}"
        body = json.dumps({"error": {"message": message}}).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name it has there)
        """Says nothing."""


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    """The address of a service on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            serving.join()


def test_doctor_asks_on_request_and_never_repeats_a_key(run: Run, home: Path) -> None:
    with answering(Echo) as url:
        write_config(home, f'[providers.openai]\nbase_url = "{url}"')
        unasked = run("doctor", OPENAI_API_KEY=CANARY)
        asked = run("doctor --probe", OPENAI_API_KEY=CANARY)

    assert (unasked.exit_code, asked.exit_code) == (0, 1)
    assert "not asked" in unasked.output
    assert "the provider refuses it: Incorrect API key provided" in asked.output
    assert "run: roundhouse keys set openai" in asked.output
    assert CANARY not in asked.output


class Lost(Echo):
    """Knows no such path."""

    status = 404


def test_doctor_takes_not_every_answer_for_a_list_of_models(run: Run, home: Path) -> None:
    with answering(Lost) as url:
        write_config(home, f'[providers.openai]\nbase_url = "{url}"')
        asked = run("doctor --probe", OPENAI_API_KEY=CANARY)

    assert "it answers, but not as expected: Incorrect API key provided" in asked.output


def test_a_tool_can_be_called_from_here(run: Run, home: Path) -> None:
    write_config(home, ONE)

    spoken = run("call complete", "prompt=How are you?", "max_tokens=50")
    structured = run("call complete --json", "prompt=42")

    assert "All is well." in spoken.output
    assert json.loads(structured.output)["text"] == "All is well."


def test_a_refused_call_says_why_on_stderr_and_fails(run: Run, home: Path) -> None:
    write_config(home, ONE)

    result = run("call complete model=nobody/x prompt=Hi")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "code: not_found" in result.stderr


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("call nope", "there is no tool 'nope'; there are complete, embed"),
        ("call complete prompt", "'prompt' is not of the form KEY=VALUE"),
        ("bogus", "No such command 'bogus'"),
        ("config bogus", "No such command 'bogus'"),
        ("keys set opnai", "did you mean 'openai'?"),
        ("keys remove openai", "holds no key for 'openai' (there: none)"),
        ("providers set opnai priority=1", "There is no provider 'opnai'. Did you mean 'openai'?"),
        ("providers set openai priority", "is not of the form KEY=VALUE"),
        ("providers set openai priority=first", "it must be a whole number, not 'first'"),
        ("providers set openai models=gpt-5 speed=9", "there is no such key here"),
        ("providers add openai --like groq", "use: roundhouse providers set openai"),
        ("providers add box", "give --like PROVIDER, or --wire and --base-url"),
        ("providers add box --wire soap --base-url https://box.example", "no wire 'soap'"),
        ("providers remove groq", "roundhouse providers set groq enabled=false"),
        ("models --provider opnai", "Did you mean 'openai'?"),
        ("config init", "is there already"),
    ],
)
def test_a_mistake_is_one_sentence_status_2_and_changes_nothing(
    run: Run, home: Path, line: str, sentence: str
) -> None:
    write_config(home)
    before = config_of(home)

    result = run(line, typed="a-key")

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert config_of(home) == before
    assert not (home / "keys.toml").exists()


def test_a_key_goes_from_standard_input_into_a_file_for_its_owner_alone(
    run: Run, home: Path
) -> None:
    write_config(home)

    results = [run("keys set openai", typed=f"{CANARY}\n"), run("keys list"), run("doctor")]
    kept = (home / "keys.toml").read_text(encoding="utf-8")
    mode = stat.S_IMODE((home / "keys.toml").stat().st_mode)
    results.append(run("keys remove openai"))

    assert [result.exit_code for result in results] == [0, 0, 0, 0]
    assert "openai               keys.toml" in results[1].output
    assert CANARY in kept
    assert mode == 0o600
    assert all(CANARY not in result.output for result in results)
    assert CANARY not in (home / "keys.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("typed", ["", "\n", "two words", "schlüssel"])
def test_what_is_no_key_is_refused_and_not_repeated(run: Run, home: Path, typed: str) -> None:
    result = run("keys set openai", typed=typed)

    assert result.exit_code == 2
    assert "is not stored" in result.stderr
    assert not home.exists()


def test_a_key_can_be_set_while_the_configuration_is_broken(run: Run, home: Path) -> None:
    write_config(home, "broken = [")

    assert run("keys set openai", typed=CANARY).exit_code == 0


def test_config_init_writes_a_file_that_check_accepts(run: Run, home: Path) -> None:
    path = run("config path").output.strip()
    made = run("config init")
    checked = run("config check")

    assert path == str(home / "config.toml")
    assert (made.exit_code, checked.exit_code) == (0, 0)
    assert stat.S_IMODE((home / "config.toml").stat().st_mode) == 0o600
    assert "is fine" in checked.output


def test_config_show_prints_each_value_with_its_origin_and_no_secret(run: Run, home: Path) -> None:
    row = f'[providers.openai]\napi_key = "${{MY_KEY}}"\nheaders = {{ X-Team = "{CANARY}" }}\n'
    write_config(home, '[routing.tasks]\ncode = "openai/gpt-5"', row, budget("2.50"))

    result = run("config show", MY_KEY=CANARY, ROUNDHOUSE_ROUTING__STRATEGY="cheapest")

    pairs = [line.split("#", 1) for line in result.output.splitlines()]
    origins = {value.strip(): origin.strip() for value, origin in pairs}
    in_file = [value for value, origin in origins.items() if origin.startswith("config.toml line ")]
    assert origins['routing.strategy = "cheapest"'] == "ROUNDHOUSE_ROUTING__STRATEGY"
    assert [value for value in in_file if ".enabled" not in value] == [
        'routing.tasks.code.models = ["openai/gpt-5"]',
        'providers.openai.api_key = "${MY_KEY}"',
        "providers.openai.headers.X-Team = (not shown)",
        'budgets[0].scope = "global"',
        'budgets[0].period = "total"',
        'budgets[0].limit_usd = "2.50"',
    ]
    assert CANARY not in result.output


def test_config_show_all_adds_the_defaults(run: Run) -> None:
    assert "Everything is at its default" in run("config show").output
    assert "limits.timeout_s = 50.0" in run("config show --all").output


def test_editing_a_provider_keeps_every_comment(run: Run, home: Path) -> None:
    commented = "# mine\n[providers.openai] # first\npriority = 1 # for now\n# the end\n"
    write_config(home, commented)

    run("providers set openai models=gpt-5,gpt-5-mini defaults.max_tokens=99 enabled=false")
    changed = config_of(home)
    run("providers set openai models= defaults.max_tokens= defaults= enabled=")

    assert "models = [" in changed
    assert "max_tokens = 99" in changed
    assert "enabled = false" in changed
    for text in (changed, config_of(home)):
        assert all(
            each in text for each in ("# mine", "# first", "priority = 1 # for now", "# the")
        )
    assert config_of(home).count("=") == (QUIET + commented).count("=")


def test_a_provider_is_added_used_and_removed(run: Run, home: Path) -> None:
    write_config(home)
    before = config_of(home)

    added = run("providers add work --like openai --model gpt-5")
    listed = run("providers list", WORK_API_KEY=CANARY)
    models = run("models --provider work", WORK_API_KEY=CANARY)
    run("providers remove work")

    assert "Its key: roundhouse keys set work" in added.output
    assert "work           key from WORK_API_KEY; gpt-5" in listed.output
    assert models.output.startswith("work/gpt-5 ")
    assert config_of(home).strip() == before.strip()
    assert CANARY not in listed.output + models.output


def test_models_shows_prices_and_what_each_can_do(run: Run, home: Path) -> None:
    write_config(home, '[providers.openai]\nmodels = ["gpt-4o", "gpt-new"]')

    lines = run("models", OPENAI_API_KEY=CANARY).output.splitlines()

    assert "$2.5 in, $10 out" in lines[0]
    assert "vision, tools" in lines[0]
    assert "price unknown" in lines[1]


def test_cost_says_what_was_spent(run: Run, home: Path) -> None:
    write_config(home, ONE)
    run("call complete prompt=Hi")

    said = run("cost --by provider --json")
    plain = run("cost")

    assert json.loads(said.output)["totals"]["calls"] == 1
    assert "one m" in plain.output
    assert "1 calls" in plain.output


def test_a_broken_configuration_stops_every_command_that_needs_it(run: Run, home: Path) -> None:
    write_config(home, "[routing]\nstrategy = 5")

    for line in ("providers", "models", "cost", "config show", "config check", "call complete"):
        result = run(line)

        assert (line, result.exit_code) == (line, 2)
        assert "routing.strategy: it must be text in quotes, not 5" in result.stderr


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("42", {"type": "string"}, "42"),
        ("42", {"type": "integer"}, 42),
        ("local", {"enum": ["any", "local"], "type": "string"}, "local"),
        ('["a"]', {"type": "array"}, ["a"]),
        ("a, b", {"type": "array"}, "a, b"),
        ("true", {"anyOf": [{"type": "boolean"}, {"type": "string"}]}, True),
        ("x", {}, "x"),
    ],
)
def test_values_are_json_where_the_argument_takes_more_than_text(
    text: str, schema: dict[str, Any], value: object
) -> None:
    assert value_of(text, schema) == value


@pytest.mark.parametrize(
    ("arguments", "on_terminal", "serves"),
    [
        ([], False, True),
        ([], True, False),
        (["serve"], True, True),
        (["serve", "--client", "cursor"], False, True),
        (["serve", "--help"], False, False),
        (["serve", "--client", ""], False, False),
        (["doctor"], False, False),
    ],
)
def test_the_plain_ways_to_serve_skip_the_command_line(
    arguments: list[str], on_terminal: bool, serves: bool
) -> None:
    assert is_server(arguments, on_terminal=on_terminal) is serves


def process(home: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "SYSTEMROOT")}
    return subprocess.run(
        [sys.executable, "-m", "roundhouse_mcp.server", *arguments],
        env={**kept, "ROUNDHOUSE_HOME": str(home), **environ},
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [[], ["serve"], ["serve", "--client=cursor"], ["models"]])
def test_a_mistake_in_the_configuration_ends_the_process_with_one_line_and_status_2(
    home: Path, arguments: list[str]
) -> None:
    write_config(home, f'[providers.openai]\napi_key = "{CANARY}"')

    ended = process(home, *arguments)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert "providers.openai.api_key: it must be a whole ${VARIABLE}" in ended.stderr
    assert CANARY not in ended.stderr


def test_a_home_that_cannot_be_made_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ended = process(tmp_path / "file" / "home", "config", "init")

    assert ended.returncode == 2
    assert "name a directory you can write to in ROUNDHOUSE_HOME" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1

"""The configuration: what is understood, and how every mistake is explained."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse_mcp.server import config
from roundhouse_mcp.server.commands.config import TEMPLATE
from roundhouse_mcp.server.config import Loaded, load, understood
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.settings import Settings

CANARY = "sk-canary-0123456789abcdef"
FILE = Path("config.toml")


def read(text: str, **environ: str) -> Loaded:
    return understood(text, FILE, environ)


def mistake(text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return str(caught.value)


def written(tmp_path: Path, text: str) -> Home:
    home = Home(tmp_path)
    home.config.write_text(text, encoding="utf-8")
    home.config.chmod(0o600)
    return home


def test_no_file_and_no_variables_mean_defaults(tmp_path: Path) -> None:
    loaded = load(Home(tmp_path / "nowhere"), {})

    assert loaded.settings == Settings()
    assert loaded.origins == {}
    assert not (tmp_path / "nowhere").exists()


def test_the_file_that_init_writes_says_nothing_new() -> None:
    assert read(TEMPLATE).settings == Settings()


def test_every_line_that_init_leaves_commented_out_is_valid() -> None:
    lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines()]
    keys = [line for line in lines if line.startswith("[") or " = " in line.split("#")[0]]

    settings = read("\n".join(line for line in keys if "ROUNDHOUSE_" not in line)).settings

    assert settings.routing.tasks["code"].models[0] == "anthropic/claude-sonnet-4-5"
    assert settings.budgets[0].limit_usd == 10
    assert settings.network.trusted_hosts == ("gpu-box",)


def test_money_is_read_as_decimals() -> None:
    loaded = read('[[budgets]]\nscope = "global"\nlimit_usd = 0.1\n[prices."a/b"]\ninput = "0.30"')

    assert loaded.settings.budgets[0].limit_usd == Decimal("0.1")
    assert loaded.settings.prices["a/b"].input == Decimal("0.30")


@pytest.mark.parametrize(
    ("written", "models"),
    [
        ('"openai/gpt-5"', ("openai/gpt-5",)),
        ('["openai:gpt-5", "llama3.1:8b"]', ("openai:gpt-5", "llama3.1:8b")),
        ('{ models = ["gpt-5"] }', ("gpt-5",)),
    ],
)
def test_a_task_may_be_its_models_alone(written: str, models: tuple[str, ...]) -> None:
    loaded = read(f"[routing.tasks]\ncode = {written}")

    assert loaded.settings.routing.tasks["code"].models == models


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/${SECRET_PATH}/v1", "/deep/v1"),
        ("/${MISSING:-v2}", "/v2"),
        ("/$${SECRET_PATH}", "/${SECRET_PATH}"),
        ("/${not a name}", "/${not a name}"),
    ],
)
def test_variables_are_filled_in_anywhere_in_a_string(text: str, path: str) -> None:
    loaded = read(f'[providers.openai]\npath = "{text}"', SECRET_PATH="deep")

    assert loaded.settings.providers["openai"].path == path


def test_a_key_stays_a_reference_and_never_enters_the_settings() -> None:
    loaded = read('[providers.openai]\napi_key = "${MY_KEY}"', MY_KEY=CANARY)
    from_environment = read("", ROUNDHOUSE_PROVIDERS__OPENAI__API_KEY=CANARY)

    assert loaded.settings.providers["openai"].api_key == "${MY_KEY}"
    assert CANARY not in repr((loaded, from_environment))


@pytest.mark.parametrize("value", [f'"{CANARY}"', f'"x${{A}}{CANARY}"', "123", f'["{CANARY}"]'])
def test_a_key_in_the_file_is_refused_without_being_quoted(value: str) -> None:
    said = mistake(f"[providers.openai]\n\napi_key = {value}")

    assert said == (
        "config.toml line 3: providers.openai.api_key: it must be a whole ${VARIABLE}, keys are "
        "not kept in this file; remove the line and run: roundhouse keys set openai."
    )


def test_the_environment_overrides_the_file() -> None:
    text = '[routing]\nstrategy = "priority"\n[providers.my-vllm]\nlike = "openai"\n'

    loaded = read(
        text,
        ROUNDHOUSE_ROUTING__STRATEGY="local_first",
        ROUNDHOUSE_ROUTING__CHAIN="ollama, openai,my-vllm",
        ROUNDHOUSE_ROUTING__TASKS__CODE="openai/gpt-5",
        ROUNDHOUSE_PROVIDERS__MY_VLLM__PRIORITY="3",
        ROUNDHOUSE_PROVIDERS__MY_VLLM__ENABLED="false",
        ROUNDHOUSE_PROVIDERS__ANTHROPIC__DEFAULTS__MAX_TOKENS="99",
        ROUNDHOUSE_LIMITS__TIMEOUT_S="7.5",
        ROUNDHOUSE_TIMEZONE="Europe/Berlin",
        ROUNDHOUSE_HOME="/not/a/setting",
    )

    said = loaded.settings
    assert said.routing.strategy == "local_first"
    assert said.routing.chain == ("ollama", "openai", "my-vllm")
    assert said.routing.tasks["code"].models == ("openai/gpt-5",)
    assert (said.providers["my-vllm"].priority, said.providers["my-vllm"].enabled) == (3, False)
    assert said.providers["anthropic"].defaults.max_tokens == 99
    assert (said.limits.timeout_s, said.timezone) == (7.5, "Europe/Berlin")


def test_every_set_key_knows_where_it_came_from() -> None:
    loaded = read(
        'timezone = "UTC"\n[providers.openai]\npriority = 1\n[[budgets]]\nscope = "global"\n'
        'limit_usd = "1"',
        ROUNDHOUSE_ROUTING__FALLBACK="false",
    )

    assert loaded.origins == {
        "timezone": "config.toml line 1",
        "providers.openai.priority": "config.toml line 3",
        "budgets[0].scope": "config.toml line 5",
        "budgets[0].limit_usd": "config.toml line 6",
        "routing.fallback": "ROUNDHOUSE_ROUTING__FALLBACK",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = [1,", "config.toml is not valid TOML: Invalid value (at end of document)"),
        ("strategi = 1", "line 1: strategi: there is no such key here"),
        ("[routing]\nstrategi = 1", "line 2: routing.strategi: there is no such key here; did"),
        ('[routing]\nstrategy = "chepest"', "no strategy 'chepest'; did you mean 'cheapest'?"),
        ('[routing]\nchain = ["opnai"]', "routing.chain[0]: there is no provider 'opnai'; did you"),
        ('[routing.tasks]\ncode = "antropic/x"', "no provider 'antropic' and no provider lists"),
        ("[routing.tasks]\ncode = 5", "routing.tasks.code: it must be a table, not 5"),
        ('[routing.tasks.x]\nneeds = ["ears"]', "needs[0]: it must be one of 'images', "),
        ('[routing.aliases]\nfast = "nobody/x"', "routing.aliases.fast: there is no provider"),
        (
            '[providers.openai]\nmodels = "gpt-5"',
            'it must be a list like ["a", "b"], not \'gpt-5\'',
        ),
        ("[providers.openai]\npriority = 1.5", "it must be a whole number, not 1.5"),
        ('[providers.openai]\nenabled = "maybe"', "it must be true or false, not 'maybe'"),
        ('[providers.openai]\ntext_model = "x"', "did you mean models?"),
        ("[providers.openai]\ncost_multiplier = -1", "greater than or equal to 0, not -1"),
        ("[providers]\nopenai = 3", "providers.openai: it must be a table, not 3"),
        ("[providers.foo]", "nobody knows 'foo'; give it wire and base_url, or like"),
        ('[providers.foo]\nlike = "bar"', "providers.foo.like: there is no provider 'bar' to copy"),
        ('[providers."a/b"]\nlike = "openai"', 'providers."a/b": a provider\'s name has no slash'),
        ('[providers.openai]\nwire = "soap"', "there is no wire 'soap'"),
        ('[providers.openai]\nbase_url = "ftp://x"', "'ftp://x' is no address"),
        ('[providers.openai]\nbase_url = "http://far.example/v1"', "plain http would send keys"),
        ('[providers.openai]\nbase_url = "https://[/v1"', "it is no address"),
        ('[providers.openai]\nbase_url = "https://a.example?k=v"', "it ends in a query"),
        (
            '[providers.openai]\nbase_url = "https://${HOST}/"',
            "needs the environment variable HOST",
        ),
        ('[budgets]\nscope = "global"', "budgets: every budget begins with a line [[budgets]]"),
        ('[[budgets]]\nscope = "global"', "budgets[0].limit_usd: it is missing"),
        ('[[budgets]]\nscope = "globl"\nlimit_usd = 1', "it must be global, provider:X, model:X"),
        ('[[budgets]]\nscope = "provider:x"\nlimit_usd = 1', "there is no provider 'x'"),
        ('[[budgets]]\nscope = "global"\nlimit_usd = true', 'an amount like "10.00", not true'),
        ('[[budgets]]\nscope = "global"\nlimit_usd = nan', "finite number"),
        ('[[budgets]]\nscope = "global"\nlimit_usd = "-1"', "greater than or equal to 0"),
        ('timezone = "Mars/Olympus"', "'Mars/Olympus' is no time zone"),
        ("[circuits]\nfailure_threshold = 0", "greater than or equal to 1, not 0"),
    ],
)
def test_a_mistake_is_one_sentence_with_key_and_fix(text: str, sentence: str) -> None:
    said = mistake(text)

    assert sentence in said
    assert said.startswith("config.toml")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ROUNDHOUSE_ROUTNG__CHAIN", "x", "sets nothing: ROUTNG is no key there; did you mean"),
        ("ROUNDHOUSE_LIMITS__TIMEOUT_S", "soon", "limits.timeout_s: it must be a number"),
        ("ROUNDHOUSE_PROVIDERS__OPENAI", "x", "names a whole table"),
        ("ROUNDHOUSE_BUDGETS__0__LIMIT_USD", "1", "goes too deep"),
        ("ROUNDHOUSE_ROUTING__STRATEGY__NOW", "x", "goes too deep"),
        ("ROUNDHOUSE_ROUTING__CHAIN", "opnai", "routing.chain[0]: there is no provider"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(variable: str, value: str, sentence: str) -> None:
    said = mistake("", **{variable: value})

    assert said.startswith(variable)
    assert sentence in said


@pytest.mark.parametrize(
    "row",
    [
        'base_url = "https://user:sk-canary-0123456789abcdef@host.example/"',
        'headers = { Authorization = "Bearer sk-canary-0123456789abcdef" }',
        'headers = { x-api-key = 3 }\npath = "sk-canary-0123456789abcdef"',
        'proxy = "sk-canary-0123456789abcdef"\napi_key = "sk-canary-0123456789abcdef"',
    ],
)
def test_no_message_quotes_what_may_be_a_key(row: str) -> None:
    assert CANARY not in mistake(f"[providers.openai]\n{row}")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1234/v1",
        "http://127.0.0.1/v1",
        "http://[::1]:8/",
        "http://gpu-box:8000/v1",
        "https://far.example/v1",
        "mock://one?text=hi",
    ],
)
def test_an_address_that_is_safe_is_accepted(url: str) -> None:
    text = f'[network]\ntrusted_hosts = ["gpu-box"]\n[providers.openai]\nbase_url = "{url}"'

    assert read(text).settings.providers["openai"].base_url == url


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("fail=503", "no mock has a parameter 'fail'; known: arguments, cut_after"),
        ("status=often", "status is a number, 'often' is none"),
    ],
)
def test_a_mock_with_a_script_nobody_could_play_is_refused(query: str, problem: str) -> None:
    row = f'[providers.fake]\nlike = "mock"\nbase_url = "mock://fake?{query}"'

    assert problem in mistake(row)


def test_the_hash_follows_the_settings_and_not_their_spelling() -> None:
    one = read('[routing]\nstrategy = "cheapest"')
    same = read("# a comment", ROUNDHOUSE_ROUTING__STRATEGY="cheapest")
    other = read('[routing]\nstrategy = "best"')

    assert one.hash == same.hash != other.hash


@pytest.mark.parametrize(
    ("root", "problem"),
    [("shots", "is no absolute path"), ("/", "holds your home"), ("~", "holds your home")],
)
def test_a_root_for_files_that_opens_too_much_is_refused(root: str, problem: str) -> None:
    assert problem in mistake(f'[files]\nroots = ["{root}"]')


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    home = written(tmp_path, "")
    home.config.chmod(mode)

    with pytest.raises(ConfigError, match="chmod go-w"):
        load(home, {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\xff\xfe\x00", "is not UTF-8 text"), (b"a = \x00", "is not valid TOML")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    home = written(tmp_path, "")
    home.config.write_bytes(content)

    with pytest.raises(ConfigError, match=sentence):
        load(home, {})


def test_a_directory_in_the_files_place_is_refused(tmp_path: Path) -> None:
    Home(tmp_path).config.mkdir(mode=0o700)

    with pytest.raises(ConfigError, match="cannot be read"):
        load(Home(tmp_path), {})


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    home = written(tmp_path, '\ufefftimezone = "UTC"')

    assert load(home, {}).origins["timezone"] == "config.toml line 1"


KEYS = st.sampled_from(["routing", "providers", "openai", "budgets", "api_key", "models", "x", ""])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


def complaint(about: Callable[[], object]) -> str:
    try:
        about()
    except ConfigError as error:
        return str(error)
    return ""


@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
@settings(max_examples=300, deadline=None)
def test_whatever_the_file_holds_is_settings_or_a_sentence(data: dict[str, object]) -> None:
    source = config.Source(file=FILE, data=data, lines={}, variables={})

    said = complaint(lambda: config.validated(config.shortened(data), source))

    assert said == "" or said.startswith("config.toml: ")


@given(text=st.text(alphabet='[]".=#\n ab{}$0,\\', max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_text_the_file_holds_is_settings_or_a_sentence(text: str) -> None:
    said = complaint(lambda: read(text))

    assert said == "" or said.startswith("config.toml")

"""The registry: which providers there are, what a name means, why one cannot be used."""

from pathlib import Path

import pytest

from roundhouse_mcp.providers import aws_profile
from roundhouse_mcp.providers.probe import Probe
from roundhouse_mcp.server.config import understood
from roundhouse_mcp.server.errors import ConfigError, NotFound
from roundhouse_mcp.server.keys import Keys
from roundhouse_mcp.server.registry import Registry

OWN = """
[providers.my-vllm]
wire = "openai_chat"
base_url = "http://localhost:8000/v1"
local = true
models = ["qwen3", "small"]

[providers.work]
like = "openai"
models = ["gpt-5"]
"""


def registry(text: str = "", **environ: str) -> Registry:
    settings = understood(text, Path("config.toml"), environ).settings
    return Registry.build(settings, Keys(environ), environ)


def meant(text: str, name: str, *, embeds: bool = False) -> list[tuple[str, str]]:
    found = registry(text).resolve(name, embeds=embeds)
    return [(row.provider.name, model) for row, model in found]


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai/gpt-5", "openai", "gpt-5"),
        ("openai:gpt-5", "openai", "gpt-5"),
        ("openai/not-yet-known", "openai", "not-yet-known"),
        ("together/meta-llama/Llama-3-70b", "together", "meta-llama/Llama-3-70b"),
        ("ollama:llama3.1:8b", "ollama", "llama3.1:8b"),
        ("my-vllm", "my-vllm", "qwen3"),
        ("my-vllm/other", "my-vllm", "other"),
        ("small", "my-vllm", "small"),
        ("work", "work", "gpt-5"),
        ("mock/echo", "mock", "echo"),
        ("swift", "my-vllm", "small"),
    ],
)
def test_a_name_means_one_model(name: str, provider: str, model: str) -> None:
    aliases = '[routing.aliases]\nswift = "my-vllm/small"\n'

    assert meant(aliases + OWN, name) == [(provider, model)]


def test_a_row_of_ones_own_may_only_make_embeddings() -> None:
    text = (
        '[providers.finder]\nembed_wire = "voyage"\nbase_url = "https://finder.example/v1"\n'
        'embedding_model = "voyage-4"\n'
    )

    row = registry(text).named("finder").provider

    assert (row.wire, row.embed_wire, row.capabilities) == (None, "voyage", {"embeddings"})
    assert meant(text, "finder", embeds=True) == [("finder", "voyage-4")]
    assert meant(text, "finder") == [("finder", "*")]
    named = text + 'models = ["voyage-law-2"]\n'
    assert meant(named, "finder", embeds=True) == [("finder", "voyage-law-2")]
    assert meant(named, "finder") == [("finder", "*")]


@pytest.mark.parametrize("name", ["mlx/gpt-5", "mlx:somebody/large", "transformers/gpt-5"])
def test_a_program_that_downloads_what_is_named_is_asked_only_for_what_it_has(name: str) -> None:
    chosen = "".join(f'[providers.{n}]\nmodels = ["small"]\n' for n in ("mlx", "transformers"))

    assert meant(chosen, "mlx/small") == [("mlx", "small")]
    with pytest.raises(NotFound, match="would download what it is asked for"):
        meant(chosen, name)


def test_a_bare_model_is_meant_wherever_it_is_known_to_be() -> None:
    assert {"openai", "work"} <= {provider for provider, _ in meant(OWN, "gpt-5")}
    assert all(model == "gpt-5" for _, model in meant(OWN, "gpt-5"))


def test_a_provider_alone_means_its_own_choice_for_the_purpose() -> None:
    chat = meant("", "openai")
    vectors = meant("", "openai", embeds=True)

    assert chat != vectors
    assert "embedding" in vectors[0][1]


@pytest.mark.parametrize("name", ["opnai", "nobody/gpt", "llama9:7b", "", "/", "echo"])
def test_a_name_nobody_has_is_not_found(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        registry(OWN).resolve(name)

    assert caught.value.next_step


def test_a_near_name_is_offered() -> None:
    with pytest.raises(NotFound) as caught:
        registry().named("opnai")

    assert "'openai'" in caught.value.next_step


def test_the_users_rows_come_first_in_their_order() -> None:
    names = [row.provider.name for row in registry(OWN).listed()]

    assert names[:2] == ["my-vllm", "work"]
    assert "openai" in names


def test_a_known_variable_switches_its_provider_on() -> None:
    with_key = registry(OPENAI_API_KEY="sk-1").named("openai")
    without = registry().named("openai")

    assert with_key.absent() == (None, "")
    assert without.absent() == (
        "key_missing",
        "has no key; set OPENAI_API_KEY, or run: roundhouse keys set openai",
    )


def test_a_second_account_shares_the_service_and_nothing_else() -> None:
    found = registry(OWN, OPENAI_API_KEY="sk-1", OPENAI_BASE_URL="https://proxy.example/v1")
    work, openai = found.named("work"), found.named("openai")

    assert work.key is None
    assert "WORK_API_KEY" in work.absent()[1]
    assert work.provider.wire == openai.provider.wire
    assert work.provider.price_provider == "openai"
    assert openai.provider.base_url == "https://proxy.example/v1"
    assert work.provider.base_url == "https://api.openai.com/v1"


def test_a_key_reference_replaces_the_known_variables() -> None:
    text = '[providers.openai]\napi_key = "${MY_KEY}"'

    named = registry(text, MY_KEY="mine", OPENAI_API_KEY="other").named("openai")
    unset = registry(text, OPENAI_API_KEY="other").named("openai")

    assert named.key is not None
    assert (named.key.name, named.key.value) == ("MY_KEY", "mine")
    assert unset.absent()[0] == "key_missing"
    assert "MY_KEY" in unset.absent()[1]


def test_a_provider_of_ones_own_needs_a_key_only_if_the_row_names_one() -> None:
    row = '[providers.box]\nwire = "openai_chat"\nbase_url = "https://box.example/v1"\n'

    assert registry(row).named("box").absent() == (None, "")
    assert registry(row + 'key_env = "BOX_KEY"').named("box").absent()[0] == "key_missing"
    assert registry(row, BOX_API_KEY="k").named("box").key is not None


def test_a_key_that_cannot_be_used_is_the_reason_given() -> None:
    reason, detail = registry(OPENAI_API_KEY="two words").named("openai").absent()

    assert reason == "key_missing"
    assert "OPENAI_API_KEY is not used" in detail


def test_a_provider_switched_off_says_where() -> None:
    found = registry("[providers.openai]\nenabled = false", OPENAI_API_KEY="sk-1")

    assert found.named("openai").absent() == (
        "disabled",
        "is switched off (providers.openai.enabled)",
    )


def test_the_users_facts_win_over_longer_shipped_patterns() -> None:
    text = '[providers.openai.facts."gpt-5*"]\ncontext = 7\nvision = false'
    facts = registry(text).named("openai").provider.facts("gpt-5-mini")

    assert (facts.context, facts.vision) == (7, False)
    assert facts.tools is True


@pytest.mark.parametrize(
    ("base_url", "trusted", "here"),
    [
        ("http://localhost:8000/v1", (), True),
        ("http://127.0.0.2/v1", (), True),
        ("https://gpu-box/v1", (), False),
        ("https://gpu-box/v1", ("gpu-box",), True),
    ],
)
def test_a_local_row_is_here_only_at_an_address_that_is(
    base_url: str, trusted: tuple[str, ...], here: bool
) -> None:
    text = f'[providers.box]\nwire = "openai_chat"\nbase_url = "{base_url}"\nlocal = true'
    row = registry(text).named("box")

    assert row.is_here(trusted, "qwen3") is here
    assert not row.is_here(trusted, "gpt-oss:120b-cloud")


def test_an_address_variable_is_read_as_its_program_writes_it() -> None:
    found = registry(OLLAMA_HOST="0.0.0.0:1234").named("ollama")

    assert found.provider.base_url == "http://127.0.0.1:1234"
    with pytest.raises(ConfigError, match="OLLAMA_HOST"):
        registry(OLLAMA_HOST="host:port")


def test_with_nothing_at_all_it_says_what_would_enable_something() -> None:
    said = registry().what_would_enable()

    assert "OPENAI_API_KEY" in said
    assert "Ollama" in said
    assert "roundhouse keys set" in said


@pytest.mark.parametrize(
    ("models", "there"),
    [
        (("gpt-5.4-mini", "other"), True),
        (("gpt-5.4-mini-2026-03-01",), True),
        (("other",), False),
        ((), None),
    ],
)
def test_a_probe_says_whether_the_default_model_is_there(
    models: tuple[str, ...], there: bool | None
) -> None:
    row = registry("").named("openai")

    assert row.has_default(Probe(reachable=True, models=models)) is there


def test_a_region_comes_from_the_file_before_its_variables() -> None:
    plain = '[providers.far]\nwire = "openai_chat"\nbase_url = "https://{region}.example/v1"\n'

    def region(text: str, **environ: str) -> str | None:
        return registry(text, **environ).named("far").provider.region

    assert region(plain) is None
    assert region(plain + 'region = "eu-west-1"') == "eu-west-1"


@pytest.mark.parametrize(
    ("variables", "found", "auth"),
    [
        ({"AZURE_OPENAI_AD_TOKEN": "token"}, "AZURE_OPENAI_AD_TOKEN", "bearer"),
        ({"AZURE_AD_TOKEN": "token"}, "AZURE_AD_TOKEN", "bearer"),
        (
            {"AZURE_OPENAI_API_KEY": "key", "AZURE_OPENAI_AD_TOKEN": "token"},
            "AZURE_OPENAI_API_KEY",
            "api-key",
        ),
        ({}, None, "api-key"),
    ],
)
@pytest.mark.parametrize("name", ["azure", "azure_v1"])
def test_a_token_is_sent_as_a_token_and_a_key_as_a_key(
    name: str, variables: dict[str, str], found: str | None, auth: str
) -> None:
    row = registry(**variables).rows[name]

    assert (row.key.name if row.key else None, row.provider.auth) == (found, auth)


def test_a_second_account_may_name_a_token_variable_too() -> None:
    own = '[providers.work]\nlike = "azure"\nkey_env = ["WORK_API_KEY", "AZURE_AD_TOKEN"]\n'

    by_token = registry(own, AZURE_AD_TOKEN="token").rows["work"].provider
    by_key = registry(own, WORK_API_KEY="key").rows["work"].provider

    assert (by_token.auth, by_key.auth) == ("bearer", "api-key")


def test_a_row_of_ones_own_that_speaks_responses_embeds_as_openai_does() -> None:
    own = '[providers.gate]\nwire = "openai_responses"\nbase_url = "https://gate.example/v1"\n'

    assert registry(own).rows["gate"].provider.embed_wire == "openai_embeddings"


def aws_home(path: Path) -> str:
    (path / ".aws").mkdir()
    secret = "aws_access_key_id = AK\naws_secret_access_key = file/secret/0\n"
    (path / ".aws/credentials").write_text(f"[default]\n{secret}")
    (path / ".aws/config").write_text("[default]\nregion = eu-west-1\n")
    return str(path)


def test_aws_credentials_take_the_place_of_a_key(tmp_path: Path) -> None:
    known = registry(HOME=aws_home(tmp_path))

    row = known.named("bedrock")
    assert (row.absent(), row.key) == ((None, ""), None)
    assert row.admission == "signed with AWS profile default"
    assert row.provider.region == "eu-west-1"
    assert known.secrets() == ("file/secret/0",)


def test_aws_credentials_for_other_work_spend_nothing_unless_bedrock_is_named(
    tmp_path: Path,
) -> None:
    home = aws_home(tmp_path)
    ambient = registry(HOME=home).named("bedrock").provider
    wanted = registry("[providers.bedrock]\n", HOME=home).named("bedrock").provider
    keyed = registry(HOME=home, AWS_BEARER_TOKEN_BEDROCK="bedrock-key-1").named("bedrock").provider

    assert (ambient.by_name_only, wanted.by_name_only, keyed.by_name_only) == (True, False, False)


def test_a_bedrock_key_goes_before_aws_credentials(tmp_path: Path) -> None:
    home = aws_home(tmp_path)
    row = registry(HOME=home, AWS_BEARER_TOKEN_BEDROCK="bedrock-key-1").named("bedrock")

    assert row.admission == "key from AWS_BEARER_TOKEN_BEDROCK"
    assert row.absent() == (None, "")


def test_the_region_is_read_where_aws_tools_read_it(tmp_path: Path) -> None:
    home = aws_home(tmp_path)

    def region(text: str = "", **environ: str) -> str | None:
        return registry(text, HOME=home, **environ).named("bedrock").provider.region

    assert region(AWS_DEFAULT_REGION="us-west-2") == "us-west-2"
    assert region(AWS_DEFAULT_REGION="us-west-2", AWS_REGION="us-east-1") == "us-east-1"
    assert region('[providers.bedrock]\nregion = "sa-east-1"', AWS_REGION="x") == "sa-east-1"


def test_what_bedrock_misses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = registry().named("bedrock")
    placeless = registry(AWS_BEARER_TOKEN_BEDROCK="bedrock-key-1").named("bedrock")
    monkeypatch.setattr(aws_profile, "library_installed", lambda: False)
    unable = registry(AWS_ACCESS_KEY_ID="AK").named("bedrock")

    assert bare.absent() == (
        "key_missing",
        "has no key and there are no AWS credentials; "
        "set AWS_BEARER_TOKEN_BEDROCK or AWS_PROFILE or AWS_ACCESS_KEY_ID",
    )
    assert placeless.absent() == (
        "disabled",
        "has no region; set AWS_REGION or AWS_DEFAULT_REGION",
    )
    assert unable.absent()[0] == "key_missing"
    assert "pip install 'roundhouse-mcp[bedrock]'" in unable.absent()[1]


def test_models_are_not_listed_elsewhere_once_the_address_is_the_users() -> None:
    text = '[providers.bedrock]\nbase_url = "https://gate.example"'

    assert registry(text).named("bedrock").provider.models_base is None
    assert registry().named("bedrock").provider.models_base is not None

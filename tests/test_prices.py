"""Prices: exact integers, never below the truth, unknown where nobody knows."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse_mcp.providers import reported
from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.prices import NANO, Price, Rates, bound, cost, rates, shipped_prices
from roundhouse_mcp.providers.tokens import (
    estimate_tokens,
    input_bound,
    input_expected,
    tokens_bound,
)
from roundhouse_mcp.providers.types import Call, EmbedCall, Image, Message, Tool, Usage

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC).timestamp()
MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-1"),
    ("deepseek", "deepseek-chat"),
    ("groq", "llama-3.3-70b-versatile"),
]


def row(name: str, *, local: bool = False, price_provider: str | None = None) -> Provider:
    return Provider(
        name=name,
        wire="openai_chat",
        base_url="https://nowhere.example",
        local=local,
        price_provider=price_provider,
    )


def price(**usd: Decimal) -> Rates:
    return Price(**usd).rates("config")


def known(name: str, model: str) -> Rates:
    found = rates(row(name), model, now=NOW)
    assert found is not None
    return found


def test_a_listed_price_is_nano_dollars_per_million_tokens() -> None:
    found = known("openai", "gpt-4o")

    assert (found.input, found.output, found.cached) == (
        2_500_000_000,
        10_000_000_000,
        1_250_000_000,
    )
    assert found.source.startswith("genai-prices ")
    assert found.source.endswith(" openai/gpt-4o")


@pytest.mark.parametrize(("name", "model"), [("openai", "gpt-99"), ("nobody", "gpt-4o")])
def test_a_price_nobody_lists_is_unknown(name: str, model: str) -> None:
    assert rates(row(name), model, now=NOW) is None


def test_a_second_account_is_priced_as_the_service_it_is() -> None:
    assert rates(row("work", price_provider="openai"), "gpt-4o", now=NOW) == known(
        "openai", "gpt-4o"
    )


def test_what_runs_here_costs_nothing_and_what_a_local_program_passes_on_is_unknown() -> None:
    here = rates(row("ollama", local=True), "llama3.1:8b", now=NOW)
    passed_on = rates(row("ollama", local=True), "gpt-oss:120b-cloud", now=NOW)

    assert here is not None
    assert (here.source, bound(here, 10**6, 10**6)) == ("local", 0)
    assert passed_on is None


def test_the_users_price_comes_first_and_a_multiplier_scales_listed_prices_only() -> None:
    mine = {
        "openai/gpt-4o": price(input=Decimal("0.10"), output=Decimal("0.40")),
        "box/*": price(input=Decimal(1)),
        "box/big*": price(input=Decimal(3)),
    }
    half = Decimal("0.5")

    own = rates(row("openai"), "gpt-4o", overrides=mine, multiplier=half, now=NOW)
    listed = rates(row("anthropic"), "claude-sonnet-4-5", overrides=mine, multiplier=half, now=NOW)
    wild = rates(row("box", local=True), "big-one", overrides=mine, now=NOW)

    assert own is not None
    assert own.source == "config"
    assert (own.input, own.output, own.cached) == (100_000_000, 400_000_000, 100_000_000)
    assert listed is not None
    assert listed.input == known("anthropic", "claude-sonnet-4-5").input // 2
    assert wild is not None
    assert wild.input == 3 * NANO


def test_the_smallest_call_is_rounded_up_once() -> None:
    cheap = known("openai", "text-embedding-3-small")

    assert cost(cheap, Usage(input=1)) == 20
    assert cost(price(input=Decimal("0.0000001")), Usage(input=1)) == 1


@pytest.mark.parametrize(("name", "model"), MODELS)
@given(
    read=st.integers(0, 400_000),
    cached=st.integers(0, 100_000),
    written=st.integers(0, 100_000),
    output=st.integers(0, 50_000),
)
@settings(max_examples=60, deadline=None)
def test_the_cost_is_the_price_tables_to_the_nano_dollar(
    name: str, model: str, read: int, cached: int, written: int, output: int
) -> None:
    mine = known(name, model)
    cached = min(cached, read)
    written = min(written, read - cached) if mine.cache_write != mine.input else 0
    if mine.cached == mine.input:
        cached = 0
    usage = TableUsage(
        input_tokens=read,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    theirs = calc_price(
        usage, model, provider_id=name, genai_request_timestamp=datetime.fromtimestamp(NOW, UTC)
    )

    said = cost(mine, Usage(input=read, cached=cached, cache_write=written, output=output))

    assert 0 <= said - theirs.total_price * NANO < 1


@pytest.mark.parametrize(("name", "model"), MODELS)
@given(
    read=st.integers(0, 400_000),
    more=st.integers(0, 400_000),
    cached=st.integers(0, 400_000),
    written=st.integers(0, 400_000),
    output=st.integers(0, 50_000),
)
@settings(max_examples=60, deadline=None)
def test_no_call_costs_more_than_its_bound(
    name: str, model: str, read: int, more: int, cached: int, written: int, output: int
) -> None:
    mine = known(name, model)
    usage = Usage(input=read, cached=cached, cache_write=written, output=output)

    assert cost(mine, usage) <= bound(mine, read + more, output)


def test_a_tier_applies_to_the_whole_request() -> None:
    mine = known("anthropic", "claude-sonnet-4-5")

    assert cost(mine, Usage(input=200_000)) == 200_000 * 3_000
    assert cost(mine, Usage(input=200_001)) == 200_001 * 6_000


@given(text=st.text())
def test_the_bound_is_never_below_the_bytes_of_the_text(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))

    assert tokens_bound(text) >= size
    assert 0 <= estimate_tokens(text) <= max(size, 1)


def test_a_normalisation_that_grows_the_text_is_counted() -> None:
    assert tokens_bound("\ufdfa") == 33  # one character, 18 after NFKC


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 180, 230),
        ("def add(a: int, b: int) -> int:\n    return a + b\n" * 20, 340, 560),
        ('{"id": 12345, "name": "ada", "tags": ["x", "y"]}' * 20, 400, 700),
        ("人工智能正在改变我们的生活方式" * 20, 160, 320),
        ("", 0, 0),
    ],
)
def test_the_estimate_is_fair_for_prose_code_json_and_ideographs(
    text: str, low: int, high: int
) -> None:
    assert low <= estimate_tokens(text) <= high


def test_a_long_text_is_judged_by_samples() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 20_000

    assert abs(estimate_tokens(text) - 200_000) < 20_000


def test_everything_a_model_reads_counts_toward_the_bound() -> None:
    said = Message(role="user", text="x" * 100)
    tool = Tool(name="search", description="d" * 50, parameters={"type": "object"})
    bare = input_bound(Call(messages=(said,), max_tokens=1))
    with_tool = input_bound(Call(messages=(said,), max_tokens=1, tools=(tool,)))
    seen = Message(role="user", images=(Image("image/png", "AAAA"),))
    pictured = input_bound(Call(messages=(said, seen), max_tokens=1))
    schema = input_bound(Call(messages=(said,), max_tokens=1, output_schema={"type": "object"}))
    texts = EmbedCall(texts=("a" * 10, "b" * 10))

    assert bare >= 100 + 16
    assert with_tool >= bare + 1024 + 56
    assert schema > bare + 1024
    assert pictured > bare + 10_000
    assert input_bound(texts) >= 20
    assert input_expected(texts) < input_bound(texts)


def test_a_price_by_the_request_and_by_the_second_comes_on_top() -> None:
    mine = price(per_request=Decimal("0.005"), per_second=Decimal("0.001"), input=Decimal(1))

    assert cost(mine, Usage(input=1_000), Decimal("1.5")) == 5_000_000 + 1_500_000 + 1_000_000
    assert bound(mine, 1_000, 0) == 5_000_000 + 600 * 1_000_000 + 1_000_000


def test_a_table_price_with_a_fee_for_each_request_counts_the_fee() -> None:
    found = known("perplexity", "sonar")

    assert (found.per_request, found.input) == (12_000_000, NANO)


def test_a_dated_price_of_ours_stands_above_the_table_and_below_the_users() -> None:
    model, provider = "openai/text-embedding-3-small", row("openrouter")
    early = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    ours = rates(provider, model, now=NOW)
    own = rates(provider, model, overrides={"openrouter/*": price(input=Decimal(9))}, now=NOW)

    assert ours is not None
    assert own is not None
    assert (ours.source, ours.input) == ("override 2025-11-01", 20_000_000)
    assert own.source == "config"
    assert rates(provider, model, now=early) is None


def test_every_price_of_ours_says_from_when_and_where(tmp_path: Path) -> None:
    bare = tmp_path / "prices.toml"
    bare.write_text('[[price]]\nmodel = "a/b"\nfrom = 2026-01-01\ninput = "1"\n')

    assert shipped_prices()
    with pytest.raises(KeyError):
        shipped_prices(bare)


@pytest.mark.parametrize(
    ("provider", "usage", "nano"),
    [
        ("openrouter", {"cost": 0.001314, "is_byok": False}, 1_314_000),
        ("openrouter", {"cost": 1.4e-07, "cost_details": {"upstream_inference_cost": 9}}, 140),
        (
            "openrouter",
            {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}},
            210_000_000,
        ),
        ("openrouter", {"cost": 0.01, "is_byok": True}, None),
        ("openrouter", {"cost": 0}, 0),
        ("openrouter", {"cost": -1}, None),
        ("openrouter", {"cost": True}, None),
        ("openrouter", {"cost": "0.1"}, None),
        ("openrouter", {"cost": float("nan")}, None),
        ("openrouter", {}, None),
        ("openrouter", None, None),
        ("perplexity", {"cost": {"total_cost": 0.00602}}, 6_020_000),
        ("perplexity", {"cost": 0.1}, None),
        ("xai", {"cost_in_usd_ticks": 37_756_000}, 3_775_600),
        ("xai", {"cost_in_usd_ticks": 1}, 1),
        ("openai", {"cost": 1}, None),
    ],
)
def test_a_bill_is_read_where_the_provider_writes_it(
    provider: str, usage: dict[str, object] | None, nano: int | None
) -> None:
    assert reported.cost_nano(shipped()[provider], usage) == nano


def test_machine_time_is_read_where_the_provider_writes_it() -> None:
    replicate = shipped()["replicate"]

    assert reported.seconds(replicate, {"predict_time": 2.5}) == Decimal("2.5")
    assert reported.seconds(replicate, {"predict_time": None}) is None
    assert reported.seconds(shipped()["openai"], {"predict_time": 2.5}) is None

"""The view of the providers: its screens, and how it changes what the user keeps."""

import tomllib
from typing import Any

import provider_seeds
import pytest
import seeds
from provider_seeds import facts
from screens import HOME, check, screen_text, until, watched
from seeds import NOW
from textual.pilot import Pilot
from textual.widgets import Input

from roundhouse_mcp.server.home import Home
from roundhouse_mcp.tui import service_forms, what_if
from roundhouse_mcp.tui.app import WatchApp
from roundhouse_mcp.tui.dialogs import Form
from roundhouse_mcp.tui.providers import ProvidersView

SIZES = [(120, 36), (80, 24)]
KEY = "sk-verysecretverysecretverysecret1"
EVIL = "a\x1b]52;c;RVZJTA==\x07b\x1b[31mc\x9bd\u202ee\u200bf\n[/oops][@click=app.quit]\U000e0041"
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
PLAN = {
    "strategy": "cheapest",
    "candidates": [
        {
            "provider": "groq",
            "model": "llama-4-70b",
            "estimated_cost_usd": 0.0058,
            "expected_ms": 1100,
            "circuit": "closed",
            "why": "cheapest",
        },
        {
            "provider": "openai",
            "model": "gpt-5.5-mini",
            "estimated_cost_usd": None,
            "expected_ms": None,
            "circuit": "open, this call would test it",
            "why": "",
        },
    ],
    "excluded": [
        {"provider": "ollama", "model": "qwen3:8b", "reason": "needs", "detail": "has no tools"}
    ],
}
QUESTION = {
    "task": "code",
    "model": "",
    "input_tokens": "6000",
    "output_tokens": "800",
    "needs": "tools",
    "strategy": "cheapest",
}


def named(name: str, size: tuple[int, int]) -> str:
    return f"providers_{name}_{size[0]}x{size[1]}"


def view_of(app: WatchApp) -> ProvidersView:
    assert isinstance(app.screen, ProvidersView)
    return app.screen


async def opened(app: WatchApp, pilot: Pilot[None]) -> ProvidersView:
    await pilot.press("4")
    await until(pilot, lambda: "providers" in app.store.snapshot.extra)
    return view_of(app)


async def at(pilot: Pilot[None], row: int) -> None:
    await pilot.press(*["j"] * row)


async def filled(app: WatchApp, pilot: Pilot[None], **values: str) -> None:
    """Types into the form on the screen and saves it."""
    await until(pilot, lambda: isinstance(app.screen, Form))
    for name, value in values.items():
        field = app.screen.query_one(f"#field-{name}")
        field.value = value  # pyright: ignore[reportAttributeAccessIssue]
    await pilot.press("ctrl+s")


def section(name: str) -> dict[str, Any]:
    return tomllib.loads((HOME / "config.toml").read_text())["providers"].get(name, {})


@sizes
async def test_every_provider_is_shown_as_the_servers_see_it(size: tuple[int, int]) -> None:
    provider_seeds.seed(HOME)

    async with watched(size) as (app, pilot):
        await opened(app, pilot)

        check(app, named("view", size))


@sizes
@pytest.mark.parametrize("row", [1, 4], ids=["cloud", "local"])
async def test_a_close_look_says_where_each_key_comes_from(size: tuple[int, int], row: int) -> None:
    provider_seeds.seed(HOME)

    async with watched(size) as (app, pilot):
        await opened(app, pilot)
        await at(pilot, row)
        await pilot.press("enter")
        await pilot.pause()

        check(app, named(f"detail_{row}", size))


@sizes
async def test_a_what_if_shows_who_would_answer_and_why_not_others(size: tuple[int, int]) -> None:
    provider_seeds.seed(HOME)

    async with watched(size) as (app, pilot):
        view = await opened(app, pilot)
        view.question, view.plan, view.which = QUESTION, PLAN, "what-if"
        await pilot.press("enter")
        await pilot.pause()

        check(app, named("what_if", size))


@sizes
async def test_before_any_server_the_view_says_how_to_begin(size: tuple[int, int]) -> None:
    HOME.mkdir()
    with seeds.ledger(HOME):
        pass

    async with watched(size) as (app, pilot):
        await opened(app, pilot)

        check(app, named("empty", size))


async def test_without_servers_the_last_one_is_believed_and_it_says_so() -> None:
    provider_seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute("UPDATE servers SET ended = ?", (NOW - 100,))

    async with watched((80, 24)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("enter")
        await pilot.pause()

        assert "no server runs: as the last one saw it" in screen_text(app)
        assert "no server runs that could test it" in screen_text(app)


async def test_ascii_screens_have_nothing_else() -> None:
    provider_seeds.seed(HOME)

    async with watched((80, 24), ascii_only=True) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("enter")
        await pilot.pause()

        assert screen_text(app).isascii()


@sizes
async def test_hostile_text_reaches_no_screen_raw(size: tuple[int, int]) -> None:
    provider_seeds.seed(HOME)
    hostile = facts(
        EVIL, EVIL, detail=EVIL, tasks=[EVIL], models=[[EVIL, 1, 1], ["m" * 10**6, 1, 1]]
    )
    with seeds.ledger(HOME) as db:
        db.execute("DELETE FROM provider_reports WHERE provider <> 'openai'")
        db.execute("UPDATE servers SET client = ?, project = ?", (EVIL, EVIL))
        db.execute("UPDATE provider_reports SET key_from = ?, facts = ?", (EVIL, hostile))
        provider_seeds.report(db, EVIL, 3, "[" * 10_000, reason="disabled", cost_multiplier=EVIL)
        provider_seeds.test(db, EVIL, ok=False, said=EVIL)

    async with watched(size) as (app, pilot):
        view = await opened(app, pilot)
        shown = screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        shown += screen_text(app)
        view.question = QUESTION
        view.plan = {"candidates": [{"why": 3}, 7], "excluded": "no", "strategy": [EVIL]}
        await pilot.press("tab")
        await pilot.pause()
        shown += screen_text(app)

    assert all(character == "\n" or character.isprintable() for character in shown)


async def test_space_switches_a_provider_off_and_keeps_the_comments() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await at(pilot, 1)
        await pilot.press("space")
        await until(pilot, lambda: "openai is off" in screen_text(app))

    assert section("openai") == {"priority": 2, "enabled": False}
    assert "# mine" in (HOME / "config.toml").read_text()


async def test_plus_and_minus_move_a_provider_in_the_order() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await at(pilot, 1)
        await pilot.press("plus")
        await until(pilot, lambda: "openai has priority 1" in screen_text(app))
        earlier = section("openai")["priority"]
        await pilot.press("minus")
        await until(pilot, lambda: "openai has priority 3" in screen_text(app))
        await pilot.press("k", "plus")
        await until(pilot, lambda: "anthropic is first already" in screen_text(app))

    assert (earlier, section("openai")["priority"], section("anthropic")) == (1, 3, {})


async def test_an_edit_changes_what_was_changed_and_nothing_else() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await at(pilot, 1)
        await pilot.press("E")
        await filled(app, pilot, priority="", models="gpt-5.5, gpt-5.5-mini", rpm="60")
        await until(pilot, lambda: "openai is changed" in screen_text(app))

    assert section("openai") == {"models": ["gpt-5.5", "gpt-5.5-mini"], "rpm": 60}


async def test_bad_input_is_one_sentence_and_changes_nothing() -> None:
    provider_seeds.seed(HOME)
    before = (HOME / "config.toml").read_text()

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("E")
        await filled(app, pilot, rpm="lots")
        await until(pilot, lambda: "Nothing was changed" in screen_text(app))
        check(app, "providers_edit_wrong_120x36")

    assert (HOME / "config.toml").read_text() == before


async def test_a_file_that_is_broken_is_named_instead_of_edited() -> None:
    provider_seeds.seed(HOME)
    (HOME / "config.toml").write_text("[providers.openai\n")

    async with watched() as (app, pilot):
        await opened(app, pilot)
        for key in ("E", "space"):
            await pilot.press(key)
            await until(pilot, lambda: "not valid TOML" in screen_text(app))

    assert (HOME / "config.toml").read_text() == "[providers.openai\n"


async def test_a_key_is_typed_unseen_and_only_its_owner_can_read_the_file() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await at(pilot, 1)
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, Form))
        await pilot.press(*KEY)
        await pilot.pause()
        typed = screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "the key of openai is in keys.toml" in screen_text(app))
        after = screen_text(app)

    assert tomllib.loads((HOME / "keys.toml").read_text()) == {"openai": KEY}
    assert (HOME / "keys.toml").stat().st_mode & 0o777 == 0o600
    assert KEY[:12] not in typed + after
    assert KEY not in (HOME / "config.toml").read_text()


@pytest.mark.parametrize("key", ["", "two words", "naïve-key"])
async def test_what_cannot_be_a_key_is_refused_without_quoting_it(key: str) -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("K")
        await filled(app, pilot, key=key)
        await until(pilot, lambda: "! Key: it" in screen_text(app))
        shown = screen_text(app)

    assert not key or key not in shown
    assert not (HOME / "keys.toml").exists()


async def test_a_service_is_added_with_its_key() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("a")
        await filled(app, pilot, service="deepseek", key=KEY)
        await until(pilot, lambda: "added to config.toml" in screen_text(app))

    assert section("deepseek") == {"enabled": True}
    assert tomllib.loads((HOME / "keys.toml").read_text()) == {"deepseek": KEY}


async def test_a_server_of_ones_own_is_added_with_its_address() -> None:
    provider_seeds.seed(HOME)
    own = {"service": service_forms.OWN, "base_url": "http://127.0.0.1:8000/v1", "local": "yes"}

    async with watched((80, 24)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("a")
        await filled(app, pilot, **own)
        await until(pilot, lambda: "needs a name" in screen_text(app))
        check(app, "providers_add_wrong_80x24")
        await filled(app, pilot, name="my-vllm", models="a,b")
        await until(pilot, lambda: "added to config.toml" in screen_text(app))

    assert section("my-vllm") == {
        "wire": "openai_chat",
        "base_url": "http://127.0.0.1:8000/v1",
        "local": True,
        "models": ["a", "b"],
    }


async def test_another_account_is_like_the_service_it_is_of() -> None:
    HOME.mkdir()
    values = {"service": "openai", "name": "work", "base_url": "", "models": "", "key": KEY}
    values |= {"wire": "openai_chat", "local": "no"}

    wrong = service_forms.add(Home(HOME), {}, values)

    assert (wrong, section("work")) == ("", {"like": "openai"})


async def test_removing_asks_first() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await at(pilot, 1)
        await pilot.press("d")
        await until(pilot, lambda: "Remove openai from config.toml?" in screen_text(app))
        await pilot.press("n")
        kept = section("openai")
        await pilot.press("d", "y")
        await until(pilot, lambda: "openai is removed" in screen_text(app))

    assert kept == {"priority": 2}
    assert "providers" not in tomllib.loads((HOME / "config.toml").read_text())


async def test_the_cost_multiplier_is_a_number_or_nothing_changes() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await at(pilot, 1)
        await pilot.press("m")
        await filled(app, pilot, cost_multiplier="cheap")
        await until(pilot, lambda: "a number like 0.8" in screen_text(app))
        await filled(app, pilot, cost_multiplier="0.8")
        await until(pilot, lambda: "the cost of openai is changed" in screen_text(app))

    assert section("openai")["cost_multiplier"] == 0.8


async def test_a_model_nobody_holds_cannot_be_unloaded() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("u")
        await until(pilot, lambda: "has no model in memory" in screen_text(app))


async def test_read_only_changes_nothing() -> None:
    provider_seeds.seed(HOME)
    before = (HOME / "config.toml").read_text()

    async with watched() as (app, pilot):
        app.read_only = True
        await opened(app, pilot)
        for key in ("space", "E", "a", "K", "plus", "minus", "d", "T", "u", "w", "m", "t"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, ProvidersView)

    assert (HOME / "config.toml").read_text() == before


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("status:off", ["cohere"]),
        ("provider:openai,groq", ["openai", "groq"]),
        ("model:qwen3*", ["ollama"]),
        ("priority>2", ["groq", "ollama"]),
    ],
)
async def test_the_filter_knows_the_fields_of_a_provider(text: str, names: list[str]) -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        view = await opened(app, pilot)
        await pilot.press("slash")
        view.query_one(Input).value = text
        await pilot.pause()
        contents = view.contents(view.columns_for(120), app.look())

    assert list(contents.keys) == names


@pytest.mark.parametrize(
    ("asked", "argument"),
    [
        (
            QUESTION,
            {"task": "code", "input_tokens": 6000, "output_tokens": 800}
            | {"needs": ["tools"], "strategy": "cheapest"},
        ),
        ({"task": "", "strategy": what_if.USUAL, "needs": ""}, {}),
    ],
)
def test_a_question_becomes_the_arguments_of_the_tool(
    asked: dict[str, str], argument: dict[str, Any]
) -> None:
    assert what_if.argument(asked) == argument


@pytest.mark.parametrize(
    ("mine", "others", "by", "after"),
    [(2, [1], -1, 1), (1, [], -1, None), (1, [], 1, 2), (None, [1, 4], -1, 5), (None, [], 1, None)],
)
def test_a_step_moves_a_priority_by_one(
    mine: int | None, others: list[int], by: int, after: int | None
) -> None:
    def service(priority: int | None) -> Any:
        from types import SimpleNamespace

        return SimpleNamespace(said=SimpleNamespace(priority=priority))

    assert service_forms.stepped(service(mine), list(map(service, others)), by) == after

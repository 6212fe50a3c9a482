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
        {"provider": "ollama", "model": "qwen3:8b", "reason": "needs", "detail": "has no tools"},
        {"provider": "together", "model": "a", "reason": "key_missing", "detail": "has no key"},
        {"provider": "gemini", "model": "b", "reason": "key_missing", "detail": "has no key"},
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
        view = await opened(app, pilot)
        check(app, named("view", size))
        for row, name in ((1, "cloud"), (2, "local")):
            await at(pilot, row)
            await pilot.press("enter")
            await pilot.pause()
            check(app, named(f"detail_{name}", size))
            await pilot.press("escape")
        view.question, view.plan = QUESTION, PLAN
        await pilot.press("tab")
        await pilot.pause()
        check(app, named("what_if", size))


async def test_before_any_server_the_view_says_how_to_begin() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME):
        pass

    async with watched(SIZES[0]) as (app, pilot):
        await opened(app, pilot)
        check(app, named("empty", SIZES[0]))
        await pilot.resize_terminal(*SIZES[1])
        await until(pilot, lambda: app.screen.size.width == SIZES[1][0])
        check(app, named("empty", SIZES[1]))


async def test_without_servers_the_last_one_is_believed_and_it_says_so_in_ascii_too() -> None:
    provider_seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        db.execute("UPDATE servers SET ended = ?", (NOW - 100,))

    async with watched((80, 24), ascii_only=True) as (app, pilot):
        await opened(app, pilot)
        shown = screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        shown += screen_text(app)

    assert "no server runs: as the last one saw it" in shown
    assert "no server runs that could test it" in shown
    assert shown.isascii()


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


async def test_space_switches_and_plus_moves_a_provider_and_comments_are_kept() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("plus")
        await until(pilot, lambda: "anthropic is first already" in screen_text(app))
        await pilot.press("j", "plus")
        await until(pilot, lambda: "openai has priority 1" in screen_text(app))
        await pilot.press("space")
        await until(pilot, lambda: "openai is off" in screen_text(app))

    assert (section("openai"), section("anthropic")) == ({"priority": 1, "enabled": False}, {})
    assert "# mine" in (HOME / "config.toml").read_text()


def test_an_edit_changes_what_was_changed_and_nothing_else() -> None:
    form = edited('priority = 2\nbase_url = "http://127.0.0.1:9/v1" # mine\nenabled = false')
    changed = {"enabled": "yes", "priority": "", "models": "gpt-5.5, gpt-5.5-mini", "rpm": "60"}

    assert saved(form, **changed) == ""
    assert section("openai") == {
        "base_url": "http://127.0.0.1:9/v1",
        "enabled": True,
        "models": ["gpt-5.5", "gpt-5.5-mini"],
        "rpm": 60,
    }
    assert "# mine" in (HOME / "config.toml").read_text()


def test_an_edit_without_a_change_leaves_the_file_alone() -> None:
    form = edited("priority=2  # oddly   written")
    before = (HOME / "config.toml").read_text()

    assert saved(form) == ""
    assert (HOME / "config.toml").read_text() == before


def edited(section: str) -> Form:
    HOME.mkdir()
    (HOME / "config.toml").write_text(f"[providers.openai]\n{section}\n")
    return service_forms.edit_form(Home(HOME), {}, "openai")


def saved(form: Form, **typed: str) -> str:
    """What the form answers when it is saved with this typed over what it held."""
    assert form.save is not None
    return form.save({field.name: field.value for field in form.fields} | typed)


async def test_bad_input_is_one_sentence_and_changes_nothing() -> None:
    provider_seeds.seed(HOME)
    before = (HOME / "config.toml").read_text()

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("E")
        await filled(app, pilot, rpm="lots")
        await until(pilot, lambda: "Nothing was changed" in screen_text(app))
        check(app, "providers_edit_wrong_120x36")
        await pilot.press("escape")
        (HOME / "config.toml").write_text("[providers.openai\n")
        for key in ("E", "space"):
            await pilot.press(key)
            await until(pilot, lambda: "not valid TOML" in screen_text(app))
        (HOME / "config.toml").write_text(before)

    assert (HOME / "config.toml").read_text() == before


async def test_a_key_is_typed_unseen_and_only_its_owner_can_read_the_file() -> None:
    provider_seeds.seed(HOME)
    key = "sk-0"

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("j", "K")
        await filled(app, pilot, key="two words")
        await until(pilot, lambda: "! Key: it has characters inside" in screen_text(app))
        shown = screen_text(app)
        await filled(app, pilot, key="")
        await pilot.press(*key)
        await pilot.pause()
        shown += screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "the key of openai is in keys.toml" in screen_text(app))
        shown += screen_text(app)

    assert tomllib.loads((HOME / "keys.toml").read_text()) == {"openai": key}
    assert (HOME / "keys.toml").stat().st_mode & 0o777 == 0o600
    assert not [text for text in (key, "two words") if text in shown]


@pytest.mark.parametrize("key", ["", "two words", "naïve-key", "k" * 9000])
def test_what_cannot_be_a_key_is_refused_without_quoting_it(key: str) -> None:
    wrong = service_forms.wrong_key(key)

    assert wrong
    assert not key or key not in wrong


@pytest.mark.parametrize(
    ("service", "name", "sections"),
    [
        ("deepseek", "", {"deepseek": {"enabled": True}}),
        ("openai", "work", {"work": {"like": "openai"}}),
    ],
    ids=["a service", "another account"],
)
def test_a_provider_is_added_with_its_key(
    service: str, name: str, sections: dict[str, Any]
) -> None:
    HOME.mkdir()
    form = service_forms.add_form(Home(HOME), {}, ["deepseek"])

    assert saved(form, service=service, name=name, key=KEY) == ""
    assert tomllib.loads((HOME / "config.toml").read_text())["providers"] == sections
    assert tomllib.loads((HOME / "keys.toml").read_text()) == dict.fromkeys(sections, KEY)


def test_a_provider_that_is_there_is_not_added_again() -> None:
    HOME.mkdir()
    form = service_forms.add_form(Home(HOME), {}, [])

    assert "There is a provider 'groq'" in saved(form, service="openai", name="groq", key=KEY)
    assert list(HOME.iterdir()) == []


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


async def test_removing_asks_first() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        await opened(app, pilot)
        await pilot.press("u")
        await until(pilot, lambda: "has no model in memory" in screen_text(app))
        await pilot.press("j", "d")
        await until(pilot, lambda: "Remove openai from config.toml?" in screen_text(app))
        await pilot.press("n")
        kept = section("openai")
        await pilot.press("d", "y")
        await until(pilot, lambda: "openai is removed" in screen_text(app))

    assert kept == {"priority": 2}
    assert "providers" not in tomllib.loads((HOME / "config.toml").read_text())


@pytest.mark.parametrize(
    ("value", "fine"),
    [("0.8", True), ("0", True), ("", True), ("cheap", False), ("-1", False), ("inf", False)],
)
def test_a_cost_multiplier_is_a_number_that_is_not_negative(value: str, *, fine: bool) -> None:
    assert (service_forms.wrong_multiplier(value) == "") is fine


async def test_read_only_changes_nothing() -> None:
    provider_seeds.seed(HOME)

    async with watched() as (app, pilot):
        app.read_only = True
        view = await opened(app, pilot)
        refusals = [view.may(action, "ollama") for action in view.ACTIONS]
        await pilot.press("space", "E", "T")
        await pilot.pause()

        assert app.screen is view
    assert all(refusals)
    assert section("anthropic") == {}


async def test_filters_and_exports_know_the_fields_of_a_provider() -> None:
    provider_seeds.seed(HOME)
    filters = {
        "status:off": ["cohere"],
        "provider:openai,groq": ["openai", "groq"],
        "model:qwen3*": ["ollama"],
        "priority>2": ["groq", "ollama"],
    }

    async with watched() as (app, pilot):
        view = await opened(app, pilot)
        found: dict[str, list[str]] = {}
        for text in filters:
            view.filter_text = text
            found[text] = list(view.contents(view.columns_for(120), app.look()).keys)
        view.filter_text = "provider:openai"
        record_at = view.contents(view.columns_for(120), app.look()).record_at

    assert found == filters
    assert record_at is not None
    assert record_at(0)["key_not_in"] == [8003]


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

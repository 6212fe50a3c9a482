"""Everything that can be done, found by typing: `:` or ctrl+p."""

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Provider, SearchIcon
from textual.content import Content

from . import breakers
from .actions import key_of, shown_key
from .bar import TABS
from .glyphs import in_ascii
from .options import POLLS
from .view import View
from .watching import Watching, watching_of

FILTER = "filter "
CALL = "call "
PALETTE = "--command-palette"  # by which Textual knows that it is open


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`text` is matched and shown and may come from outside; `help` is ours."""

    text: str
    help: str
    run: Callable[[], object]


class Palette(CommandPalette):
    """Drawn with ASCII alone where its user wants that."""

    def __init__(self) -> None:
        super().__init__(id=PALETTE, placeholder="Search for commands")

    def on_mount(self) -> None:
        if watching_of(self).ascii_only:
            self.add_class("ascii")
            self.query_one(SearchIcon).icon = ">"


class Commands(Provider):
    @property
    def watching(self) -> Watching:
        return cast("Watching", self.app)  # pyright: ignore[reportUnknownMemberType]

    def written(self, text: str) -> Content:
        return Content(in_ascii(text) if self.watching.ascii_only else text)

    async def discover(self) -> AsyncGenerator[DiscoveryHit]:
        for one in self.shown_at_once():
            yield DiscoveryHit(self.written(one.text), one.run, text=one.text, help=one.help)

    async def search(self, query: str) -> AsyncGenerator[Hit]:
        matcher = self.matcher(query)
        for one in (*self.shown_at_once(), *self.named()):
            score = matcher.match(one.text)
            if score > 0:
                # Not the matcher's highlight: it takes text for markup.
                yield Hit(score, self.written(one.text), one.run, text=one.text, help=one.help)
        for one in self.typed(query):
            yield Hit(1.0, self.written(one.text), one.run, text=one.text, help=one.help)

    def shown_at_once(self) -> Iterator[Command]:
        yield from self.actions()
        for mode, key, title, _ in TABS:
            shown = shown_key(self.watching.keymap.get(mode, key))
            yield Command(
                text=f"Go to {title}", help=f"key {shown}", run=partial(self.watching.go, mode)
            )

    def actions(self) -> Iterator[Command]:
        view = self.screen
        if not isinstance(view, View):
            return
        for action in view.actions():
            refusal = view.may(action, view.cursor_key)
            key = f"key {key_of(action, self.watching.keymap)}"
            yield Command(
                text=action.title,
                help=f"{key} · not now: {refusal}" if refusal else key,
                run=partial(view.action_act, action.name),
            )

    def named(self) -> Iterator[Command]:
        """What is only found by its name."""
        watching = self.watching
        for name in sorted(watching.themes()):
            yield Command(text=f"theme {name}", help="colours", run=partial(watching.wear, name))
        for poll in POLLS:
            yield Command(
                text=f"poll {poll}", help="how often to look", run=partial(watching.poll, poll)
            )
        yield Command(
            text="read-only", help="switch actions off or on", run=watching.switch_read_only
        )
        for name, text in watching.filters.items():
            yield Command(
                text=f"filter {name}: {text}",
                help="saved in [tui.filters]",
                run=partial(watching.go, "", filter_text=text),
            )
        yield from self.things()

    def things(self) -> Iterator[Command]:
        """Providers, circuits, budgets and calls that are known."""
        watching, store = self.watching, self.watching.store
        known = breakers.circuits(store, watching.look())
        for name in sorted({one.provider for one in known}):
            go = partial(watching.go, "providers", name)
            yield Command(text=f"provider {name}", help="go there", run=go)
            only = partial(watching.go, "live", filter_text=f"provider:{name}")
            yield Command(text=f"filter provider:{name}", help="its calls", run=only)
        for one in known:
            go = partial(watching.go, "circuits", one.name)
            yield Command(text=f"circuit {one.name}", help="go there", run=go)
        for spending in store.snapshot.spendings:
            go = partial(watching.go, "budgets", spending.budget)
            yield Command(text=f"budget {spending.budget}", help="go there", run=go)
        for call in store.snapshot.running:
            go = partial(watching.go, "live", call.call_id)
            yield Command(text=f"call {call.call_id}", help="running", run=go)

    def typed(self, query: str) -> Iterator[Command]:
        """What the user wrote out in full."""
        text = query.removeprefix(FILTER).strip()
        if query.startswith(FILTER) and text and text not in self.watching.filters:
            go = partial(self.watching.go, "", filter_text=text)
            yield Command(text=f"filter {text}", help="this view", run=go)
        if query.startswith(CALL) and (call := query.removeprefix(CALL).strip()):
            go = partial(self.watching.go, "live", filter_text=f"call:{call}")
            yield Command(text=f"call {call}", help="look for it among all calls", run=go)

"""The words of routing: offers, the state of the machine, what a call demands, the plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..providers.catalog import Model, Provider
from ..providers.prices import Rates
from .allowances import UNLIMITED, Allowance
from .budgets import Window
from .estimates import Estimate
from .reasons import Block, Reason
from .settings import Privacy
from .speeds import Speed

EXPECTED_OUTPUT = 500  # tokens of an answer nobody has seen yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One model at one provider, with all that is known of it before anyone calls.

    `group`: 0 is what was named, or the task's own models; 1 is meant for the task (`use_for`);
    2 is everything else. `order` breaks ties the way the user wrote them. `absent` says why it
    cannot be used at all, if so. `private` is the strictest privacy it satisfies;
    `weight` is its provider's share where candidates are drawn; `loaded`: it is in the memory of
    a local program now (None: not known)."""

    provider: Provider
    model: str
    facts: Model
    group: int = 2
    priority: int = 1_000_000
    order: int = 0
    absent: Reason | None = None
    absent_detail: str = ""
    private: Privacy = "any"
    rates: Rates | None = None
    windows: tuple[Window, ...] = ()
    max_tokens: int = 4096
    weight: float = 1.0
    allowance: Allowance = UNLIMITED
    loaded: bool | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.provider.name, self.model

    @property
    def strict(self) -> bool:
        """Does a budget hold the most a call can cost, and not only what it probably will?"""
        return any(window.reserve == "bound" for window in self.windows)

    @property
    def expects(self) -> bool:
        """Do its budgets, if there are any, hold only what a call probably costs?"""
        return bool(self.windows) and not self.strict


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a budget has left in its window."""

    limit_nano: int
    free_nano: int
    resets_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the machine at one moment: circuits, cooldowns, holds and money. `due` are the
    open circuits whose time to be probed has come; `turn` is the counter that strategies which
    vary draw from; `full` are the providers that answer as many calls of this process as they may;
    `speeds` and `loads` (running calls) are read for strategies that measure; `estimates` are what
    calls of a model use in fact."""

    now: float
    blocks: Mapping[tuple[str, str], Block] = field(default_factory=dict[tuple[str, str], Block])
    rooms: Mapping[str, Room] = field(default_factory=dict[str, Room])
    due: frozenset[tuple[str, str]] = frozenset()
    turn: int = 0
    full: frozenset[str] = frozenset()
    speeds: Mapping[tuple[str, str], Speed] = field(default_factory=dict[tuple[str, str], Speed])
    loads: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    estimates: Mapping[tuple[str, str], Estimate] = field(
        default_factory=dict[tuple[str, str], Estimate]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a call requires of whoever takes it. `input_bound` is a strict upper bound in tokens;
    `input_expected` a fair estimate; `images` are those the model is to read; `requests` are those
    the call may be cut into; `cap` is an output cap the caller set, None if they did not."""

    needs: frozenset[str] = frozenset()
    privacy: Privacy = "any"
    input_bound: int = 0
    input_expected: int = 0
    images: int = 0
    requests: int = 1
    cap: int | None = None
    expected_output: int = EXPECTED_OUTPUT
    max_cost_nano: int | None = None
    strategy: str = "priority"
    allow_unpriced: bool = False
    dimensions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that may be tried. `max_tokens` is the cap that will be sent; `bound_nano` the most
    an attempt can cost, `expected_nano` what it probably will (None: no known price), `safe_nano`
    what few exceed, where its budgets hold no more than that. `is_probe`: its circuit is open, and
    this call would be the one that tests it. `asks_first`: the user is asked about its provider
    before (first_uses.py). `turn`, `draw` (in [0, 1)), `expected_ms` and `load` are what
    strategies look at."""

    offer: Offer
    max_tokens: int
    bound_nano: int | None
    expected_nano: int | None
    rates: Rates | None = None
    safe_nano: int | None = None
    is_probe: bool = False
    asks_first: bool = False
    why: str = ""
    turn: int = 0
    draw: float = 0.0
    expected_ms: float | None = None
    load: int = 0

    @property
    def held_nano(self) -> int | None:
        """What its budgets hold while it runs."""
        return self.bound_nano if self.safe_nano is None else self.safe_nano


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    provider: str
    model: str
    reason: Reason
    detail: str
    until: float | None = None
    budget: str | None = None
    needed_nano: int = 0


def excluded(offer: Offer, reason: Reason, detail: str, until: float | None = None) -> Excluded:
    return Excluded(
        provider=offer.provider.name, model=offer.model, reason=reason, detail=detail, until=until
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`at_limit` is the budget whose limit chose the candidates, if one did; `fitting` are models
    that would fit and that this call does not mean, cheapest first. Where nothing fits and its
    budgets would ask: `askable` is what the user is asked about, `asking` the tightest budget."""

    candidates: tuple[Candidate, ...]
    excluded: tuple[Excluded, ...]
    strategy: str
    at_limit: str | None = None
    fitting: tuple[Candidate, ...] = ()
    askable: Candidate | None = None
    asking: str | None = None


def standing(offer: Offer) -> tuple[int, int, int]:
    """What was named stands in the order it was named in; the rest by the user's priorities."""
    return offer.group, 0 if offer.group == 0 else offer.priority, offer.order

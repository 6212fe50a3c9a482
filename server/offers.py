"""From a wish to a plan: the models on offer, what the call demands, what the machine says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ..providers.prices import rates
from ..providers.tokens import estimate_tokens, input_bound, input_expected, tokens_bound
from ..providers.types import Call, EmbedCall
from . import books, budgets, tasks
from .asks import Size, Wish
from .budgets import Window
from .desk import Client, Desk
from .errors import BadRequest
from .registry import Listed
from .routing import HINTS, PRIVACY_RANK, STRATEGIES, Demand, Offer, Plan, Room, plan, standing
from .settings import Privacy, TaskSettings

LAST = 1_000_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, with the budgets it was made under: their windows and the room in each."""

    plan: Plan
    windows: Mapping[str, Window]
    rooms: Mapping[str, Room]


def strictest(*wanted: Privacy) -> Privacy:
    """A caller can raise privacy, never lower what the task or the configuration says."""
    return max(wanted, key=lambda privacy: PRIVACY_RANK[privacy])


def strategy_for(desk: Desk, wish: Wish, profile: TaskSettings) -> str:
    """The caller's strategy, else their hint's, else the task's, else the configured one."""
    hinted = HINTS[wish.prefer] if wish.prefer else None
    name = wish.strategy or hinted or profile.strategy or desk.settings.routing.strategy
    if name not in STRATEGIES:
        near = get_close_matches(name, STRATEGIES, n=1)
        raise BadRequest(
            f"there is no strategy {name[:60]!r}",
            next_step=f"{f'Did you mean {near[0]!r}? ' if near else ''}"
            f"Known: {', '.join(STRATEGIES)}.",
        )
    return name


def demand_for(
    desk: Desk,
    wish: Wish,
    *,
    asked: Call | EmbedCall | None = None,
    capped: bool = False,
    size: Size | None = None,
) -> Demand:
    """What a call requires. Sizes come from the call itself, or from `size` where there is none."""
    profile = tasks.profile(wish.task, desk.settings.routing.tasks)
    bound, expected, cap = measured(asked, size or Size())
    if isinstance(asked, Call) and capped:
        cap = asked.max_tokens
    return Demand(
        needs=wish.needs | frozenset(profile.needs),
        privacy=strictest(wish.privacy, profile.privacy, desk.settings.routing.privacy),
        input_bound=bound,
        input_expected=expected,
        cap=cap,
        max_cost_nano=wish.max_cost_nano,
        strategy=strategy_for(desk, wish, profile),
        allow_unpriced=desk.settings.routing.allow_unpriced,
        dimensions=asked.dimensions if isinstance(asked, EmbedCall) else None,
    )


def measured(asked: Call | EmbedCall | None, size: Size) -> tuple[int, int, int | None]:
    """Input tokens at most, input tokens probably, and the output cap if one is set."""
    if asked is not None:
        return input_bound(asked), input_expected(asked), None
    if size.tokens is not None:
        return size.tokens, size.tokens, size.cap
    return tokens_bound(size.prompt), estimate_tokens(size.prompt), size.cap


async def planned(desk: Desk, wish: Wish, demand: Demand, client: Client) -> Planned:
    """The plan for this wish, now. Reads the ledger once, and asks local programs whether they
    run."""
    await desk.registry.discover(desk.http)
    offers = on_offer(desk, wish, demand, client)
    windows = {window.budget: window for offer in offers for window in offer.windows}
    snapshot = await desk.ledger.read(
        books.snapshot,
        [offer.key for offer in offers],
        list(windows.values()),
        desk.ledger.run_dir,
        desk.clock(),
    )
    return Planned(plan(offers, demand, snapshot), windows, snapshot.rooms)


def on_offer(desk: Desk, wish: Wish, demand: Demand, client: Client) -> list[Offer]:
    """Every model that could be meant, best guess first. Raises NotFound for a name nobody has."""
    profile = tasks.profile(wish.task, desk.settings.routing.tasks)
    embeds = "embeddings" in demand.needs
    named = named_models(desk, wish) or list(profile.models)
    chosen = [pair for name in named for pair in desk.registry.resolve(name, embeds=embeds)]
    pairs = [(0, *pair) for pair in chosen]
    if not named or (not wish.model and not wish.provider and not profile.only):
        pairs += [(group_of(row, wish), row, model) for row, model in everything(desk, embeds)]
    first_named = {(row.provider.name, model) for row, model in chosen}
    seen: set[tuple[str, str]] = set()
    offers: list[Offer] = []
    for group, row, model in pairs:
        key = (row.provider.name, model)
        if key in seen or (group and key in first_named):
            continue
        seen.add(key)
        offers.append(
            offer(desk, row, model, group=group, order=len(offers), client=client, task=wish.task)
        )
    return same_model(offers) if embeds else offers


def named_models(desk: Desk, wish: Wish) -> list[str]:
    """What the caller named, if anything. Raises NotFound for a provider there is not."""
    if not wish.provider:
        return [wish.model] if wish.model else []
    provider = desk.registry.named(wish.provider).provider.name
    if not wish.model:
        return [provider]
    twice = wish.model.startswith((f"{provider}/", f"{provider}:"))
    return [wish.model if twice else f"{provider}/{wish.model}"]


def group_of(row: Listed, wish: Wish) -> int:
    meant = wish.task is not None and set(tasks.names(wish.task)) & set(row.use_for)
    return 1 if meant else 2


def everything(desk: Desk, embeds: bool) -> Iterable[tuple[Listed, str]]:
    """Each provider's own choice of model, `*` where only a program that does not run could say;
    providers that answer only by name, or do nothing of the kind, stay out."""
    for row in desk.registry.listed():
        if row.provider.by_name_only:
            continue
        model = row.embedding_model if embeds else row.default_model
        if model is not None or (row.can(embeds=embeds) and row.absent()[0] is not None):
            yield row, model or "*"


def offer(
    desk: Desk,
    row: Listed,
    model: str,
    *,
    group: int,
    order: int,
    client: Client,
    task: str | None,
) -> Offer:
    provider = row.provider
    chain = desk.settings.routing.chain
    absent, detail = row.absent()
    windows = budgets.applicable(
        desk.budgets,
        provider=provider.name,
        model=model,
        task=task,
        client=client.name,
        project=desk.project,
        at=desk.clock(),
        timezone=desk.settings.timezone,
    )
    return Offer(
        provider=provider,
        model=model,
        facts=provider.facts(model),
        group=group,
        priority=chain.index(provider.name)
        if provider.name in chain
        else (row.priority + len(chain) if row.priority is not None else LAST),
        order=order,
        absent=absent,
        absent_detail=detail,
        private=privacy_of(desk, row, model),
        rates=rates(
            provider,
            model,
            overrides=desk.prices,
            multiplier=row.cost_multiplier,
        ),
        windows=windows,
        max_tokens=row.defaults.max_tokens or desk.settings.limits.max_tokens,
    )


def privacy_of(desk: Desk, row: Listed, model: str) -> Privacy:
    """The strictest privacy this model satisfies by what its row says; the address is checked
    again when the connection is made."""
    if row.is_here(desk.settings.network.trusted_hosts, model):
        return "local"
    return "no_retention" if row.provider.retention else "any"


def same_model(offers: Sequence[Offer]) -> list[Offer]:
    """Vectors of two models do not compare: only the first usable offer's model stays."""
    first = next((o for o in sorted(offers, key=standing) if o.absent is None), None)
    if first is None:
        return list(offers)
    return [o for o in offers if o.absent is not None or o.model == first.model]

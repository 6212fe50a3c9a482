"""From a wish to a plan: the models on offer, what the call demands, what the machine says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from ..providers.prices import rates
from ..providers.tokens import input_bound, input_expected, pictures
from ..providers.types import Call, EmbedCall, Message
from . import books, budgets, first_uses, limits, tasks, unledgered
from .allowances import Allowance
from .asks import Size, Wish
from .budgets import Window
from .candidates import Demand, Offer, Plan, Room, standing
from .desk import Client, Desk
from .errors import BadRequest
from .registry import Listed
from .routing import PRIVACY_RANK, plan
from .settings import OTHER_NAMES, AtLimit, Privacy, TaskSettings
from .strategies import HINTS, MEASURING, STRATEGIES
from .tasks import MODEL_ALIASES, NO_ALIAS, ModelAlias

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
    """The caller's strategy, else their hint's, else the alias's, else the task's, else the
    configured one."""
    hinted = HINTS[wish.prefer] if wish.prefer else None
    alias = built_in(desk, wish).strategy
    said = wish.strategy or hinted or alias or profile.strategy or desk.settings.routing.strategy
    name = OTHER_NAMES.get(said, said)
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
    profile = task_of(desk, wish)
    bound, expected, cap = measured(asked, size or Size(), wish.tool == "embed")
    if isinstance(asked, Call) and capped:
        cap = asked.max_tokens
    return Demand(
        needs=wish.needs | frozenset(profile.needs),
        privacy=strictest(
            wish.privacy,
            profile.privacy,
            desk.settings.routing.privacy,
            built_in(desk, wish).privacy,
        ),
        input_bound=bound,
        input_expected=expected,
        images=pictured(asked, wish),
        requests=len(asked.texts) if isinstance(asked, EmbedCall) else 1,
        cap=cap,
        max_cost_nano=wish.max_cost_nano,
        strategy=strategy_for(desk, wish, profile),
        allow_unpriced=desk.settings.routing.allow_unpriced,
        dimensions=asked.dimensions if isinstance(asked, EmbedCall) else None,
    )


def pictured(asked: Call | EmbedCall | None, wish: Wish) -> int:
    """How many images the model is to read: at least one where only the need is known."""
    return pictures(asked) if isinstance(asked, Call) else int("images" in wish.needs)


def measured(
    asked: Call | EmbedCall | None, size: Size, embeds: bool
) -> tuple[int, int, int | None]:
    """Input tokens at most, input tokens probably, and the output cap if one is set. A prompt is
    counted as the call that would send it."""
    if asked is not None:
        return input_bound(asked), input_expected(asked), None
    if size.tokens is not None:
        return size.tokens, size.tokens, size.cap
    if not size.prompt:
        return 0, 0, size.cap
    said = Message(role="user", text=size.prompt)
    imagined = EmbedCall(texts=(size.prompt,)) if embeds else Call(messages=(said,), max_tokens=1)
    return input_bound(imagined), input_expected(imagined), size.cap


async def planned(desk: Desk, wish: Wish, demand: Demand, client: Client) -> Planned:
    """The plan for this wish, now. Reads the ledger once, and asks local programs whether they
    run: for a private call only those of this machine. Where budgets leave nothing of what a call
    names, it looks once more, for what would fit. Raises LedgerUnavailable where that is all that
    keeps the call from being made."""
    private = demand.privacy == "local"
    trusted = desk.settings.network.trusted_hosts if private else None
    await desk.look_around(trusted)
    offers = on_offer(desk, wish, demand, client)
    made = await planned_for(desk, demand, offers)
    if limits.replaceable(made.plan) and may_be_replaced(desk, wish, demand):
        made = await widened(desk, wish, demand, client, offers, made)
    return replace(made, plan=await first_uses.marked(desk, made.plan))


async def widened(
    desk: Desk,
    wish: Wish,
    demand: Demand,
    client: Client,
    offers: Sequence[Offer],
    made: Planned,
) -> Planned:
    """The plan with what would fit beside what is named."""
    known = {offer.key for offer in offers}
    others = [
        offer(desk, row, model, group=limits.STAND_IN, order=n, client=client, task=wish.task)
        for n, (row, model) in enumerate(everything(desk, embeds=False), len(offers))
        if (row.provider.name, model) not in known
    ]
    wider = await planned_for(desk, demand, [*offers, *others])
    return replace(wider, plan=limits.stood_in(made.plan, wider.plan, policies(wider)))


def policies(made: Planned) -> Mapping[str, AtLimit]:
    return {budget: window.at_limit for budget, window in made.windows.items()}


def may_be_replaced(desk: Desk, wish: Wish, demand: Demand) -> bool:
    """A model that was named, but no provider, and no models the user wants and no others."""
    named = wish.model and not wish.provider and wish.model not in MODEL_ALIASES
    only = task_of(desk, wish).only
    return bool(named) and not only and "embeddings" not in demand.needs


async def planned_for(desk: Desk, demand: Demand, offers: Sequence[Offer]) -> Planned:
    windows = {window.budget: window for offer in offers for window in offer.windows}
    looking = books.Looking(
        keys=tuple(offer.key for offer in offers),
        priced=tuple(o.key for o in offers if o.rates and not unledgered.is_free(o.rates)),
        windows=tuple(windows.values()),
        allowances=allowances(offers),
        tokens=demand.input_expected + demand.expected_output,
        marks=marks(desk, offers),
        measuring=demand.strategy in MEASURING,
        turns_taken=desk.turns_taken,
        run_dir=desk.ledger.run_dir,
        now=desk.clock(),
    )
    snapshot, failure = await unledgered.seen(desk.ledger, looking, offers)
    full = frozenset(name for name, queue in desk.queues.items() if queue.is_full)
    snapshot = replace(snapshot, full=full) if full else snapshot
    made = plan(offers, demand, snapshot)
    if failure is not None and unledgered.is_why(made):
        raise failure
    return Planned(made, windows, snapshot.rooms)


def marks(desk: Desk, offers: Iterable[Offer]) -> Mapping[str, str]:
    """The marks of the keys of the providers on offer."""
    keys = {offer.provider.name: desk.registry.key(offer.provider.name) for offer in offers}
    return {name: key.mark for name, key in keys.items() if key is not None}


def allowances(offers: Iterable[Offer]) -> Mapping[str, Allowance]:
    """The providers on offer whose use the user limits."""
    found = {offer.provider.name: offer.allowance for offer in offers}
    return {name: allowance for name, allowance in found.items() if allowance.limited}


def built_in(desk: Desk, wish: Wish) -> ModelAlias:
    """What `fast`, `local` and the like mean in place of a model, unless the user's own alias of
    that name means something else."""
    own = wish.model in desk.settings.routing.aliases
    return NO_ALIAS if own else MODEL_ALIASES.get(wish.model or "", NO_ALIAS)


def task_of(desk: Desk, wish: Wish) -> TaskSettings:
    """Raises BadRequest for a task nobody knows."""
    return tasks.profile(
        wish.task, desk.settings.routing.tasks, plain=tasks.unordered(desk.settings)
    )


def on_offer(desk: Desk, wish: Wish, demand: Demand, client: Client) -> list[Offer]:
    """Every model that could be meant, best guess first. Raises NotFound for a name nobody has."""
    embeds = "embeddings" in demand.needs
    meant = meaning(desk, wish, demand)
    chosen = [pair for name in meant.names for pair in desk.registry.resolve(name, embeds=embeds)]
    pairs = [(0, *pair) for pair in chosen]
    if meant.others_follow:
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


@dataclass(frozen=True, slots=True)
class Meant:
    """The models a call is for, and whether all others may take it after them."""

    names: tuple[str, ...] = ()
    others_follow: bool = True


def meaning(desk: Desk, wish: Wish, demand: Demand) -> Meant:
    """What a call is for: the model or provider it names, else its task's models, else those of
    the first rule that fits its shape. Raises NotFound for a provider there is not."""
    routing = desk.settings.routing
    if wish.provider:
        return Meant((within(desk, wish.provider, wish.model),), others_follow=False)
    if wish.model in routing.aliases:
        return Meant((wish.model,))
    if wish.model and wish.model not in MODEL_ALIASES:
        return Meant((wish.model,), others_follow=False)
    profile = task_of(desk, wish)
    rule = None if wish.task or wish.model else tasks.rule_for(routing.rules, demand)
    if rule is not None:
        return Meant(rule.models, others_follow=not rule.only)
    return Meant(profile.models, others_follow=not (profile.only and profile.models))


def within(desk: Desk, provider: str, model: str | None) -> str:
    """The model of this provider, written out."""
    name = desk.registry.named(provider).provider.name
    if not model or model in MODEL_ALIASES:
        return name
    return model if model.startswith((f"{name}/", f"{name}:")) else f"{name}/{model}"


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
    # What cannot be used at all needs neither price nor budget, and is most of what is shipped.
    windows = (
        ()
        if absent
        else budgets.applicable(
            desk.budgets,
            provider=provider.name,
            model=model,
            task=task,
            client=client.name,
            project=desk.project,
            at=desk.clock(),
            timezone=desk.settings.timezone,
        )
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
        rates=None
        if absent
        else rates(
            provider,
            model,
            overrides=desk.prices,
            multiplier=row.cost_multiplier,
        ),
        windows=windows,
        max_tokens=row.defaults.max_tokens or desk.settings.limits.max_tokens,
        weight=row.weight,
        allowance=row.allowance,
        loaded=is_loaded(desk, row, model),
    )


def is_loaded(desk: Desk, row: Listed, model: str) -> bool | None:
    """An engine of ours has its model loaded while it is kept."""
    if row.provider.setup is None:
        return row.loaded(model)
    from .engines.stalls import Stall

    return Stall.of(desk.home.path, row.provider.name).is_kept()


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

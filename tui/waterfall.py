"""The attempts of a call on a common time line: waits, first tokens, ends, and what they cost."""

from collections.abc import Sequence

from ..server.ledger.closeup import Corrected, Tried
from ..server.ledger.watch import Finished, Running
from . import glyphs
from .calls import cost, target
from .closeup import correction_of
from .draw import Phase, fit, time_line, time_scale
from .figures import duration, money, speed, tokens
from .rows import Look

WIDE = 100
PREFIX, WIDE_AFTER = 4, 24
ABOUT = ("estimated", "presumed")


class Lines:
    """Makes lines of one width: number and model, bar, what became of it, cost."""

    def __init__(self, call: Running | Finished, look: Look, width: int) -> None:
        self.begin = call.started
        self.end = look.now if isinstance(call, Running) else call.ended
        self.name, self.after = (30, WIDE_AFTER) if width >= WIDE else (22, 13)
        self.bar = max(8, width - PREFIX - self.name - self.after - 11)

    def head(self, earlier: int) -> str:
        title = f"ATTEMPTS (+{earlier} earlier)" if earlier else "ATTEMPTS"
        scale = fit(time_scale(self.end - self.begin, self.bar), self.bar)
        ends = fit("OUTCOME", self.after) + fit("COST $", 9, "right")
        return f"{fit(title, PREFIX + self.name)}{scale} {ends}"

    def line(self, lead: str, name: str, phases: Sequence[Phase], said: str, paid: str) -> str:
        drawn = time_line(phases, begin=self.begin, end=self.end, width=self.bar)
        return (
            f"{lead:>3} {fit(name, self.name - 1)} {drawn} {fit(said, self.after)}"
            f"{fit(paid, 9, 'right')}"
        ).rstrip()

    def wait(self, tried: Tried) -> str:
        pause = Phase(kind="pause", begin=tried.started - tried.waited_s, end=tried.started)
        said = f"wait {duration(tried.waited_s)} {(tried.waited_for or '').replace('_', ' ')}"
        return self.line("", f"  {said}", [pause], "", "")

    def attempt(self, tried: Tried, corrected: Sequence[Corrected]) -> str:
        return self.line(
            str(tried.n),
            f"{tried.provider}/{tried.model}",
            phases_of(tried),
            outcome_of(tried, short=self.after < WIDE_AFTER),
            paid_for(tried, correction_of(corrected, tried.n)),
        )

    def current(self, call: Running, look: Look) -> str:
        """The attempt that is under way, or the wait before the next."""
        begun = call.attempt_started or call.started
        first = call.first_token_at if call.phase == "stream" else None
        phases = [Phase(kind="waiting", begin=begun, end=first or look.now)]
        if first:
            phases.append(Phase(kind="streaming", begin=first, end=look.now))
        said, number = f"{glyphs.RUNNING} {call.phase}", str(call.attempt)
        if call.phase in ("queue", "retry"):
            phases = [Phase(kind="pause", begin=look.now - 1e-6, end=look.now)]
            number = ""
        if call.phase == "retry" and call.next_try_at is not None:
            said = f"{glyphs.RETRY} in {duration(call.next_try_at - look.now)}"
        if first:
            word = "" if self.after < WIDE_AFTER else f"{call.phase} "
            said = f"{glyphs.RUNNING} {word}{speed(call.output_tokens, call.beat - first)} tok/s"
        held = money(call.reserved_nano, about=call.reserved_nano > 0)
        return self.line(number, target(call) or "choosing", phases, said, held)


def waterfall(
    call: Running | Finished,
    attempts: Sequence[Tried],
    corrected: Sequence[Corrected],
    look: Look,
    width: int,
    most: int,
) -> list[str]:
    """A line per attempt and per wait before it, the last ones first to be kept of `most`."""
    lines = Lines(call, look, width)
    groups = [
        [*([lines.wait(tried)] if tried.waited_s > 0 else []), lines.attempt(tried, corrected)]
        for tried in attempts
    ]
    known = {tried.n for tried in attempts}
    waiting = isinstance(call, Running) and call.phase in ("queue", "retry")
    if isinstance(call, Running) and (waiting or call.attempt not in known):
        groups.append([lines.current(call, look)])
    if not groups:
        return ["ATTEMPTS none: nothing was sent"]
    kept: list[str] = []
    earlier = len(groups)
    for group in reversed(groups):
        if kept and len(kept) + len(group) > most:
            break
        kept, earlier = [*group, *kept], earlier - 1
    return [lines.head(earlier), *kept]


def phases_of(tried: Tried) -> list[Phase]:
    fine = tried.outcome in ("ok", "misfit")
    if tried.first_token_at is None:
        kind = "waiting" if fine or tried.outcome in ("timed_out", "cancelled") else "failed"
        return [Phase(kind=kind, begin=tried.started, end=tried.ended)]
    return [
        Phase(kind="waiting", begin=tried.started, end=tried.first_token_at),
        Phase(
            kind="streaming" if fine or tried.outcome == "cancelled" else "failed",
            begin=tried.first_token_at,
            end=tried.ended,
        ),
    ]


def outcome_of(tried: Tried, *, short: bool) -> str:
    if tried.outcome == "ok":
        return f"{glyphs.OK} ok {tokens(tried.output_tokens)} out"
    status = f" {tried.http_status}" if tried.http_status and tried.http_status >= 300 else ""
    if short and status:
        return f"{glyphs.FAILED}{status}"
    return f"{glyphs.FAILED}{status} {tried.outcome.replace('_', ' ')}"


def paid_for(tried: Tried, correction: int | None) -> str:
    """With what was corrected later; `*` says that it was."""
    if correction is not None:
        return f"{money((tried.cost_nano or 0) + correction)}*"
    return cost(tried.cost_nano, tried.cost_kind, tried.cost_kind in ABOUT)

"""One running call: what is known of it at any moment, from which its rows and answers are made."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import anyio

from ..providers.errors import UpstreamError
from ..providers.tokens import estimate_tokens, input_expected
from ..providers.types import Call, Completion, EmbedCall, Embedding, Usage
from .asks import Wish
from .budgets import Window
from .candidates import Candidate, Excluded, Plan, Room
from .errors import Declined
from .ledger.records import AttemptRow, Phase
from .money import CostKind, weakest
from .outcomes import Attempted

if TYPE_CHECKING:
    from ..providers.assemble import Assembler
    from .approvals import Elicit
    from .books import Opened
    from .desk import Client, Desk
    from .registry import Registry

KEPT_RUNS = 64
KEPT_CHARS = 8_000_000
KEYS_S = 600.0  # how long an idempotency key is remembered


@dataclass(slots=True, kw_only=True)
class Trying:
    """The attempt being made. `begun` and `first_chunk_s`, seconds after it, are of the monotonic
    clock: wall clocks step. `sent`: the request may have reached the provider. `unanswered`: the
    tokens of embedding batches whose fate is not known. `loading` is what its engine does before it
    can answer. `run_out_s`: the provider said that it takes no more for so long. `estimated`: the
    tokens it probably reads."""

    n: int
    candidate: Candidate
    reservation: str
    started: float
    begun: float
    waited_s: float = 0.0
    waited_for: str = ""
    first_chunk_at: float | None = None
    first_chunk_s: float | None = None
    opened: "Opened | None" = None
    sent: bool = False
    request_id: str | None = None
    status: int | None = None
    run_out_s: float | None = None
    error: UpstreamError | None = None
    patience_s: float = 0.0
    loading: str = ""
    parts: list[Embedding] = field(default_factory=list[Embedding])
    unanswered: int = 0
    estimated: int = 0

    @property
    def answering(self) -> bool:
        """Has the provider answered any of it, so that something is owed whatever came after?"""
        return self.first_chunk_at is not None or bool(self.parts)


@dataclass(slots=True, kw_only=True)
class Run:
    """A call from its first moment to the reading of its answer. Times are UTC epoch seconds;
    `begun`, and the seconds after it `first_token_s` and `took_s`, are of the monotonic clock: wall
    clocks step. `registry` is the one it began with: the configuration may
    change while it runs. `misfit` is an answer that does not fit its schema, kept while the model
    is asked again; `passed_by` are candidates another call was faster at; `races` counts
    the plans made anew because money was taken, the last for the refusal `raced`. `asks` is how
    the client can ask its user (approvals.py), `awaits` the question that waits for an answer,
    `approval` the one that was allowed. `explained`: those who watch know its plan."""

    desk: "Desk"
    registry: "Registry"
    call_id: str
    wish: Wish
    client: "Client"
    asked: Call | EmbedCall
    timeout_s: float
    started: float
    begun: float
    capped: bool = False
    asks: "Elicit | Literal['afterwards'] | None" = None
    awaits: int | None = None
    approval: int | None = None
    local_only: bool = False
    waiting: int = 0
    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ending: Literal["cancelled", "timeout"] = "cancelled"
    phase: Phase = "queue"
    plan: Plan | None = None
    rooms: Mapping[str, Room] = field(default_factory=dict[str, Room])
    windows: Mapping[str, Window] = field(default_factory=dict[str, Window])
    trying: Trying | None = None
    rows: list[AttemptRow] = field(default_factory=list[AttemptRow])
    attempts: list[Attempted] = field(default_factory=list[Attempted])
    warnings: list[str] = field(default_factory=list[str])
    assembler: "Assembler | None" = None
    completion: Completion | None = None
    misfit: Completion | None = None
    answered_by: Candidate | None = None
    embedding: Embedding | None = None
    usage: Usage = field(default_factory=Usage)
    first_token_at: float | None = None
    first_token_s: float | None = None
    next_try_at: float | None = None
    next_wait: tuple[float, str] = (0.0, "")
    last_error: UpstreamError | None = None
    refusal: Declined | None = None
    raced: Declined | None = None
    races: int = 0
    passed_by: list[Excluded] = field(default_factory=list[Excluded])
    declined: Declined | None = None
    crash: Exception | None = None
    recorded: bool = False
    explained: bool = False
    turn_pending: bool = False
    ended: float | None = None
    took_s: float | None = None

    @property
    def answering(self) -> bool:
        """Is there something worth waiting for: an answer begun, or a local model loading?"""
        trying = self.trying
        if trying is None or self.misfit is not None:
            return False
        return trying.first_chunk_at is not None or trying.candidate.offer.provider.local

    @property
    def answer(self) -> Completion | None:
        """What goes back to the caller as matters stand."""
        return self.completion or self.misfit

    @property
    def text(self) -> str:
        if self.completion is not None:
            return self.completion.text
        return self.assembler.text if self.assembler else ""

    def elapsed_s(self) -> float:
        return self.desk.monotonic() - self.begun

    def taken_s(self, trying: Trying) -> float:
        return self.desk.monotonic() - trying.begun

    def remaining_s(self) -> float:
        return self.timeout_s - self.elapsed_s()

    def uses(self, provider: str, model: str) -> bool:
        trying = self.trying
        return trying is not None and trying.candidate.offer.key == (provider, model)

    def begin(self, candidate: Candidate, patience_s: float) -> Trying:
        """A new attempt; what an earlier one heard is forgotten: texts are never stitched."""
        self.assembler = None
        waited, why = self.next_wait
        self.next_wait, self.next_try_at = (0.0, ""), None
        self.trying = Trying(
            n=len(self.rows) + 1,
            candidate=candidate,
            reservation=self.desk.new_id(),
            started=self.desk.clock(),
            begun=self.desk.monotonic(),
            waited_s=waited,
            waited_for=why,
            patience_s=patience_s,
        )
        self.phase = "connect"
        return self.trying

    def heard(self, trying: Trying) -> None:
        """The first piece of an answer arrived."""
        now = self.desk.clock()
        trying.first_chunk_at, trying.first_chunk_s = now, self.taken_s(trying)
        self.first_token_at, self.first_token_s = now, self.elapsed_s()
        self.phase = "stream"

    def observed(self, parts: Sequence[Embedding] = (), unanswered: int = 0) -> Usage:
        """Tokens as reported so far, completed by what was seen: an estimate, flagged. Of an
        embedding, what the batches that came back took, and those that were under way."""
        if parts and all(part.usage.input is not None for part in parts):
            known = sum(part.usage.input or 0 for part in parts)
            return Usage(input=known + unanswered, output=0, estimated=unanswered > 0)
        heard = self.assembler
        reported = (heard.usage if heard else None) or Usage()
        seen = estimate_tokens(heard.text) + estimate_tokens(heard.reasoning) if heard else 0
        return replace(
            reported,
            input=input_expected(self.asked) if reported.input is None else reported.input,
            output=max(reported.output or 0, seen),
            estimated=True,
        )

    def total_cost(self) -> tuple[int | None, CostKind]:
        """The sum over all attempts, and the weakest of their kinds of knowledge."""
        kinds: set[CostKind] = {"none", *(a.cost_kind for a in self.attempts)}
        if "unknown" in kinds:
            return None, "unknown"
        return sum(a.cost_nano or 0 for a in self.attempts), weakest(kinds)

    def trail(self) -> str:
        """What failed before, short enough for a row of the terminal."""
        words = [
            f"{a.provider}/{a.model} {a.http_status or a.outcome}"
            for a in self.attempts
            if a.outcome != "ok"
        ]
        return ", ".join(words)[:400]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A run that belongs to an idempotency key, since when, and what it asks for."""

    run: Run
    fingerprint: str
    at: float


class Shelf:
    """The runs of this process, by call id: those running, and a bounded number of finished."""

    def __init__(self) -> None:
        self.keys: dict[str, Keyed] = {}
        self.claiming = anyio.Lock()
        self.runs: dict[str, Run] = {}
        self.finished: deque[tuple[str, int]] = deque()
        self.chars = 0

    def put(self, run: Run) -> None:
        self.runs[run.call_id] = run

    def find(self, call_id: str) -> Run | None:
        return self.runs.get(call_id)

    def note(self, name: str, fingerprint: str, run: Run, now: float) -> None:
        self.keys[name] = Keyed(run, fingerprint, now)

    def keyed(self, name: str, now: float) -> Keyed | None:
        """The run of a key, if it was made lately."""
        old = [key for key, kept in self.keys.items() if now - kept.at > KEYS_S]
        for key in old:
            del self.keys[key]
        return self.keys.get(name)

    def running(self) -> list[Run]:
        return [run for run in self.runs.values() if not run.done.is_set()]

    def keep(self, run: Run) -> None:
        """A run ended; the oldest ended ones are forgotten until few and small enough remain. Of
        those that stay only the answer is kept, not what was asked; vectors nobody can read on
        in are not kept at all."""
        run.asks = None
        if isinstance(run.asked, EmbedCall):
            del self.runs[run.call_id]
            return
        run.asked = replace(run.asked, messages=())
        size = len(run.text)
        self.finished.append((run.call_id, size))
        self.chars += size
        while len(self.finished) > KEPT_RUNS or (
            self.chars > KEPT_CHARS and len(self.finished) > 1
        ):
            call_id, size = self.finished.popleft()
            self.chars -= size
            del self.runs[call_id]

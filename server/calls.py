"""One call from start to finish: plan, reserve, admit, attempt, settle. The only file that knows
the story; routing, circuits, retries, budgets, prices, ledger and http are leaves it calls.

A call runs in a task of its own, so that it can outlive the request that asked for it: at the
caller's deadline the text so far goes back with a call_id, and the rest can be read later.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import anyio

from ..providers.assemble import Assembler
from ..providers.errors import Interrupted, UpstreamError
from ..providers.types import Call, EmbedCall
from . import (
    answers,
    batches,
    books,
    chosen,
    clients,
    following,
    housing,
    limits,
    mending,
    presence,
    refusals,
    repeats,
    retries,
    rows,
    telemetry,
    telling,
    unledgered,
    waiting,
)
from .approvals import Elicit, NeedsApproval
from .asks import Ask, EmbedAsk, Size, Wish
from .candidates import Candidate, Plan
from .desk import Client, Desk
from .errors import Busy, DeadlineExceeded, Declined, LedgerUnavailable, NotFound, OverBudget
from .ledger import totals
from .offers import demand_for, planned
from .outcomes import Embedded, Outcome
from .routing import left_out
from .run import Run, Shelf, Trying

logger = logging.getLogger(__name__)

RUN_CAP_S = 600.0
DAY_S = 86_400.0
SETTLE_S = 0.3
FIRST_SHARE = 0.6

Report = Callable[[float, float | None, str | None], Awaitable[None]]
Asks = Elicit | Literal["afterwards"] | None


class Calls:
    """The calls of one server process: those running, and the answers that can still be read."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.shelf = Shelf()

    async def route(self, wish: Wish, size: Size, client: Client) -> Plan:
        """The plan a call of this size would execute now. Writes and sends nothing."""
        following.follow(self.desk)
        demand = demand_for(self.desk, wish, size=size)
        return (await planned(self.desk, wish, demand, client)).plan

    async def usual_ms(self) -> dict[tuple[str, str], int]:
        """How long each model at each provider took during the last day, if it was used."""
        return await self.desk.ledger.read(totals.medians, self.desk.clock() - DAY_S)

    async def complete(
        self, ask: Ask, client: Client, report: Report, asks: Asks = None
    ) -> Outcome:
        """The answer, or what there is of it at the deadline.

        Raises Declined: BadRequest, NoRoute, OverBudget, AllFailed, DeadlineExceeded,
        LedgerUnavailable."""
        if ask.key is None:
            run = self.start(
                ask.wish, ask.call, client, ask.timeout_s, capped=ask.capped, asks=asks
            )
        else:
            run = await self.once(ask, ask.key, client, asks)
        return await self.answer(run, run.timeout_s, report)

    async def once(self, ask: Ask, key: str, client: Client, asks: Asks) -> Run:
        """The run of a request that is made once under its key, whoever asks again. Raises
        BadRequest where the key belongs to another request, Repeated where another process has
        made it."""
        name, desk = repeats.name_of(key, client, self.desk.project), self.desk
        print_ = repeats.fingerprint(ask, key)
        async with self.shelf.claiming:
            made = self.shelf.keyed(name, desk.clock())
            if made is not None:
                if made.fingerprint != print_:
                    raise repeats.another()
                if not isinstance(made.run.declined, NeedsApproval):
                    return made.run
                await desk.ledger.write(repeats.let_go, name, made.run.call_id)
            call_id = desk.new_id()
            async with repeats.claimed(desk, name, print_, call_id) as holder:
                if holder is None:
                    run = self.start(
                        ask.wish,
                        ask.call,
                        client,
                        ask.timeout_s,
                        capped=ask.capped,
                        call_id=call_id,
                        asks=asks,
                    )
                    self.shelf.note(name, print_, run, desk.clock())
                    return run
        if holder[1] != print_:
            raise repeats.another()
        raise repeats.refusal(holder[0], await desk.ledger.read(repeats.made_before, holder[0]))

    async def embed(
        self, ask: EmbedAsk, client: Client, report: Report | None = None, asks: Asks = None
    ) -> Embedded:
        """The vectors of every text. Raises Declined, as `complete` does."""
        query = () if ask.query is None else (ask.query,)
        asked = replace(ask.call, texts=(*ask.call.texts, *query))
        run = self.start(ask.wish, asked, client, ask.timeout_s, asks=asks)
        await self.wait(run, run.timeout_s, report)
        if not run.done.is_set():
            raise await self.too_late(run)
        return answers.embedded(run, ranked_by=ask.query)

    async def read_on(self, of: str, by: Client, timeout_s: float | None, way: Report) -> Outcome:
        """An earlier call's answer: waits for the rest if it still runs. Raises NotFound."""
        run = self.shelf.find(of)
        if run is None or isinstance(run.asked, EmbedCall) or run.client.name != by.name:
            raise NotFound(
                f"there is no call {of[:40]!r} to read on in",
                next_step="Answers are kept in memory by the server that made them, a while only.",
            )
        return await self.answer(run, timeout_s or self.desk.settings.limits.timeout_s, way)

    def start(
        self,
        wish: Wish,
        asked: Call | EmbedCall,
        client: Client,
        timeout_s: float | None,
        *,
        capped: bool = False,
        call_id: str | None = None,
        asks: Asks = None,
    ) -> Run:
        group = self.desk.group
        if group is None:
            raise Declined("the server is shutting down", retryable=True)
        following.follow(self.desk)
        run = Run(
            desk=self.desk,
            registry=self.desk.registry,
            call_id=call_id or self.desk.new_id(),
            wish=wish,
            client=client,
            asked=asked,
            timeout_s=timeout_s or self.desk.settings.limits.timeout_s,
            started=self.desk.clock(),
            begun=self.desk.monotonic(),
            capped=capped,
            asks=asks,
        )
        presence.meet(self.desk, client)
        self.shelf.put(run)
        group.start_soon(self.carry_out, run)
        return run

    async def answer(self, run: Run, timeout_s: float, report: Report) -> Outcome:
        """Waits for the run; at the deadline hands back what is there, or ends what is not."""
        await self.wait(run, timeout_s, report)
        if run.done.is_set():
            return answers.finished(run)
        if run.answering:
            return answers.so_far(run)
        late = await self.too_late(run)
        if run.completion is not None:
            return answers.finished(run)
        raise late

    async def wait(self, run: Run, timeout_s: float, report: Report | None) -> None:
        """Until the run is done or time is up. The last caller who cancels cancels the run; it
        settles."""
        run.waiting += 1
        try:
            with anyio.move_on_after(timeout_s):
                await (telling.tell(run, report) if report else run.done.wait())
        except anyio.get_cancelled_exc_class():
            if run.waiting == 1:
                await self.stop(run)
            raise
        finally:
            run.waiting -= 1

    async def stop(self, run: Run) -> None:
        """Cancels a run and gives it a moment to settle."""
        run.scope.cancel()
        with anyio.move_on_after(SETTLE_S, shield=True):
            await run.done.wait()

    async def too_late(self, run: Run) -> DeadlineExceeded | LedgerUnavailable:
        stuck = run.trying is not None and run.trying.opened is None
        if not run.waiting:
            run.ending = "timeout"
            await self.stop(run)
        return unledgered.busy(run.timeout_s) if stuck else refusals.too_late(run)

    async def carry_out(self, run: Run) -> None:
        """The task of one call. Nothing it meets may take the server along."""
        try:
            with run.scope:
                run.scope.deadline = anyio.current_time() + RUN_CAP_S
                await self.tell_story(run)
        except Declined as declined:
            declined.nothing_sent = declined.nothing_sent and not run.attempts
            run.declined = declined
        except Exception as error:  # the outermost frame of this task: logged here, masked there
            logger.error("call %s failed: %s", run.call_id, type(error).__name__, exc_info=error)
            run.crash = error
        finally:
            chosen.turn_written(run)
            await self.record(run)
            run.done.set()
            self.shelf.keep(run)

    async def record(self, run: Run) -> None:
        """The row of a call that ended between two attempts, or before the first."""
        if run.recorded:
            return
        with anyio.CancelScope(shield=True):
            try:
                await self.desk.ledger.write(books.end, rows.ending(run, run.declined))
            except LedgerUnavailable as unavailable:
                logger.warning("call %s was not recorded: %s", run.call_id, unavailable)

    async def tell_story(self, run: Run) -> None:
        await clients.admit(self.desk, run.client)
        candidates = await chosen.candidates(run)
        while candidates:
            candidate, *candidates = candidates
            if await self.try_candidate(run, candidate, len(candidates)):
                assert run.plan is not None
                run.warnings += limits.notices(run.plan, candidate)
                return
            if chosen.overtaken(run):
                candidates = await chosen.candidates_left(run)
        raise refusals.all_failed(run)

    async def try_candidate(self, run: Run, candidate: Candidate, left: int) -> bool:
        """Attempts at one candidate until it answers (True) or the next one's turn comes (False).
        Raises the Declined that ends the call when no other could help."""
        here = 0
        no_ledger = isinstance(run.refusal, LedgerUnavailable)
        if no_ledger and not unledgered.is_free(candidate.rates):
            return False
        while True:
            here += 1
            try:
                await self.attempt(run, candidate, left)
                await self.mend(run, candidate)
                return True
            except (OverBudget, Busy, LedgerUnavailable) as refusal:
                run.refusal = refusal  # another call took the money, or the turn; or nobody can
                return False
            except books.NotAdmitted as refused:
                run.passed_by.append(left_out(candidate.offer, refused.block))
                return False
            except UpstreamError as error:
                run.last_error = error
                if self.keeps_what_it_heard(run, error):
                    return True
                step = self.next_step(run, candidate, error, here, left)
            if step.step == "stop":
                raise refusals.all_failed(run)
            if step.step == "next":
                return False
            await self.pause(run, step)

    def keeps_what_it_heard(self, run: Run, error: UpstreamError) -> bool:
        """An answer that broke off goes back as far as it came, where the user wants that. Raises
        the refusal where they want no other attempt either."""
        heard, wanted = run.assembler, self.desk.settings.retries.mid_stream
        if wanted == "restart" or not isinstance(error, Interrupted) or not (heard and heard.text):
            return False
        if wanted == "error":
            raise refusals.all_failed(run)
        run.completion = answers.interrupted(heard)
        run.warnings.append(answers.BROKE_OFF)
        return True

    async def mend(self, run: Run, candidate: Candidate) -> None:
        """Asks once more for an answer that fits its schema. Whatever becomes of that, the answer
        there is goes back."""
        kept, usage = run.misfit, run.usage
        if kept is None or isinstance(run.asked, EmbedCall):
            return
        complaint = mending.may_be_mended(run.asked, kept) or ""
        run.asked = mending.asked_again(run.asked, kept, complaint)
        run.completion = None
        try:
            await self.attempt(run, mending.priced_again(candidate, run.asked), 0)
        except (OverBudget, Busy, LedgerUnavailable, books.NotAdmitted, UpstreamError) as error:
            logger.info("call %s was not mended: %s", run.call_id, type(error).__name__)
        finally:
            if run.completion is None:
                run.completion, run.usage = kept, usage
            run.misfit = None

    def worth_mending(self, run: Run, trying: Trying) -> bool:
        """Is there an answer that does not fit, and time and money for asking again?"""
        kept, asked, candidate = run.completion, run.asked, trying.candidate
        if kept is None or run.misfit is not None or isinstance(asked, EmbedCall):
            return False
        complaint = mending.may_be_mended(asked, kept)
        if complaint is None or run.remaining_s() < run.taken_s(trying):
            return False
        again = mending.priced_again(candidate, mending.asked_again(asked, kept, complaint))
        most, spent = run.wish.max_cost_nano, candidate.bound_nano or 0
        return most is None or spent + (again.bound_nano or 0) <= most

    def next_step(
        self, run: Run, candidate: Candidate, error: UpstreamError, here: int, left: int
    ) -> retries.Next:
        settings, cools = self.desk.settings.retries, self.desk.settings.circuits.enabled
        bucket = self.desk.queue(candidate.offer.provider).retries
        step = retries.after(
            error,
            retries.Progress(
                here=here,
                total=len(run.rows),
                candidates_left=left,
                remaining_s=run.remaining_s(),
                jitter=self.desk.draw(),
                may_retry=bucket.may_retry and not retries.in_vain(error, cools=cools),
            ),
            per_provider=settings.per_provider,
            per_call=settings.per_call,
            base_s=settings.base_delay_ms / 1000,
        )
        if step.step == "again":
            bucket.take()
        return step

    async def pause(self, run: Run, step: retries.Next) -> None:
        run.phase = "retry"
        run.trying = None
        run.next_wait = (step.wait_s, step.why)
        run.next_try_at = self.desk.clock() + step.wait_s
        self.desk.ledger.write_or_drop(books.waiting, run.call_id, run.next_try_at, run.trail())
        await anyio.sleep(step.wait_s)

    async def attempt(self, run: Run, candidate: Candidate, left: int) -> None:
        """One attempt, as soon as the provider has a place for it. What waits holds no money and
        passes no circuit: both are looked at when its turn comes."""
        queue = self.desk.queue(candidate.offer.provider)
        waiting.queue_up(run, candidate, queue)
        async with queue.limiter:
            await self.attempt_now(run, candidate, left)

    async def attempt_now(self, run: Run, candidate: Candidate, left: int) -> None:
        """One request, with its money and its row. The reservation's id is chosen before anything
        is written, so that whatever happens it can be closed."""
        trying = run.begin(candidate, self.patience(run, candidate, left))
        outcome = "crashed"
        try:
            trying.opened = await self.open(run, trying)
            chosen.turn_written(run)
            run.warnings += answers.warnings(trying.opened.warned)
            await self.speak(run, trying)
            run.answered_by, outcome = candidate, "ok"
            self.desk.queue(candidate.offer.provider).retries.give()
            if self.worth_mending(run, trying):
                run.misfit, outcome = run.completion, "misfit"
        except UpstreamError as error:
            trying.error, outcome = error, error.kind
            raise
        except (OverBudget, books.NotAdmitted, LedgerUnavailable):
            outcome = "withdrawn"
            raise
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            if outcome != "withdrawn":
                await self.close(run, trying, outcome)
            run.trying = None

    async def open(self, run: Run, trying: Trying) -> books.Opened:
        """What costs nothing goes on without the ledger. Raises LedgerUnavailable for the rest."""
        opening = rows.opening(run, trying)
        if not unledgered.is_free(trying.candidate.rates):
            return await self.desk.ledger.write(books.open_attempt, opening)
        try:
            with anyio.move_on_after(unledgered.PATIENCE_S):
                return await self.desk.ledger.write(books.open_attempt, opening)
        except LedgerUnavailable as unavailable:
            logger.info("call %s goes on without the ledger: %s", run.call_id, unavailable)
        return unledgered.OPENED

    async def close(self, run: Run, trying: Trying, outcome: str) -> None:
        """Money, attempt and circuits in one transaction; where the call ends here, its row too.
        Shielded: a cancelled caller does not leave money held. A ledger that fails now takes no
        answer along: what is to be written waits for it."""
        name = "deadline" if outcome == "cancelled" and run.ending == "timeout" else outcome
        closing = rows.closing(run, trying, name)
        telemetry.tell(run, trying, closing.attempt)
        ending = rows.ending(run, None) if outcome in ("ok", "cancelled") else None
        with anyio.CancelScope(shield=True):
            try:
                if trying.opened is not unledgered.OPENED:
                    await self.desk.ledger.write(books.close_attempt, closing, ending)
                    return
            except LedgerUnavailable as unavailable:
                logger.warning("call %s is noted later: %s", run.call_id, unavailable)
            run.warnings.append(answers.NOTED_LATER)
            self.desk.ledger.write_soon(books.close_attempt, closing, ending)

    def patience(self, run: Run, candidate: Candidate, left: int) -> float:
        """Seconds to wait for a first sign of life: while others are left, they keep 40 % of the
        time that remains; a local model that is the last hope may load for longer."""
        provider = candidate.offer.provider
        if left:
            share = run.remaining_s() * FIRST_SHARE
        else:
            share = RUN_CAP_S if provider.local else run.remaining_s()
        return min(provider.first_byte_timeout_s, max(share, 1.0))

    async def speak(self, run: Run, trying: Trying) -> None:
        """Sends the request and listens. Silence beyond the attempt's patience is a failure."""
        async with housing.housed(run, trying):
            run.phase, trying.sent = "wait", True
            with anyio.move_on_after(trying.patience_s) as scope:
                if isinstance(run.asked, EmbedCall):
                    run.embedding = await batches.vectors(run, run.asked, trying, scope)
                else:
                    await self.listen(run, run.asked, trying, scope)
        if scope.cancelled_caught:
            raise answers.silence(trying)

    async def listen(
        self, run: Run, asked: Call, trying: Trying, patience: anyio.CancelScope
    ) -> None:
        offer = trying.candidate.offer
        assembler = run.assembler = Assembler()
        stream = self.desk.http.stream(
            offer.provider,
            run.registry.key_of(offer.provider),
            answers.call_for(asked, trying.candidate, run.registry),
            model=offer.model,
            limits=answers.limits_for(offer, trying.patience_s),
            local_only=run.local_only,
        )
        async with stream as chunks:
            trying.request_id, trying.status = chunks.request_id, chunks.status
            trying.run_out_s = chunks.run_out_s
            async for chunk in chunks:
                assembler.add(chunk)
                if trying.first_chunk_at is None:
                    patience.deadline = float("inf")
                    run.heard(trying)
        trying.request_id = chunks.request_id or assembler.request_id
        run.completion = assembler.completion(provider=offer.provider.name)

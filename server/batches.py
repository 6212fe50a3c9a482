"""The texts of one embedding call, cut into batches that go out side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import anyio

from ..providers.errors import UpstreamError
from ..providers.http import Limits
from ..providers.tokens import estimate_tokens, input_expected
from ..providers.types import EmbedCall, Embedding, Usage
from .candidates import Offer
from .run import Run, Trying

LANES = 4  # batches of one call on their way at a time
ANSWER_BYTES = 16 * 1024 * 1024  # of one embedding answer
NUMBER_BYTES = 24  # a number of a vector, written out in JSON
DIMENSIONS = 4096  # of a model whose dimensions are not known


async def vectors(
    run: Run, asked: EmbedCall, trying: Trying, patience: anyio.CancelScope
) -> Embedding:
    """The vectors of all texts. When one batch fails no other begins, and those under way may
    finish: they are paid for. `patience` ends with the first answer."""
    offer = trying.candidate.offer
    cut = list(batches(asked, offer))
    found: dict[int, Embedding] = {}
    failed: list[UpstreamError] = []
    lanes = anyio.CapacityLimiter(min(LANES, offer.provider.concurrency))

    async def embed(n: int, batch: EmbedCall) -> None:
        async with lanes:
            if failed:
                return
            tokens = input_expected(batch)
            trying.unanswered += tokens
            try:
                found[n] = await asked_for(run, batch, trying)
            except UpstreamError as error:
                failed.append(error)
                if error.billing != "none":
                    return  # nobody knows whether it was read
            else:
                patience.deadline = float("inf")
                trying.parts.append(found[n])
            trying.unanswered -= tokens

    async with anyio.create_task_group() as group:
        for n, batch in enumerate(cut):
            group.start_soon(embed, n, batch)
    if failed:
        raise failed[0]
    return joined([found[n] for n in range(len(cut))])


async def asked_for(run: Run, batch: EmbedCall, trying: Trying) -> Embedding:
    offer = trying.candidate.offer
    return await run.desk.http.embed(
        offer.provider,
        run.registry.key_of(offer.provider),
        batch,
        model=offer.model,
        limits=Limits(first_byte_s=trying.patience_s),
        local_only=run.local_only,
    )


def batches(call: EmbedCall, offer: Offer) -> Iterator[EmbedCall]:
    """The call cut into pieces that the provider takes, and whose answers stay bounded."""
    most, tokens = offer.provider.batch(offer.model), offer.provider.embed_tokens
    size = call.dimensions or max(offer.facts.dimensions, default=DIMENSIONS)
    most = max(1, min(most, ANSWER_BYTES // (size * NUMBER_BYTES)))
    batch: list[str] = []
    held = 0
    for text in call.texts:
        weight = estimate_tokens(text) if tokens is not None else 0
        if batch and (len(batch) >= most or (tokens is not None and held + weight > tokens)):
            yield replace(call, texts=tuple(batch))
            batch, held = [], 0
        batch.append(text)
        held += weight
    yield replace(call, texts=tuple(batch))


def joined(parts: Sequence[Embedding]) -> Embedding:
    """Batches as one answer; a sum of usage is known only if every part's is."""
    inputs = [part.usage.input for part in parts]
    total = sum(n for n in inputs if n is not None) if None not in inputs else None
    return Embedding(
        vectors=tuple(vector for part in parts for vector in part.vectors),
        usage=Usage(input=total, output=0),
        model=parts[-1].model,
        request_id=parts[-1].request_id,
    )

"""An attempt at a local program: an engine of ours runs before anything is sent, and stays until
the end; a program of the user's has the model.

Loading has no part in the attempt's patience. What a caller gives up on goes on loading.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..providers.errors import TooLong
from ..providers.tokens import input_expected
from .run import Run, Trying

if TYPE_CHECKING:
    from ..providers.catalog import Provider
    from .candidates import Offer
    from .engines.engines import Place, Tell


@asynccontextmanager
async def housed(run: Run, trying: Trying) -> AsyncGenerator[None]:
    """While entered, the attempt knows where its engine is. Raises NotStarted and NotReady."""
    offer = trying.candidate.offer
    setup = offer.provider.setup

    def tell(words: str) -> None:
        trying.loading = words

    if setup is None:
        if offer.provider.engine is not None:
            await made_ready(run, trying, tell)
        yield
        return

    async with run.desk.engines.used(setup, tell) as place:
        trying.loading, trying.begun = "", run.desk.monotonic()
        check_length(run, offer, place.context)
        provider = located(offer.provider, place, offer.model)
        trying.candidate = replace(trying.candidate, offer=replace(offer, provider=provider))
        yield


async def made_ready(run: Run, trying: Trying, tell: "Tell") -> None:
    offer, readying = trying.candidate.offer, run.desk.readying
    await readying.ready(offer.provider, offer.model, tell, local_only=run.local_only)
    trying.loading, trying.begun = "", run.desk.monotonic()


def check_length(run: Run, offer: "Offer", context: int | None) -> None:
    """Raises TooLong for what the program would read in part, or beyond what its model knows."""
    tokens = input_expected(run.asked)
    if context is not None and tokens > context:
        raise TooLong(
            offer.provider.name,
            f"the prompt has about {tokens} tokens, and {offer.model} reads {context}",
        )


def located(row: "Provider", place: "Place", model: str) -> "Provider":
    """The row at the address of the running engine, with the token it demands."""
    headers = {"authorization": f"Bearer {place.token}"} if place.token else {}
    return replace(
        row,
        base_url=f"http://127.0.0.1:{place.port}/v1",
        headers={**row.headers, **headers},
        deployments={model: place.served_as},
    )

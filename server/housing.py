"""An attempt at an engine of ours: it runs before anything is sent, and stays until the end.

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
    from .engines.engines import Place


@asynccontextmanager
async def housed(run: Run, trying: Trying) -> AsyncGenerator[None]:
    """While entered, the attempt knows where its engine is. Raises NotStarted."""
    offer = trying.candidate.offer
    setup = offer.provider.setup
    if setup is None:
        yield
        return

    def tell(words: str) -> None:
        trying.loading = words

    async with run.desk.engines.used(setup, tell) as place:
        trying.loading, trying.begun = "", run.desk.monotonic()
        check_length(run, offer, place.context)
        provider = located(offer.provider, place, offer.model)
        trying.candidate = replace(trying.candidate, offer=replace(offer, provider=provider))
        yield


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

"""Tests of an agent without a model: the fixture `roundhouse` comes with Roundhouse.

uv run pytest examples/librarian
"""

import pytest
from librarian import answer

from roundhouse_mcp.testing.roundhouse import Roundhouse
from roundhouse_mcp.testing.script import CallsTool, Fails

pytestmark = pytest.mark.anyio
SHELVES = {"Emma": "shelf 3"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_librarian_looks_a_book_up_before_it_answers(roundhouse: Roundhouse) -> None:
    roundhouse.script("clerk", CallsTool("look_up", {"title": "Emma"}), "Emma is on shelf 3.")

    async with roundhouse.client() as client:
        said = await answer("Where is Emma?", SHELVES, client)

    assert said == "Emma is on shelf 3."
    assert roundhouse.asked[1].messages[-1]["content"] == "shelf 3"
    assert len(roundhouse.calls()) == 2
    assert roundhouse.spent_usd() < 1


async def test_the_librarian_says_so_when_no_model_answers(roundhouse: Roundhouse) -> None:
    roundhouse.script("clerk", Fails(500, "the clerk is ill"))

    async with roundhouse.client() as client:
        with pytest.raises(RuntimeError, match="the clerk is ill"):
            await answer("Where is Emma?", SHELVES, client)

    assert {row["http_status"] for row in roundhouse.attempts()} == {500}

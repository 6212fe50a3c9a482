"""The failures other servers were measured with, in this process; bench/peers.py has the rest."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from peer_cases import ASKED, CASES, ENVIRON, called, config, dead_end, faults, leaks
from seats import seated
from upstream import upstream


@pytest.mark.parametrize("title", [title for title, case in CASES.items() if case.quick])
async def test_a_failure_is_told_with_its_cause_and_without_the_key(
    tmp_path: Path, title: str
) -> None:
    case = CASES[title]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(upstream(case.script)) if case.script else None
        settings = config(server.url if server else dead_end())
        seat = await stack.enter_async_context(seated(tmp_path, settings, environ=ENVIRON))
        seen = await called(seat.client, server, {**ASKED, **case.brief})

    assert list(faults(case, seen)) == []
    assert leaks(tmp_path) == []

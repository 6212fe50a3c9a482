"""Claude Code, Codex and Gemini CLI, offline: every tool, a long answer, a cancel, an end."""

import json
import re
import signal
import sys
from pathlib import Path

import anyio
import pytest
from dialects import Step, Turn, Use
from programs import PROGRAMS, present, running
from seats import budget, rows, scripted, seated, served, settled, write_config
from upstream import silence, upstream

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
LONG = "+".join(f"word{number}" for number in range(1000)) + "+and+the+very+end"
SAID = LONG.replace("+", " ")
CALLS = (
    Use("complete", {"prompt": "Say a lot.", "model": "good/m"}),
    Use("embed", {"texts": ["a", "b"], "model": "good/m"}),
    Use("route_for_task", {"task": "code"}),
    Use("provider_health", {"provider": "good"}),
    Use("cost_report", {}),
    Use("unload_model", {"model": "good/m"}),
    Use("complete", {"prompt": "Hi", "model": "nobody/has-this"}),
)
CONTAINS = (SAID, "call_id", "huggingface", "circuit", "good", "good", "nobody/has-this")
HELD = "SELECT * FROM reservations WHERE state = 'held'"
IN_FLIGHT = "SELECT * FROM inflight"
each_program = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(not present(name), reason="not installed"))
        for name in PROGRAMS
    ],
)


def call_all(turn: Turn) -> Step:
    return CALLS[len(turn.results)] if len(turn.results) < len(CALLS) else "done"


def hang(turn: Turn) -> Step:
    return "done" if turn.results else Use("complete", {"prompt": "Hi", "model": "slow/m"})


@each_program
async def test_every_tool_reaches_the_model_whole_and_so_do_its_answers(
    tmp_path: Path, name: str
) -> None:
    home = tmp_path / "home"
    ledger = home / "roundhouse"
    write_config(ledger, scripted("good", f"text={LONG}&delay_ms=0"), budget("10"))
    async with running(name, home, call_all) as program:
        code = await program.ended()
        orphans = await program.orphans()
    async with seated(tmp_path / "beside", scripted("good")) as seat:
        listed = {t.name: t.description for t in (await seat.client.list_tools()).tools}
        instructions = seat.client.instructions or ""
    first, last = program.turns[0], program.turns[-1]
    missing = [
        text[:80]
        for text, result in zip(CONTAINS, last.results, strict=True)
        if text not in result and json.dumps(text)[1:-1] not in result
    ]

    assert (code, orphans) == (0, [])
    assert {tool.name: tool.description for tool in first.tools.values()} == listed
    assert instructions in first.words
    assert missing == []
    assert "code: not_found" in last.results[-1]
    assert rows(ledger, HELD) == rows(ledger, IN_FLIGHT) == []


def read_all(turn: Turn) -> Step:
    """Reads on as the warning says."""
    if not turn.results:
        return Use("complete", {"prompt": "Go on.", "model": "good/m", "max_tokens": 20_000})
    more = re.search(r"call_id='(\w+)', offset=(\d+)", turn.results[-1])
    return Use("complete", {"call_id": more[1], "offset": int(more[2])}) if more else "done"


@each_program
async def test_a_long_answer_reaches_the_model_whole_in_pages_where_the_client_would_cut(
    tmp_path: Path, name: str
) -> None:
    home = tmp_path / "home"
    words = [f"word{number}" for number in range(5000)]
    write_config(home / "roundhouse", scripted("good", f"text={'+'.join(words)}&delay_ms=0"))
    async with running(name, home, read_all) as program:
        code = await program.ended()
    seen = "".join(
        text for result in program.turns[-1].results for text in re.findall(r"[\w ]{3000,}", result)
    )

    assert code == 0
    assert seen.split() == words


@each_program
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_an_agent_that_ends_in_a_call_leaves_nothing_behind(
    tmp_path: Path, name: str, sent: signal.Signals
) -> None:
    home = tmp_path / "home"
    ledger = home / "roundhouse"
    async with upstream(silence) as server:
        write_config(ledger, served("slow", server.url), budget("10"))
        async with running(name, home, hang) as program:
            with anyio.fail_after(60):
                await settled(ledger, HELD)
                program.signal(sent)
                await server.gone.wait()
            await program.ended()
            orphans = await program.orphans()
    call = rows(ledger, "SELECT status FROM calls")

    assert orphans == []
    assert rows(ledger, HELD) == rows(ledger, IN_FLIGHT) == []
    assert call == [{"status": "cancelled"}]

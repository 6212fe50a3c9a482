"""What route_for_task shows is what complete does, for configurations nobody thought of."""

import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seats import Seat, budget, chain, scripted, seated

from roundhouse_mcp.server.strategies import STRATEGIES

NAMES = ("ant", "bee", "cat", "dog")
SCRIPTS = ("text=Yes.", "status=503", "status=401", "status=404", "text=No.&delay_ms=1")

providers = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(SCRIPTS),
        st.sampled_from(["m", "m other", "other"]),
        st.sampled_from([None, ("0", "0"), ("1", "2"), ("50", "100")]),
        st.sampled_from(["", "weight = 5", "rpm = 3", "concurrency = 1", "priority = 2"]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row[0],
)
configs = st.tuples(
    providers,
    st.sampled_from([None, *STRATEGIES]),
    st.sampled_from([None, "0.001", "0.05", "10"]),
    st.sampled_from(
        ["", '[routing.tasks]\ncode = ["other", "m"]\n', "[retries]\nper_provider = 1\n"]
    ),
    st.booleans(),
)
wishes = st.fixed_dictionaries(
    {},
    optional={
        "task": st.sampled_from(["code", "quick", "summarization"]),
        "model": st.sampled_from(["m", "other", "ant/m", "fast", "cheap", "best"]),
        "prefer": st.sampled_from(["cheapest", "fastest", "best_quality", "local_preferred"]),
        "strategy": st.sampled_from(sorted(STRATEGIES)),
        "max_cost_usd": st.sampled_from([0.0001, 0.01, 1.0]),
    },
)


def written(config: Any) -> tuple[str, ...]:
    rows, strategy, limit, tasks, chained = config
    parts = [
        scripted(name, script, models=models, price=price, more=more)
        for name, script, models, price, more in rows
    ]
    order = chain(*(row[0] for row in rows)) if chained else ""
    if strategy is not None:
        order = (order or "[routing]\n") + f'strategy = "{strategy}"\n'
    return (order, tasks, *parts, *([budget(limit)] if limit else ()))


def named(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['provider']}/{row['model']}" for row in rows]


def passed_by(seat: Seat) -> list[str]:
    """Candidates of the newest call that could not be had any more when their turn came: its own
    attempts before may have used up what a provider takes in a minute."""
    found = seat.rows(
        "SELECT json FROM decisions WHERE call_id = "
        "(SELECT call_id FROM calls ORDER BY id DESC LIMIT 1)"
    )
    return [name for row in found for name in named(json.loads(row["json"]).get("passed_by", []))]


async def compared(config: Any, wish: dict[str, Any], home: Path) -> None:
    """Three calls in a row, each beside what was said of it just before."""
    async with seated(home, *written(config)) as seat:
        for _ in range(3):
            route = await seat.call("route_for_task", prompt="Which way?", **wish)
            result = await seat.call("complete", prompt="Which way?", detail="full", **wish)
            if route.is_error:
                assert result.is_error
                continue
            shown: dict[str, Any] = route.structured_content or {}
            plan = named(shown["candidates"])
            ledger = seat.rows(
                "SELECT provider, model, n FROM attempts WHERE call_id = "
                "(SELECT call_id FROM calls ORDER BY id DESC LIMIT 1) ORDER BY n"
            )
            done = list(dict.fromkeys(named(ledger)))
            passed = set(passed_by(seat)) - set(done)
            left = [each for each in plan if each not in passed]
            assert done == left[: len(done)]
            assert bool(done) == bool(plan)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(config=configs, wish=wishes)
def test_complete_executes_the_plan_that_route_for_task_shows(
    config: Any, wish: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(compared, config, wish, Path(folder))

"""The whole router in random worlds, played with a clock that jumps: what must hold in every one
(tests/simulation/checks.py). A failing seed prints itself, its world and what happened;
`python -m tests.simulate --seeds 1 --start SEED` plays it again."""

import pytest
from simulation.clock import Stuck, VirtualLoop, run
from simulation.play import play
from simulation.worlds import Asking, world

SEEDS = 2000
CHUNK = 250


@pytest.mark.parametrize("start", range(0, SEEDS, CHUNK))
def test_every_world_holds(start: int) -> None:
    made = 0
    for seed in range(start, start + CHUNK):
        played = play(seed)
        made += played.requests
        if played.faults:
            pytest.fail(played.report, pytrace=False)

    assert made > CHUNK  # worlds in which nothing is sent prove nothing


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_a_seed_plays_the_same_again(seed: int) -> None:
    assert play(seed).timeline == play(seed).timeline
    assert world(seed) == world(seed)


def test_worlds_have_every_kind_of_call_and_accident() -> None:
    worlds = [world(seed) for seed in range(300)]
    calls = [call for each in worlds for call in each.calls]

    assert {accident.what for each in worlds for accident in each.accidents} == {
        "kill",
        "stop",
        "step",
        "trip",
        "reset",
        "hold",
        "unhold",
    }
    for kind in ("cancel_after_s", "cap", "key", "query", "read_on_s", "routed", "schema", "texts"):
        assert any(getattr(call, kind) for call in calls), kind
    assert {type(call) for call in calls} == {Asking}
    assert {each.servers for each in worlds} == {1, 2, 3}


def test_time_that_nobody_waits_for_is_an_error_and_not_a_hang() -> None:
    loop = VirtualLoop()

    async def forever() -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        run(forever(), loop)

"""Money is exact whatever is killed, cancelled or broken: the short runs of longer proofs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cancels import cancel_many

ROOT = Path(__file__).parent.parent


def found(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.crash", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_what_was_billed_is_in_the_ledger_once_whoever_is_killed() -> None:
    said = found("--kills", "200", "--apart", "0.03")

    wrong = ("under_counted", "double_counted", "overshoot_nano", "totals_differ", "left_held")
    assert [said[name] for name in wrong] == [0] * 5
    assert said["kills"] == 200
    assert said["billed"] > 200
    assert said["refused"] > 0
    assert said["states"]["presumed"] > 0


async def test_a_call_cancelled_at_any_moment_leaves_no_money_held(tmp_path: Path) -> None:
    leaks = await cancel_many(tmp_path, 200, seed=1)

    left = (leaks.held, leaks.reserved_nano, leaks.in_flight, leaks.without_attempt)
    assert left == (0, 0, 0, 0)
    assert leaks.totals_differ == 0
    assert leaks.cancelled > 50
    assert leaks.attempts["cancelled"] > 20

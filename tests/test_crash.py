"""Money is exact whatever is killed, cancelled or broken: the short runs of longer proofs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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

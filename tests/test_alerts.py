"""The user's own program is told what they should know, and never gets in a call's way."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from seats import Inside, budget, scripted, seated

from roundhouse_mcp.server import alerts
from roundhouse_mcp.server.ledger.driver import Connection

WRITER = "import os, sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
ENVIRON = "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps(dict(os.environ)))"
LOOK_S = 0.05


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "EVERY_S", LOOK_S)


def command(*words: str) -> str:
    return f"[alerts]\ncommand = {json.dumps([sys.executable, *words])}\n"


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def told(path: Path, kind: str) -> dict[str, Any]:
    """What the program was told of this kind, as soon as it was."""
    with anyio.fail_after(10):
        while True:
            if found := [each for each in written(path) if each["kind"] == kind]:
                return found[0]
            await anyio.sleep(0.02)


async def looking(seat: Inside) -> None:
    """Until the server has seen what was there before."""
    await seat.said("cost_report")
    await anyio.sleep(4 * LOOK_S)


async def test_it_is_told_of_warnings_and_of_the_first_refusal_only(tmp_path: Path) -> None:
    log = tmp_path / "told"
    config = scripted("one", "text=Yes.", price=("100", "100"))
    home = tmp_path / "home"
    async with seated(home, config, budget("0.05"), command("-c", WRITER, str(log))) as seat:
        await looking(seat)
        await seat.said("complete", prompt="Hi", max_tokens=390)
        warning = await told(log, "budget_warning")
        for _ in range(3):
            await seat.refused("complete", prompt="Hi " * 9000, max_tokens=4000)
        limit = await told(log, "budget_limit")
        await anyio.sleep(4 * LOOK_S)

    assert warning["text"].startswith("Budget global/total reached its warning mark: $")
    assert (warning["budget"], warning["limit_usd"]) == ("global/total", 0.05)
    assert limit["text"].startswith("Budget global/total has refused a call: ")
    assert [each["kind"] for each in written(log)] == ["budget_warning", "budget_limit"]


async def test_it_is_told_of_a_circuit_that_opens(tmp_path: Path) -> None:
    log = tmp_path / "told"
    bad = scripted("bad", "status=503")
    async with seated(tmp_path / "home", bad, command("-c", WRITER, str(log))) as seat:
        await looking(seat)
        for _ in range(3):
            await seat.refused("complete", prompt="Hi")
        trip = await told(log, "circuit_open")

    assert trip["provider"] == "bad"
    assert trip["text"].startswith("Circuit bad/m opened: ")


async def test_it_is_told_of_an_hour_far_dearer_than_usual(tmp_path: Path) -> None:
    log = tmp_path / "told"
    config = (scripted("one", "text=Yes."), command("-c", WRITER, str(log)))
    async with seated(tmp_path / "home", *config) as seat:
        await looking(seat)
        await seat.desk.ledger.write(spend, time.time())
        hour = await told(log, "unusual_spend")

    assert (hour["spent_usd"], hour["usual_usd"]) == (4.0, 1.0)


def spend(db: Connection, now: float) -> None:
    this = int(now // 3600)
    for hours_ago in range(7):
        db.execute(
            "INSERT INTO usage_hour (hour, provider, model, task, client, project, cost_nano)"
            " VALUES (?, 'p', 'm', '', '', '', ?)",
            (this - hours_ago, 1_000_000_000 if hours_ago else 4_000_000_000),
        )


async def test_its_environment_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "environ"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    async with seated(tmp_path, scripted("one")) as seat:
        problem = await alerts.told_to([sys.executable, "-c", ENVIRON, str(log)], "{}", seat.desk)

    assert problem is None
    assert "PATH" in json.loads(log.read_text())
    assert "canary" not in log.read_text()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["/no/such/program"], "could not be started (FileNotFoundError)"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with status 3"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "did not end within 0.3 s"),
    ],
)
async def test_a_program_that_fails_or_hangs_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], problem: str
) -> None:
    monkeypatch.setattr(alerts, "LIMIT_S", 0.3 if "60" in words[-1] else 10.0)
    async with seated(tmp_path, scripted("one", "text=Yes.")) as seat:
        found = await alerts.told_to(words, "x" * 200_000, seat.desk)
        said = await seat.said("complete", prompt="Hi")

    assert found == problem
    assert said["text"] == "Yes."


async def test_a_program_that_fails_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed: set[tuple[str, ...]] = set()
    async with seated(tmp_path, scripted("one")) as seat:
        for n in range(3):
            alert = alerts.Alert(f"key{n}", {"text": "x"})
            await alerts.tell_all(seat.desk, ["/no/such/program"], [alert], failed)

    assert caplog.text.count("/no/such/program") == 1


async def test_what_is_told_once_is_told_by_one_process(tmp_path: Path) -> None:
    log = tmp_path / "told"
    alert = alerts.Alert("key", {"text": "x"})
    words = [sys.executable, "-c", WRITER, str(log)]
    async with seated(tmp_path, scripted("one")) as one, seated(tmp_path, scripted("one")) as two:
        for seat in (one, two):
            await alerts.tell_all(seat.desk, words, [alert], set())

    assert len(written(log)) == 1

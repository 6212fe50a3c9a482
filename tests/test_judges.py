"""The judges run over what is recorded beside the checkout, and find what is wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("ROUNDHOUSE_SHARED") or HERE.parents[1] / "shared")
DEV = SHARED / "recordings" / "dev"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DEV.is_dir(), reason="no recordings beside the checkout"),
]


def judged(judge: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / f"judge_{judge}.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    words = done.stdout.splitlines()[-1].split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


@pytest.mark.parametrize("chunk", [[], ["--chunk", "7"]])
def test_recorded_answers_mean_what_an_independent_reading_says(chunk: list[str]) -> None:
    done = judged("recordings", str(DEV), *chunk)

    assert (done.returncode, last_line(done)["differ"]) == (0, 0), done.stdout[-3000:]
    assert last_line(done)["agree"] > 680


def test_one_provider_can_be_judged_alone() -> None:
    done = judged("recordings", str(DEV), "--provider", "groq")

    assert done.returncode == 0
    assert sum(last_line(done).values()) == 26


def test_our_requests_are_those_of_the_official_sdks_or_the_difference_is_explained() -> None:
    done = judged("requests", str(SHARED / "judges" / "sdk_requests"))

    assert done.returncode == 0, done.stdout
    assert last_line(done)["unexplained"] == last_line(done)["stale"] == 0
    assert last_line(done)["equal"] >= 56


LIES: dict[str, dict[str, Any]] = {
    "chat": {
        "text": "never said",
        "thinking": "never thought",
        "stop": "content_filter",
        "model": "another-model",
        "usage": {"input": 1_000_003, "output": 1_000_003},
        "tool_calls": [{"id": None, "name": "never_called", "arguments": {}}],
        "truncated_stream": True,
    },
    "embed": {"count": 99, "dims": 1, "usage": {"input": 1_000_003}},
    "error": {"cls": "overloaded", "status": 599, "message": "never said"},
    "job": {"status": "succeeded", "output": "never said", "error": "never said"},
    "job_stream": {"text": "never said"},
}
OPERATIONS = {
    "chat",
    "chat_stream",
    "messages",
    "messages_stream",
    "embed",
    "prediction_get",
    "prediction_stream",
}


def planted(folder: Path, kind: str, lies: dict[str, Any]) -> list[str]:
    """Writes one lie per line of that kind, each about a different exchange, and names them."""
    index = json.loads((DEV / "index.json").read_text(encoding="utf-8"))["exchanges"]
    lines = (DEV / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    expected = {each["id"]: each for each in map(json.loads, lines)}
    told: list[str] = []
    usable = [
        e
        for e in index
        if e["provider"] in ("anthropic", "openai", "replicate")
        and e["operation"] in OPERATIONS
        and expected[e["id"]]["kind"] == kind
    ]
    for (name, lie), entry in zip(lies.items(), usable, strict=False):
        expected[entry["id"]][name] = lie
        told.append(entry["id"])
    rows = [json.dumps(each) for each in expected.values()]
    (folder / "expected.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return told


@pytest.mark.parametrize("kind", LIES)
def test_planted_false_expectations_are_found(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    shutil.copy(DEV / "index.json", folder)
    for provider in DEV.iterdir():
        if provider.is_dir():
            (folder / provider.name).symlink_to(provider)
    told = planted(folder, kind, LIES[kind])

    done = judged("recordings", str(folder))

    found = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("DIFFER")}
    assert done.returncode == 1
    assert found == set(told)
    assert last_line(done)["differ"] == len(told)

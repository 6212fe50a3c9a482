"""llmock's verdict on our client: a real `roundhouse serve` against its dialects and faults.

    uv run --group resilience python tests/judge_resilience.py [--llmock PATH] [--dialect openai]

llmock answers as four services do, breaks requests as it is told, and judges from its journal what
the client did about it. It does not see what the client told its caller: a finding beside an error
of ours is an error reported, and EXPLAINED says so. Exit code 1 for a finding without explanation,
and for a scenario that did not end as it should.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from seats import launch, text_of, write_config

AT_ONCE = 16
START_S = 20.0
LONGEST_STALL_S = 40.0  # longer than the 30 s we wait between two pieces
DIALECTS = {
    "openai": 'like = "openai"\nbase_url = "{url}/v1"',
    "responses": 'like = "openai"\nwire = "openai_responses"\nbase_url = "{url}/v1"',
    "anthropic": 'like = "anthropic"\nbase_url = "{url}/anthropic"',
    "gemini": 'like = "gemini"\npath = "/v1beta/models"\nbase_url = "{url}/gemini"',
    "cohere": 'like = "cohere"\nbase_url = "{url}/cohere"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What llmock does to the requests for one model; whether the call should be answered, and how
    many requests it should take."""

    fault: Mapping[str, Any] | None
    answered: bool
    attempts: int


def fails(status: int, *, times: int | None = 1, wait_s: float | None = None) -> dict[str, Any]:
    return {"type": "fail", "status": status, "times": times, "retry_after": wait_s}


def breaks(kind: str, after: int = 2, **more: Any) -> dict[str, Any]:
    return {"type": "stream_fault", "kind": kind, "after_chunks": after, **more}


SCENARIOS = {
    "plain": Scenario(fault=None, answered=True, attempts=1),
    "slow": Scenario(fault={"type": "delay", "seconds": 2.0}, answered=True, attempts=1),
    **{
        f"{status}-once": Scenario(fault=fails(status), answered=True, attempts=2)
        for status in (408, 409, 429, 500, 502, 503, 504, 529)
    },
    **{
        f"{status}-wait-1": Scenario(fault=fails(status, wait_s=1.0), answered=True, attempts=2)
        for status in (408, 409, 429, 500, 502, 503, 504, 529)
    },
    "503-always": Scenario(fault=fails(503, times=None), answered=False, attempts=2),
    "429-wait-60": Scenario(fault=fails(429, wait_s=60.0), answered=False, attempts=1),
    **{
        f"{status}": Scenario(fault=fails(status, times=None), answered=False, attempts=1)
        for status in (400, 401, 403, 404, 422)
    },
    "truncated": Scenario(fault=breaks("truncate"), answered=False, attempts=1),
    "disconnected": Scenario(fault=breaks("disconnect"), answered=False, attempts=1),
    "malformed": Scenario(fault=breaks("malformed"), answered=False, attempts=1),
    "paused": Scenario(fault=breaks("stall", stall_seconds=3.0), answered=True, attempts=1),
    "stalled": Scenario(
        fault=breaks("stall", stall_seconds=LONGEST_STALL_S), answered=False, attempts=1
    ),
}
EXPLAINED = {  # finding, scenario -> why it is not a fault of ours
    ("gave_up", "429-wait-60"): "the caller hears when to come back, at once",
    ("gave_up", "disconnected"): "text had begun, and is paid; other providers would be tried",
    ("truncated_stream_accepted", "truncated"): "not accepted: the caller got an error",
    ("malformed_chunk_ignored", "malformed"): "not ignored: the caller got an error",
    ("no_read_timeout", "paused"): "three seconds of silence are no stall; thirty are",
    **{
        ("retry_after_ignored", scenario): "a wait is read where providers mean it: 429, 503, 529"
        for scenario in ("504-once", *(f"{n}-wait-1" for n in (408, 409, 500, 502, 504)))
    },
}


def ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        return json.loads(answer.read())


def started(program: str, port: int) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [program, "serve", "--port", str(port), "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with suppress(OSError):
            ask(f"http://127.0.0.1:{port}/_llmock/scenario")
            return process
        time.sleep(0.1)
    process.terminate()
    raise TimeoutError("llmock did not start")


def row(name: str, dialect: str, url: str) -> str:
    """A provider of its own per scenario: holds and cooldowns of one do not touch another."""
    return (
        f'[providers."{name}"]\n{DIALECTS[dialect].format(url=url)}\n'
        f'key_env = "LLMOCK_KEY"\nlocal = false\nmodels = ["{name}"]\n'
    )


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


async def called(url: str, names: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """One call per name; what each came to: empty for an answer, else the error's first line."""
    ends: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_config(home, *(row(name, dialect, url) for name, (dialect, _) in names.items()))
        async with Client(launch(home, LLMOCK_KEY="sk-mock")) as client:
            limiter = anyio.CapacityLimiter(AT_ONCE)

            async def call(name: str) -> None:
                async with limiter:
                    arguments = {"prompt": f"Tell me of {name}.", "model": f"{name}/{name}"}
                    result = await client.call_tool("complete", arguments)
                said = text_of(result).strip().splitlines()
                ends[name] = " ".join(said)[:160] if result.is_error else ""

            async with anyio.create_task_group() as group:
                for name in names:
                    group.start_soon(call, name)
    return ends


def judged(url: str, names: Mapping[str, tuple[str, str]], ends: Mapping[str, str]) -> list[str]:
    """A line for everything that is not as it should be; the rest is printed."""
    wrong: list[str] = []
    records = {each["seq"]: each for each in ask(f"{url}/_llmock/requests")["requests"]}
    models = {seq: model_of(each, names) for seq, each in records.items()}
    made = Counter(models.values())
    for name, (_, key) in names.items():
        scenario = SCENARIOS[key]
        say(f"{name:24} {made[name]} requests, {ends[name] or 'answered'}")
        if (not ends[name], made[name]) != (scenario.answered, scenario.attempts):
            wanted = "an answer" if scenario.answered else "an error"
            wrong.append(f"{name}: {wanted} after {scenario.attempts} requests was expected")
    verdict = ask(f"{url}/_llmock/verdict")
    say(f"\nllmock: {verdict['calls']} calls, {verdict['attempts']} attempts,")
    say(f"{verdict['faults_injected']} faults, {len(verdict['findings'])} findings\n")
    for finding in verdict["findings"]:
        name = models[finding["requests"][-1]]
        why = EXPLAINED.get((finding["code"], names[name][1]))
        line = f"{finding['severity']} {finding['code']} {name}: {finding['title']}"
        say(f"{line} [{why or 'not explained'}]")
        if why is None:
            wrong.append(line)
    return wrong


def model_of(record: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> str:
    """The name in the request's model, or in its path, where Gemini has it."""
    return next((n for n in names if n == record["model"] or f"/{n}:" in record["path"]), "")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--llmock", default=str(Path(sys.executable).with_name("llmock")))
    parser.add_argument("--dialect", choices=DIALECTS, action="append")
    given = parser.parse_args()
    names = {f"{d}-{key}": (d, key) for d in given.dialect or DIALECTS for key in SCENARIOS}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = started(given.llmock, port)
    try:
        behaviors = [
            {**fault, "match": {"model": name}}
            for name, (_, key) in names.items()
            if (fault := SCENARIOS[key].fault) is not None
        ]
        ask(f"{url}/_llmock/scenario", {"behaviors": behaviors})
        ends = anyio.run(called, url, names)
        wrong = judged(url, names, ends)
    finally:
        process.terminate()
        process.wait(10)
    say("\n".join(["", *wrong, f"{len(wrong)} wrong"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The log: JSON lines in a file per server, short ones on stderr, and nothing that people wrote."""

import json
import logging
import os
import stat
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from logged import lines, logged
from seats import chain, rows, scripted, seated, settled, started, write_config
from test_serve import ask, process

from roundhouse_mcp.server.logs import (
    MOST_FILES,
    MOST_WAITING,
    Background,
    LogFile,
    json_line,
    old,
    say,
)
from roundhouse_mcp.server.redact import Redactor

pytestmark = pytest.mark.anyio
ONE = scripted("one", "text=Zebras%20are%20striped.")
FAILING = scripted("bad", "status=500")
PROMPT = "Tell me about zebras"


def record(text: str = "well", **extra: Any) -> logging.LogRecord:
    name = "roundhouse_mcp.server.calls"
    made = logging.LogRecord(name, logging.INFO, "calls.py", 1, text, (), None)
    made.__dict__.update(extra)
    return made


async def test_every_attempt_is_a_line_without_the_words(tmp_path: Path) -> None:
    async with seated(tmp_path, ONE, FAILING, chain("bad", "one")) as seat:
        with logged(seat.desk):
            done = await seat.said("complete", prompt=PROMPT)

    told = [line for line in lines(tmp_path) if line["logger"] == "server.telemetry"]
    outcomes = [row["outcome"] for row in seat.rows("SELECT outcome FROM attempts ORDER BY n")]
    assert [line["outcome"] for line in told] == outcomes
    assert all(line["level"] == "info" for line in told)
    assert told[-1]["message"].startswith(
        f"call {done['call_id']}, attempt {len(told)} at one/m: ok after "
    )
    assert "ebras" not in json.dumps(lines(tmp_path))


async def test_a_server_has_a_file_of_its_own_and_the_ledger_says_where(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    async with started(tmp_path) as seat:
        await seat.said("complete", prompt=PROMPT, model="one/m")
        (server,) = await settled(tmp_path, "SELECT pid, log_path FROM servers")

    file = Path(server["log_path"])
    assert file.parent == tmp_path / "logs"
    assert file.stem.endswith(f"-{server['pid']}")
    assert lines(tmp_path)[0]["message"].startswith("roundhouse/")
    assert sum("attempt 1 at one/m: ok" in line["message"] for line in lines(tmp_path)) == 1
    assert "ebras" not in json.dumps(lines(tmp_path))
    assert os.name != "posix" or modes(file, file.parent) == [0o600, 0o700]


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


async def test_a_directory_that_cannot_be_written_to_takes_no_call_along(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    (tmp_path / "logs").write_text("in the way", encoding="utf-8")
    with anyio.fail_after(20):
        async with process(tmp_path, "--verbose") as running:
            assert running.stderr is not None
            heard = b""
            await ask(running, "complete", prompt=PROMPT, model="one/m")
            while b"attempt 1 at one/m: ok" not in heard or b"cannot be written" not in heard:
                heard += await running.stderr.receive()
            running.terminate()
            await running.wait()

    said = [line for line in heard.decode().splitlines() if "cannot be written" in line]
    assert len(said) == 1
    assert said[0].startswith("roundhouse: ")
    assert said[0].endswith("logs go to stderr")
    assert all(line.startswith("roundhouse: ") for line in heard.decode().splitlines())
    assert b"ebras" not in heard
    assert rows(tmp_path, "SELECT status FROM calls") == [{"status": "ok"}]


def test_a_file_that_grows_too_long_is_put_aside_once(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "logs" / "a.jsonl", most_bytes=500)
    for n in range(20):
        file.write(record(f"line {n}"))
    file.close()

    assert sorted(path.name for path in file.path.parent.iterdir()) == ["a.jsonl", "a.old.jsonl"]
    assert all(path.stat().st_size <= 500 for path in file.path.parent.iterdir())
    last = [line["message"] for line in lines(tmp_path)]
    assert f"line {19}" in last
    assert len(old(file.path).read_bytes().splitlines()) > 1


def test_a_file_another_process_removed_is_begun_anew(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "logs" / "a.jsonl")
    file.write(record("first"))
    file.path.unlink()
    file.write(record("second"))
    file.close()

    assert [line["message"] for line in lines(tmp_path)] == ["second"]


def test_the_oldest_files_go_when_there_are_too_many(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for n in range(MOST_FILES + 5):
        (logs / f"{n:02}.jsonl").touch()
        os.utime(logs / f"{n:02}.jsonl", (n, n))
    (logs / "notes.txt").touch()

    file = LogFile(logs / "mine.jsonl")
    file.write(record())
    file.close()

    left = sorted(path.name for path in logs.iterdir())
    kept = [f"{n:02}.jsonl" for n in range(6, MOST_FILES + 5)]
    assert left == [*kept, "mine.jsonl", "notes.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_full_disk_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    file = LogFile(Path("/dev/full"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            file.write(record())

    (said,) = caplog.messages
    assert said == "/dev/full cannot be written (No space left on device); logs go to stderr"
    assert file.lost == 3


def test_what_was_lost_is_counted_when_there_is_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").touch()
    file = LogFile(tmp_path / "logs" / "a.jsonl")
    file.write(record())
    file.write(record())
    (tmp_path / "logs").unlink()
    file.write(record("here again"))
    file.close()

    assert [line["message"] for line in lines(tmp_path)] == ["here again"]
    assert caplog.messages[-1].endswith("can be written again; 2 lines are missing")


@pytest.mark.parametrize("text", ["a\nb", "\ud800 half a pair", "\u2028", '"quoted"'])
def test_any_text_is_one_line(text: str) -> None:
    line = json_line(record(text, fields={"n": 1}))

    assert line.count(b"\n") == 1
    assert json.loads(line)["n"] == 1


def test_stderr_gets_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(record("all is\nwell", exc_text="ValueError at calls.py:1"))

    assert capsys.readouterr().err == "roundhouse: all is well (ValueError at calls.py:1)\n"


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    let_go = threading.Event()
    handler = Background(lambda made: void(let_go.wait(5)), logging.INFO, Redactor())
    handler.begin()
    for _ in range(2 * MOST_WAITING):
        handler.handle(record())

    assert MOST_WAITING - 1 <= handler.waiting.qsize() <= MOST_WAITING
    let_go.set()
    handler.end()
    handler.thread.join(5)
    assert not handler.thread.is_alive()


def void(_: object) -> None:
    return

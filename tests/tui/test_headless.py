"""The feed without a terminal: what is printed, how it ends, and what it never loads."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager
from datetime import UTC
from io import StringIO
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import seeds
from click.testing import CliRunner
from screens import HOME

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.ledger.driver import connect
from roundhouse_mcp.tui import records, statusline, stream
from roundhouse_mcp.tui.outlet import Closed, Outlet
from roundhouse_mcp.tui.tail import Wish, tail
from roundhouse_mcp.tui.told import look_once

EVIL = "a\x1b]52;c;RVZJTA==\x07b\x9bd\u202ee\n{0}[/oops]"
ROOT = Path(__file__).parent.parent.parent
# A shell that starts things in the background makes them ignore ctrl-c, and tests may run in one.
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from roundhouse_mcp.server.__main__ import main; main()"
)


class Page(StringIO):
    """A stream as a terminal's."""

    encoding = "utf-8"  # pyright: ignore[reportAssignmentType]


class Plain(StringIO):
    encoding = "ascii"  # pyright: ignore[reportAssignmentType]


def now() -> float:
    return seeds.NOW


def ran(line: str, home: Path = HOME) -> tuple[int, str]:
    env = {"ROUNDHOUSE_HOME": str(home.absolute())}
    result = CliRunner().invoke(command_line(), line.split(), env=env)
    return result.exit_code, result.output


def printed(wish: Wish) -> list[str]:
    """What tail prints of what is there already."""
    page, stop = Page(), threading.Event()
    stop.set()
    assert tail(HOME, Outlet(page), wish, warn=fail, clock=now, stop=stop) == 0
    return page.getvalue().splitlines()


def fail(said: str) -> None:
    raise AssertionError(said)


def test_the_status_line_says_the_worst_thing_and_its_code_says_look() -> None:
    seeds.seed(HOME)

    line, code = statusline.status(HOME, clock=now, zone=UTC)

    assert (line, code) == ("● 3 servers ▶ 4 $4.82 ! 2 circuits", 1)


def test_the_status_line_of_a_quiet_ledger_ends_with_zero() -> None:
    seeds.seed(HOME)
    with seeds.ledger(HOME) as db:
        for table in ("circuits", "budget_windows", "inflight"):
            db.execute(f"DELETE FROM {table}")

    assert statusline.status(HOME, clock=now, zone=UTC) == ("● 3 servers ▶ 0 $4.82", 0)


def test_a_status_line_is_made_as_the_user_wants_it() -> None:
    seeds.seed(HOME)

    line, _ = statusline.status(HOME, "{calls}|{today:>7}|{circuits}", clock=now, zone=UTC)

    assert line == "4|  $4.82|2"


@pytest.mark.parametrize("form", ["{nothing}", "{", "{mark.upper}", "{0}", "{}", "{calls!z}"])
def test_a_format_that_cannot_be_filled_in_is_a_sentence(form: str) -> None:
    code, said = ran(f"status --format {form}")

    assert code == 2
    assert "cannot be filled in. Fields: {mark}, {servers}" in said


def spoil(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def age(path: Path) -> None:
    with seeds.ledger(path.parent) as db:
        db.execute("PRAGMA user_version = 1")


def renew(path: Path) -> None:
    with seeds.ledger(path.parent) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("INSERT INTO meta (key, value) VALUES ('min_reader', '99')")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (None, "no ledger yet"),
        (spoil, "file is not a database"),
        (age, "needs an upgrade (schema 1"),
        (renew, "is newer than mine"),
    ],
)
@pytest.mark.parametrize("command", ["watch --once", "watch --json", "status", "tail"])
def test_a_ledger_that_cannot_be_read_is_a_sentence_and_a_status(
    command: str, trouble: Callable[[Path], None] | None, words: str
) -> None:
    HOME.mkdir()
    if trouble is not None:
        trouble(HOME / "ledger.db")

    code, said = ran(command)

    assert code == 3
    assert "Traceback" not in said
    assert words in said or command == "status"


@contextmanager
def locked(home: Path):
    """The ledger as a program has it that lets nobody else in."""
    with closing(connect(home / "ledger.db")) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = DELETE").fetchall()
        db.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_ledger_is_said_to_be_locked() -> None:
    seeds.seed(HOME)

    with locked(HOME):
        code, said = ran("watch --once")

    assert code == 3
    assert "ledger is locked by another program" in said


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the page is not beside the tests")
def test_the_records_of_everything_have_the_documented_names() -> None:
    seeds.seed(HOME)
    told = look_once(HOME, clock=now, zone=UTC)
    record = records.snapshot(told)
    text = (ROOT / "docs" / "feed.md").read_text(encoding="utf-8")

    named = {"call": records.finished(told.store.finished[0]), "snapshot": record}
    named |= {records.LISTS[name]: record[name][0] for name in ("servers", "budgets", "circuits")}
    named["running"] = record["running"][0]
    for kind, fields in named.items():
        entry = text.split(f"- `{kind}`", 1)[1].split("\n- ", 1)[0]
        missing = [f for f in fields if f"`{f}`" not in entry and f not in ("kind", "format")]
        assert not missing, kind


def test_only_what_changed_is_told_and_a_heartbeat_is_not() -> None:
    seeds.seed(HOME)
    before = records.snapshot(look_once(HOME, clock=now))
    with seeds.ledger(HOME) as db:
        db.execute("UPDATE servers SET beat = beat + 1")
        db.execute("UPDATE circuits SET failures = 99 WHERE provider = 'openai'")
        db.execute("DELETE FROM inflight WHERE call_id = '01K9XJ4T'")
    after = records.snapshot(look_once(HOME, clock=now))

    told = list(records.changes(before, after))

    assert [(one["kind"], one.get("failures"), one.get("gone")) for one in told] == [
        ("running", None, True),
        ("server", None, None),  # one call less in flight
        ("circuit", 99, None),
    ]


def test_tail_shows_the_last_calls_that_are_wanted() -> None:
    seeds.seed(HOME)

    lines = printed(Wish(wanted="status:ok client:cursor", last=2, zone=UTC, width=120))

    assert [line[-8:] for line in lines] == ["01K9X106", "01K9X108"]
    assert all(line.startswith("✓ ok") for line in lines)
    assert printed(Wish(last=0)) == []


def test_no_text_of_strangers_reaches_a_terminal_raw() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, EVIL)
        seeds.running(db, f"1{EVIL}", client=EVIL, model=EVIL, phase="stream")
        seeds.finished(db, f"2{EVIL}", ago=9, took=1, client=EVIL, model=EVIL, error=EVIL)
        seeds.budget(db, f"task:{EVIL}/day", limit_nano=10, spent_nano=9)
        seeds.circuit(db, EVIL, EVIL, state="open", last_error=EVIL)

    lines = printed(Wish()) + printed(Wish(as_json=True))
    for command in ("watch --once", "watch --json", "status"):
        lines += ran(command)[1].splitlines()

    assert all(line.isprintable() for line in lines)
    assert any("␛" in line for line in lines)


def test_a_stream_that_shows_only_ascii_gets_only_ascii() -> None:
    seeds.seed(HOME)
    page = Plain()

    Outlet(page).say(["✓ ok ● 3 · é"])

    assert page.getvalue() == "+ ok * 3 - ?\n"


def test_an_outlet_notices_that_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as file:
        out = Outlet(file)
        before = out.gone()
        os.close(reading)

        assert (before, out.gone()) == (False, True)
        with pytest.raises(Closed):
            out.say(["nobody reads this"])


def test_following_tells_each_change_on_a_line() -> None:
    seeds.seed(HOME)
    stop, page = threading.Event(), Waking()
    follower = threading.Thread(
        target=stream.follow, args=(HOME, Outlet(page)), kwargs={"clock": now, "stop": stop}
    )
    follower.start()
    try:
        page.wait_for(lambda found: found[0]["kind"] == "snapshot")
        with seeds.ledger(HOME) as db:
            seeds.finished(db, "new", ago=1, took=1)
        page.wait_for(lambda found: found[-1].get("call_id") == "new")
    finally:
        stop.set()
        follower.join(5)

    assert [one["kind"] for one in page.found] == ["snapshot", "call"]


class Waking(Page):
    """Says when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Condition()
        self.found: list[dict[str, Any]] = []

    def write(self, s: str) -> int:
        with self.written:
            self.found += map(json.loads, s.splitlines())
            self.written.notify_all()
        return len(s)

    def wait_for(self, happened: Callable[[list[dict[str, Any]]], bool]) -> None:
        with self.written:
            assert self.written.wait_for(lambda: self.found and happened(self.found), 5)


@pytest.mark.skipif(sys.platform == "win32", reason="ctrl-c is another thing there")
@pytest.mark.parametrize("command", ["tail --json", "watch --json --follow"])
def test_ctrl_c_and_a_closed_pipe_end_it_cleanly(command: str) -> None:
    seeds.seed(HOME)
    arguments = [sys.executable, "-c", MAIN, *command.split()]
    env = {**os.environ, "ROUNDHOUSE_HOME": str(HOME.absolute())}
    both = [
        subprocess.Popen(arguments, env=env, stdout=PIPE, stderr=PIPE, text=True) for _ in range(2)
    ]
    interrupted, left = both
    for process in both:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())

    interrupted.send_signal(2)
    said = interrupted.communicate(timeout=5)
    assert left.stdout is not None
    assert left.stderr is not None
    left.stdout.close()
    left.wait(5)
    complaint = left.stderr.read()
    left.stderr.close()

    assert (interrupted.returncode, said[1]) == (0, "")
    assert (left.returncode, complaint) == (0, "")


def test_none_of_it_loads_textual() -> None:
    program = (
        "import sys; from roundhouse_mcp.tui import once, statusline, stream, tail;"
        "print([m for m in ('textual', 'mcp', 'pydantic', 'click') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "[]"

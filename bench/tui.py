"""`roundhouse watch` measured: first paint, idle, under load, how late it is, how much it holds.

    uv run python bench/tui.py [--calls 1000000] [--only NAME ...] [--scratch DIRECTORY]

The interface runs on a pseudo terminal of 120x36 over a ledger of `--calls` calls; servers are
processes that write through the ledger's own functions. Prints each figure beside its limit, and
ends with 1 if one is over it. Linux only: CPU time and memory are read from /proc.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ledger import fill
from pseudo import Heard, Program

WRITER = Path(__file__).with_name("tui_writer.py")
MINIMAL = """
from textual.app import App
from textual.widgets import DataTable, Footer, Header{more}

class Minimal(App):
    BINDINGS = [("q", "quit", "Quit")]
    def compose(self):
        yield Header()
        {tables}
        yield Footer()
    def on_mount(self):
        for table in self.query(DataTable):
            table.add_columns("COLUMN-A", "COLUMN-B", "COLUMN-C")

Minimal().run()
"""
ONE = MINIMAL.format(more="", tables="yield DataTable()")
SIX = MINIMAL.format(
    more=", TabbedContent, TabPane",
    tables="""with TabbedContent():
            for number in range(6):
                with TabPane(f"Tab {number}"):
                    yield DataTable()""",
)
RATE, WRITERS = 5.0, 4
MARK = re.compile(rb"[be]\d{7}")
PAINTS, IDLE_S, BUSY_S, LATE_S = 15, 30.0, 20.0, 60.0
FLOOD, FLOOD_RATE = 100_000, 2000
SETTLE_S = 4.0


@dataclass(slots=True)
class Bench:
    """Where it runs, and what was found over its limit."""

    home: Path
    over: list[str] = field(default_factory=list[str])

    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "ROUNDHOUSE_HOME": str(self.home), "PYTHONWARNINGS": "ignore"}

    def watch(self, heard: Heard = lambda at, text: None) -> Program:
        command = [sys.executable, "-m", "roundhouse_mcp.server", "watch"]
        return Program(command, self.environ(), heard=heard)

    def say(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        told = "" if limit is None else f"at most {limit:g}"
        wrong = limit is not None and value > limit
        if wrong:
            self.over.append(name)
        mark = "OVER" if wrong else ""
        sys.stdout.write(f"{name:<52}{value:>9.2f} {unit:<4}{told:<14}{mark}\n")
        sys.stdout.flush()


@contextmanager
def writers(
    bench: Bench, count: int, work: str, rate: float
) -> Generator[list[subprocess.Popen[str]]]:
    """Server processes, that end when this does."""
    with ExitStack() as stack:
        started: list[subprocess.Popen[str]] = []
        for number in range(count):
            command = [sys.executable, str(WRITER), str(bench.home), str(number), work, str(rate)]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            started.append(stack.enter_context(process))
            assert process.stdin
            stack.callback(process.stdin.close)
        yield started


def paint(bench: Bench) -> None:
    """Interleaved, so that a busy machine is equally unfair to all."""
    programs: Mapping[str, tuple[Callable[[], Program], bytes]] = {
        "ours": (bench.watch, b"following"),
        "one table": (lambda: minimal(bench, ONE), b"COLUMN-A"),
        "six tables": (lambda: minimal(bench, SIX), b"COLUMN-A"),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for turn in range(PAINTS + 1):
        for name, (start, words) in programs.items():
            with start() as program:
                painted = program.said(words)
                if turn:  # the first warms the file cache and the compiled modules
                    taken[name].append((painted * 1000, program.cpu_s() * 1000))
    middle = {name: statistics.median(at for at, _ in each) for name, each in taken.items()}
    bench.say("first paint, median", middle["ours"], "ms", 700)
    for name in ("one table", "six tables"):
        bench.say(f"a minimal Textual app, {name}", middle[name], "ms")
    bench.say("ratio to the one with one table", middle["ours"] / middle["one table"], "x", 1.2)
    bench.say("ratio to the one with six tables", middle["ours"] / middle["six tables"], "x", 1.2)
    for name, each in taken.items():
        bench.say(f"CPU time to then, {name}", statistics.median(cpu for _, cpu in each), "ms")


def minimal(bench: Bench, program: str) -> Program:
    return Program([sys.executable, "-c", program], bench.environ())


def idle(bench: Bench) -> None:
    with bench.watch() as program:
        program.said(b"following")
        time.sleep(SETTLE_S)
        bench.say("idle, nobody writes", program.busy(IDLE_S), "%", 0.5)


def live(bench: Bench) -> None:
    with writers(bench, 1, "rows", 200), bench.watch() as program:
        program.said(b"stream")
        time.sleep(SETTLE_S)
        bench.say("200 calls in flight, progress at 5 Hz", program.busy(BUSY_S), "%", 8)


def late(bench: Bench) -> None:
    """From an event on disk to the first bytes that show it, whoever wrote it."""
    shown: dict[str, float] = {}

    def heard(at: float, text: bytes) -> None:
        for mark in MARK.findall(text):
            shown.setdefault(mark.decode(), at)

    happened: dict[str, float] = {}
    with bench.watch(heard) as program:
        program.said(b"following")
        with writers(bench, WRITERS, "calls", RATE / WRITERS) as started:
            ears = [threading.Thread(target=listen, args=(each, happened)) for each in started]
            for ear in ears:
                ear.start()
            time.sleep(SETTLE_S)
            from_then = time.monotonic()
            used = program.busy(LATE_S)
            until = time.monotonic() - 1.0
        for ear in ears:
            ear.join()
        wanted = {mark: at for mark, at in happened.items() if from_then <= at < until}
        took = sorted(shown[mark] - at for mark, at in wanted.items() if mark in shown)
    name = f"{RATE:g} calls/s by {WRITERS} servers"
    bench.say(f"{name}, CPU", used, "%", 8)
    bench.say(f"{name}, events", len(wanted), "")
    bench.say(f"{name}, never shown", len(wanted) - len(took), "", 0)
    bench.say("event to bytes on the terminal, p50", statistics.median(took) * 1000, "ms")
    bench.say("event to bytes on the terminal, p95", took[int(len(took) * 0.95)] * 1000, "ms", 300)
    bench.say("event to bytes on the terminal, most", took[-1] * 1000, "ms")


def listen(process: subprocess.Popen[str], happened: dict[str, float]) -> None:
    assert process.stdout
    for line in process.stdout:
        mark, at = line.split()
        happened[mark] = float(at)


def memory(bench: Bench) -> None:
    """With all calls it holds in memory, then after every view was shown, then after a flood."""
    with bench.watch() as program:
        program.said(b"following")
        time.sleep(SETTLE_S)
        bench.say("resident memory, view Live", program.resident_mib(), "MiB", 60)
        bench.say("... of it shared with nobody", program.own_mib(), "MiB")
        for key, title in zip(
            "234561", ("Bud", "Circ", "Prov", "Cost", "Serv", "Live"), strict=True
        ):
            program.press(key)
            program.said(f"[{key} {title}".encode())
            time.sleep(1)
        bench.say("resident memory, all six views were shown", program.resident_mib(), "MiB", 60)


def flood(bench: Bench) -> None:
    happened: dict[str, float] = {}
    with bench.watch() as program, writers(bench, 1, "flood", FLOOD_RATE) as started:
        program.said(b"flood")
        threading.Thread(target=listen, args=(started[0], happened), daemon=True).start()
        held: list[tuple[int, float]] = []
        done = 0
        while done < FLOOD:
            time.sleep(1)
            done = max((int(mark[1:]) for mark in list(happened)), default=0)
            held.append((done, program.resident_mib()))
        used = program.busy(5)
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        count, mib = next(each for each in held if each[0] >= FLOOD * share)
        bench.say(f"resident memory after {count:,} calls", mib, "MiB", 60)
    tenth = next(mib for count, mib in held if count >= FLOOD * 0.1)
    bench.say(f"growth over the last {FLOOD * 0.9:,.0f}", held[-1][1] - tenth, "MiB", 2)
    bench.say(f"{FLOOD_RATE} calls/s, CPU", used, "%")


PARTS = {part.__name__: part for part in (paint, idle, live, late, memory, flood)}


def main(calls: int, scratch: Path, parts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        bench = Bench(Path(place) / "home")
        bench.home.mkdir()
        fill(bench.home, calls, int(time.time() // 3600))
        size = (bench.home / "ledger.db").stat().st_size / 1e6
        load = os.getloadavg()[0]
        sys.stdout.write(f"{calls:,} calls, {size:.0f} MB; load average {load:.1f}\n")
        for part in parts:
            PARTS[part](bench)
    sys.exit(1 if bench.over else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    main(given.calls, given.scratch, given.only)

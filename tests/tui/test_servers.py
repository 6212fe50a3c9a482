"""View 6: which servers live, how they differ, and what became of those that ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
import seeds
from screens import HOME, check, check_both, screen_text, until, watched
from seats import scripted, seated, settled

from roundhouse_mcp.server.home import fingerprint
from roundhouse_mcp.server.ledger.driver import connect_read_only
from roundhouse_mcp.server.ledger.owners import Owner
from roundhouse_mcp.server.ledger.processes import Process
from roundhouse_mcp.tui import processes
from roundhouse_mcp.tui.processes import Seen, config_word, kind_of, look_around, missing_keys
from roundhouse_mcp.tui.rows import Look

WORKER = Path(__file__).parent.parent / "ledger_worker.py"
EVIL = "a\x1b]52;c;RVZJTA==\x07b\x9bd\u202ee\n[/oops]"
NOW = seeds.NOW
ONE = Process(
    id="s1",
    owner="o1",
    pid=8123,
    host="mba",
    client="Cursor",
    client_version="2.3",
    project="~/site",
    version="0.4.0",
    config_hash="h1",
    config_file="f1",
    log_path=None,
    started=NOW - 4000,
    beat=NOW - 1,
    ended=None,
    reaped_by=None,
    calls=412,
    lost=0,
    cost_nano=3_101_000_000,
    presumed_nano=0,
    last_call=NOW - 2,
)


def fill(home: Path) -> None:
    """One of each kind: current, of another opinion, old, silent, gone, ended."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text('timezone = "UTC"\n', encoding="utf-8")
    now = fingerprint(home / "config.toml")
    keys = json.dumps(["ANTHROPIC_API_KEY", "OPENAI_API_KEY"])
    with seeds.ledger(home) as db:
        for number, client in enumerate(("Cursor", "Claude Desktop", "script", "Zed", "Codex"), 1):
            seeds.server(db, number, client, beat=NOW - 1 if number < 4 else NOW - 600)
            changes = {"config_file": now, "keys_present": keys, "calls": number * 100}
            changes |= {"cost_nano": number * 10**9, "last_call": NOW - number}
            seeds.change(db, "servers", f"s{number}", **changes)
        seeds.change(db, "servers", "s2", config_hash="c2", client_version="1.9")
        only = {"keys_present": '["ANTHROPIC_API_KEY"]', "version": "0.0.9", "config_file": "old"}
        seeds.change(db, "servers", "s3", **only, log_path="/var/log/roundhouse.log")
        gone = {"ended": NOW - 590, "reaped_by": "o1", "lost": 1, "presumed_nano": 12_000_000}
        seeds.change(db, "servers", "s4", **gone)
        seeds.change(db, "servers", "s5", ended=NOW - 600)
        seeds.server(db, 6, "asleep", beat=NOW - 90)
        seeds.running(db, "01K9XJ4T", server="s1")
        seeds.running(db, "01K9XJ4U", server="s2")


async def test_every_kind_of_server_at_both_sizes() -> None:
    fill(HOME)

    async with watched() as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: bool(app.store.snapshot.extra))

        await check_both(app, pilot, "servers")


async def test_the_detail_of_one_that_differs_and_of_one_that_is_gone() -> None:
    fill(HOME)

    async with watched() as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: bool(app.store.snapshot.extra))
        await pilot.press("j", "j", "enter")
        await pilot.pause()
        check(app, "servers_detail_120x36")
        await pilot.press("j", "j")
        await pilot.pause()
        check(app, "servers_gone_120x36")
        await pilot.press("k", "k", "L")
        await pilot.pause()

        assert "/var/log/roundhouse.log" in screen_text(app)


async def test_a_ledger_without_servers_says_how_to_start_one() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME):
        pass

    async with watched((80, 24)) as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: bool(app.store.snapshot.extra))

        check(app, "empty_servers_80x24")


async def test_hostile_names_reach_no_screen() -> None:
    HOME.mkdir()
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, EVIL * 50)
        evil = dict.fromkeys(("host", "client_version", "project", "version", "log_path"), EVIL)
        keys = json.dumps([EVIL])
        seeds.change(db, "servers", "s1", **evil, config_file=EVIL, owner=EVIL, keys_present=keys)

    async with watched() as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: bool(app.store.snapshot.extra))
        for key in ("enter", "L"):
            await pilot.press(key)
            await pilot.pause()
            shown = screen_text(app)

            assert all(line.isprintable() for line in shown.splitlines())
            assert "␛" in shown


@pytest.mark.parametrize(
    ("changes", "dead", "kind"),
    [
        ({}, (), "alive"),
        ({"beat": NOW - 16}, (), "silent"),
        ({}, ("o1",), "gone"),
        ({"ended": NOW}, (), "ended"),
        ({"ended": NOW, "reaped_by": "o2"}, (), "gone"),
    ],
)
def test_a_server_is_known_by_its_goodbye_its_lock_or_its_beat(
    changes: dict[str, float], dead: tuple[str, ...], kind: str
) -> None:
    process = replace(ONE, **changes)  # pyright: ignore[reportArgumentType]

    assert kind_of(process, Seen(processes=(process,), dead=frozenset(dead)), NOW) == kind


def test_a_config_is_compared_with_the_file_and_with_the_others() -> None:
    others = (replace(ONE, id="s2", owner="o2"), replace(ONE, id="s3", owner="o3"))
    alone = replace(ONE, id="s4", config_hash="h2")
    seen = Seen(processes=(ONE, *others, alone), config_file="f1")

    words = [
        config_word(process, seen)
        for process in (ONE, alone, replace(ONE, config_file="f0"), replace(ONE, config_file=None))
    ]

    assert words == ["current", "differs", "older", "?"]


def test_keys_and_versions_are_compared_with_those_of_others() -> None:
    other = replace(ONE, id="s2", version="0.10.0")
    keys = {"s1": frozenset({"A"}), "s2": frozenset({"A", "B"})}
    seen = Seen(processes=(ONE, other), keys=keys, config_file="f1")

    assert missing_keys(ONE, seen, NOW) == ["B"]
    assert missing_keys(other, seen, NOW) == []
    assert processes.remarks(ONE, seen, NOW) == [
        "runs 0.4.0, another 0.10.0: restart its client",
        "does not see B, which others do",
    ]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner.claim(tmp_path / "home" / "run")
    yield owner
    os.close(owner.fd)


def test_the_lock_tells_a_dead_server_at_once(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.node", lambda: "mba")
    with seeds.ledger(HOME) as db:
        seeds.server(db, 1, "lives")
        seeds.server(db, 2, "dies")
        seeds.server(db, 3, "elsewhere")
        seeds.change(db, "servers", "s1", owner=owner.id)
        seeds.change(db, "servers", "s3", host="another machine")

    with closing(connect_read_only(HOME / "ledger.db")) as db:
        seen = look_around(HOME, db, NOW)

    assert seen.dead == {"o2"}


async def test_a_real_server_fills_every_column(tmp_path: Path) -> None:
    home = tmp_path / "real"
    async with seated(home, scripted("one", "text=1", price=("1000", "1000"))) as seat:
        await seat.said("complete", prompt="Hi", model="one/m")
        with anyio.fail_after(20):
            await settled(home, "SELECT 1 FROM servers WHERE calls = 1 AND client <> 'unknown'")
        with closing(connect_read_only(home / "ledger.db")) as db:
            seen = look_around(home, db, seat.desk.clock())
        (process,) = seen.processes
        look = Look(seat.desk.clock())
        row = processes.process_row(process, processes.WIDE, seen, look)

    shown = dict(zip((column.key for column in processes.WIDE), row.cells, strict=True))
    assert [key for key, cell in shown.items() if cell.strip() in ("", "—", "?", "never")] == []
    assert (shown["state"], shown["config"], shown["calls"]) == ("● alive", "current", "1")
    assert shown["pid"] == str(os.getpid())
    assert shown["cost"] not in ("0", "?")
    assert seen.ledger_size > 0
    assert seen.wal_size > 0
    assert seen.schema == 3


def test_a_killed_process_is_gone_before_anybody_has_found_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.node", lambda: "here")
    command = [sys.executable, str(WORKER), "die", str(HOME), "5000"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        before = seen_now()
        worker.kill()
    after = seen_now()

    (process,) = after.processes
    kinds = [kind_of(process, seen, process.beat + 1) for seen in (before, after)]
    assert kinds == ["alive", "gone"]
    assert "its process ended without a goodbye" in "\n".join(
        processes.detail_lines(process, after, Look(process.beat + 1))
    )


def seen_now() -> Seen:
    with closing(connect_read_only(HOME / "ledger.db")) as db:
        return look_around(HOME, db, 0.0)

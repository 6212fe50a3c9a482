"""The last hour, counted as calls come and go, is what counting all of them again would say."""

import random
from collections import deque
from dataclasses import replace

import seeds
from screens import HOME

from roundhouse_mcp.server.ledger.driver import connect_read_only
from roundhouse_mcp.server.ledger.watch import Finished, newest
from roundhouse_mcp.tui.hour import HOUR_S, Hour, LastHour

MOST = 300


def counted(held: deque[Finished], now: float) -> LastHour:
    recent = [call for call in held if call.ended >= now - HOUR_S]
    if not recent:
        return LastHour()
    took = sorted(call.ended - call.started for call in recent)
    return LastHour(
        calls=len(recent),
        errors=sum(call.status not in ("ok", "cancelled") for call in recent),
        p50_s=took[len(took) // 2],
        p95_s=took[min(len(took) - 1, int(len(took) * 0.95))],
        partial=len(recent) == MOST,
    )


def one_call() -> Finished:
    seeds.seed(HOME)
    db = connect_read_only(HOME / "ledger.db")
    (call,) = newest(db, 1)
    db.close()
    return call


def test_the_last_hour_is_what_counting_again_would_say() -> None:
    chance, made = random.Random(6), one_call()
    held, hour, now, last = deque[Finished](maxlen=MOST), Hour(MOST), seeds.NOW, 0
    for _ in range(200):
        now += chance.choice((1.0, 60.0, 900.0, 4000.0))
        for _ in range(chance.choice((0, 1, 3, 40, 150, 400))):
            last += 1
            status = chance.choice(("ok", "ok", "failed", "cancelled"))
            started = now - chance.random() * 9
            held.appendleft(replace(made, id=last, started=started, ended=now, status=status))

        assert hour.seen(held, now) == counted(held, now)

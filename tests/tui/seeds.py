"""A ledger as busy servers leave it, written by hand for a fixed moment."""

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from roundhouse_mcp.server.ledger.schema import MIGRATIONS, VERSION

NOW = 1_795_264_867.0  # 2026-11-21 12:41:07 UTC
MIDNIGHT = NOW - 45_667
NANO = 1_000_000_000
MONTH_BEGAN, MONTH_ENDS = MIDNIGHT - 20 * 86_400, MIDNIGHT + 10 * 86_400
HOUR = int(NOW // 3600)
REASON = "priority 1"

Value = str | int | float | None


@contextmanager
def ledger(home: Path) -> Generator[sqlite3.Connection]:
    """The home's ledger, made if it is not there; committed and closed at the end."""
    path = home / "ledger.db"
    fresh = not path.exists()
    db = sqlite3.connect(path)
    try:
        if fresh:
            db.execute("PRAGMA journal_mode=WAL").fetchall()
            for script in MIGRATIONS:
                db.executescript(script)
            db.execute(f"PRAGMA user_version = {VERSION}")
        yield db
        db.commit()
    finally:
        db.close()


def insert(db: sqlite3.Connection, table: str, **values: Value) -> None:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


def change(db: sqlite3.Connection, table: str, row: str, **values: Value) -> None:
    """Of the row with this id."""
    assignments = ", ".join(f"{name} = ?" for name in values)
    db.execute(f"UPDATE {table} SET {assignments} WHERE id = ?", (*values.values(), row))


def server(db: sqlite3.Connection, number: int, client: str, *, beat: float = NOW - 1) -> None:
    insert(
        db,
        "servers",
        id=f"s{number}",
        owner=f"o{number}",
        pid=8000 + number,
        host="mba",
        client=client,
        project="~/site",
        version="0.1.0",
        config_hash="c1",
        started=NOW - 4000,
        beat=beat,
    )


def running(db: sqlite3.Connection, call_id: str, **values: Value) -> None:
    known: dict[str, Value] = {
        "call_id": call_id,
        "tool": "complete",
        "server": "s1",
        "owner": "o1",
        "client": "cursor",
        "project": "~/site",
        "task": "code",
        "strategy": "priority",
        "provider": "groq",
        "model": "llama-3.3-70b-versatile",
        "phase": "stream",
        "attempt": 1,
        "started": NOW - 3.8,
        "attempt_started": NOW - 3.8,
        "beat": NOW - 0.4,
    }
    insert(db, "inflight", **(known | values))


def finished(
    db: sqlite3.Connection, call_id: str, *, ago: float, took: float, **values: Value
) -> None:
    known: dict[str, Value] = {
        "call_id": call_id,
        "tool": "complete",
        "server": "s1",
        "client": "cursor",
        "project": "~/site",
        "task": "code",
        "strategy": "priority",
        "provider": "openai",
        "model": "gpt-5-mini",
        "status": "ok",
        "finish_reason": "stop",
        "attempts": 1,
        "started": NOW - ago,
        "first_token_at": NOW - ago + took / 10,
        "ended": NOW - ago + took,
        "input_tokens": 4400,
        "output_tokens": 512,
        "cost_nano": 2_100_000,
        "cost_kind": "actual",
    }
    insert(db, "calls", **(known | values))


def attempt(db: sqlite3.Connection, call_id: str, n: int, **values: Value) -> None:
    known: dict[str, Value] = {
        "call_id": call_id,
        "n": n,
        "provider": "openai",
        "model": "gpt-5",
        "outcome": "ok",
        "cost_kind": "none",
    }
    insert(db, "attempts", **(known | values))


def budget(db: sqlite3.Connection, name: str, **values: Value) -> None:
    scope, _, period = name.partition("/")
    known: dict[str, Value] = {
        "budget": name,
        "scope": scope,
        "period": period,
        "window_start": 0.0 if period == "total" else MIDNIGHT,
        "window_end": MIDNIGHT + 86_400,
        "at_limit": "refuse",
    }
    insert(db, "budget_windows", **(known | values))


def circuit(db: sqlite3.Connection, provider: str, model: str, **values: Value) -> None:
    known: dict[str, Value] = {
        "provider": provider,
        "model": model,
        "state": "closed",
        "changed_at": NOW - 41,
    }
    insert(db, "circuits", **(known | values))


def used(db: sqlite3.Connection, provider: str, model: str, **values: Value) -> None:
    known: dict[str, Value] = {
        "hour": HOUR,
        "provider": provider,
        "model": model,
        "task": "code",
        "client": "cursor",
        "project": "~/site",
    }
    used = known | values
    insert(db, "usage_hour", **used)
    who = ("hour", "provider", "model")
    names = [n for n in used if n not in ("task", "client", "project")]
    sums = [f"{n} = {n} + excluded.{n}" for n in names if n not in who]
    db.execute(
        f"INSERT INTO model_hour ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT ({', '.join(who)}) DO UPDATE SET {', '.join(sums)}",
        tuple(used[n] for n in names),
    )


CONFIG = """\
[[budgets]]
scope = "project:~/site"
period = "month"
limit_usd = "80"

[[budgets]]
scope = "client:cursor"
limit_usd = "2"
at_limit = "cheapest"

[[budgets]]
scope = "global"
limit_usd = "10"

[[budgets]]
scope = "provider:openai"
limit_usd = "8"
at_limit = "local"

[[budgets]]
scope = "task:docs"
period = "total"
limit_usd = "3"
"""


def configure(home: Path, text: str = CONFIG) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text, encoding="utf-8")
    (home / "config.toml").chmod(0o600)


def seed(home: Path) -> Path:
    """Everything the three views show, in every state."""
    configure(home)
    with ledger(home) as db:
        for number, client in enumerate(("cursor", "claude-code", "script"), 1):
            server(db, number, client)
        seed_running(db)
        seed_finished(db)
        seed_budgets(db)
        seed_circuits(db)
    return home


def seed_running(db: sqlite3.Connection) -> None:
    running(
        db,
        "01K9XJ4T",
        attempt=4,
        started=NOW - 9.4,
        attempt_started=NOW - 3.4,
        first_token_at=NOW - 3.1,
        input_tokens=6104,
        output_tokens=188,
        reserved_nano=400_000,
        trail="openai/gpt-5 429, openai/gpt-5 429, openai/gpt-5-mini timed_out",
    )
    running(
        db,
        "01K9XJ5B",
        client="claude-code",
        task="security",
        provider="openai",
        model="gpt-5",
        phase="wait",
        started=NOW - 2.1,
        attempt_started=NOW - 2.0,
        input_tokens=18_200,
        reserved_nano=41_000_000,
    )
    running(
        db,
        "01K9XJ5A",
        client="script",
        task="docs",
        provider="ollama",
        model="qwen3:8b",
        first_token_at=NOW - 3.6,
        input_tokens=2000,
        output_tokens=94,
    )
    running(
        db,
        "01K9XJ50",
        client="claude-code",
        task="quick",
        provider="together",
        model="qwen3-32b",
        phase="retry",
        attempt=1,
        started=NOW - 5.6,
        next_try_at=NOW + 1.2,
        trail="together/qwen3-32b 503",
    )


def seed_finished(db: sqlite3.Connection) -> None:
    claude = {"provider": "anthropic", "model": "claude-sonnet-4-5"}
    free = {"cost_nano": 0, "cost_kind": "actual"}
    none = {"cost_nano": None, "cost_kind": "none", "first_token_at": None, "output_tokens": None}
    finished(db, "01K9X100", ago=609, took=4.0, **claude, cost_nano=14_200_000)
    lost = {"status": "lost", "finish_reason": None, "cost_kind": "presumed"}
    finished(db, "01K9X101", ago=587, took=300.0, **claude, **lost, output_tokens=340)
    finished(db, "01K9X102", ago=55, took=1.0, provider="ollama", model="qwen3:8b", **free)
    trail = "anthropic/claude-sonnet-4-5 529, anthropic/claude-sonnet-4-5 529"
    finished(
        db,
        "01K9X103",
        ago=48,
        took=7.7,
        model="gpt-5",
        attempts=3,
        trail=trail,
        cost_nano=31_200_000,
    )
    finished(
        db,
        "01K9X104",
        ago=27,
        took=0.3,
        provider="groq",
        model="llama-3.3-70b-versatile",
        status="failed",
        error_kind="locked",
        error="groq: 401 invalid key",
        task="quick",
        **none,
    )
    finished(
        db,
        "01K9X105",
        ago=23,
        took=0.02,
        provider=None,
        model=None,
        status="refused",
        attempts=0,
        error_kind="over_budget",
        error="budget project:site/month needs 0.0900, free 0.0790",
        task="docs",
        **none,
    )
    finished(
        db,
        "01K9X106",
        ago=16,
        took=0.2,
        tool="embed",
        task="embed",
        output_tokens=None,
        cost_nano=20_000,
    )
    finished(
        db,
        "01K9X107",
        ago=14,
        took=2.0,
        status="cancelled",
        finish_reason="interrupted",
        cost_kind="estimated",
    )
    finished(db, "01K9X108", ago=12, took=3.1, attempts=2, trail="anthropic/claude-sonnet-4-5 529")
    seed_attempts(db)


def seed_attempts(db: sqlite3.Connection) -> None:
    """Of the call that needed three."""
    began = NOW - 48
    claude = {
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "outcome": "faulted",
        "http_status": 529,
    }
    attempt(db, "01K9X103", 1, started=began, ended=began + 0.6, **claude)
    again = {"waited_s": 0.8, "waited_for": "retry-after"}
    attempt(db, "01K9X103", 2, started=began + 1.4, ended=began + 2.0, **claude, **again)
    attempt(
        db,
        "01K9X103",
        3,
        started=began + 2.0,
        first_token_at=began + 2.9,
        ended=began + 7.7,
        output_tokens=512,
        cost_nano=31_200_000,
        cost_kind="actual",
    )
    decision = {
        "candidates": [
            {"provider": "anthropic", "model": "claude-sonnet-4-5", "why": [REASON, "task code"]},
            {"provider": "openai", "model": "gpt-5", "why": ["priority 2"]},
        ],
        "excluded": [
            {
                "provider": "ollama",
                "model": "qwen3:8b",
                "reason": "capability",
                "detail": "no tools",
            }
        ],
    }
    insert(db, "decisions", call_id="01K9X103", json=json.dumps(decision))


def seed_budgets(db: sqlite3.Connection) -> None:
    month = {"window_start": MONTH_BEGAN, "window_end": MONTH_ENDS}
    site = "project:~/site/month"
    insert(
        db,
        "budget_windows",
        budget=site,
        scope="project:~/site",
        period="month",
        **month,
        limit_nano=80 * NANO,
        spent_nano=79_880_000_000,
        reserved_nano=41_000_000,
        at_limit="refuse",
    )
    budget(
        db, "client:cursor/day", limit_nano=2 * NANO, spent_nano=1_710_000_000, at_limit="cheapest"
    )
    budget(
        db, "global/day", limit_nano=10 * NANO, spent_nano=4_820_000_000, reserved_nano=53_000_000
    )
    budget(
        db, "provider:openai/day", limit_nano=8 * NANO, spent_nano=2_100_000_000, at_limit="local"
    )
    budget(db, "task:docs/total", limit_nano=3 * NANO, spent_nano=30_000_000, window_end=None)
    for n, (call_id, amount) in enumerate((("01K9XJ4T", 12_000_000), ("01K9XJ5B", 29_000_000))):
        insert(
            db,
            "reservations",
            id=f"r{n}",
            call_id=call_id,
            attempt=1,
            owner="o1",
            provider="groq",
            model="llama-3.3-70b-versatile",
            amount_nano=amount,
            state="held",
            created=NOW - 9 + 7 * n,
            lease_until=NOW + 300,
        )
        insert(
            db, "reservation_windows", reservation=f"r{n}", budget=site, window_start=MONTH_BEGAN
        )
    event = {
        "budget": site,
        "window_start": MONTH_BEGAN,
        "limit_nano": 80 * NANO,
        "reserved_nano": 0,
        "by": "s1",
    }
    insert(db, "budget_events", at=NOW - 1800, kind="warned", spent_nano=64 * NANO, **event)
    insert(
        db,
        "budget_events",
        at=NOW - 23,
        kind="refused",
        call_id="01K9X105",
        amount_nano=90_000_000,
        spent_nano=79_921_000_000,
        **event,
    )
    used(db, "openai", "gpt-5", calls=412, errors=2, cost_nano=2_100_000_000)
    used(db, "anthropic", "claude-sonnet-4-5", calls=240, errors=11, cost_nano=2_720_000_000)
    used(db, "groq", "llama-3.3-70b-versatile", calls=11, errors=1)
    used(db, "ollama", "qwen3:8b", calls=63, task="docs")


def seed_circuits(db: sqlite3.Connection) -> None:
    claude = ("anthropic", "claude-sonnet-4-5")
    circuit(
        db,
        *claude,
        state="open",
        failures=5,
        opened_at=NOW - 41,
        retry_at=NOW + 19,
        open_count=2,
        epoch=4,
        last_ok_at=NOW - 131,
        last_failure_at=NOW - 41,
        last_error="529 overloaded",
    )
    circuit(
        db,
        "together",
        "qwen3-32b",
        state="half_open",
        failures=5,
        changed_at=NOW - 1.1,
        last_ok_at=NOW - 362,
    )
    circuit(
        db,
        "azure",
        "*",
        hold_reason="auth",
        hold_until=NOW + 560,
        last_ok_at=NOW - 1860,
        changed_at=NOW - 40,
    )
    circuit(db, "deepseek", "deepseek-chat", cooldown_until=NOW + 12, last_failure_at=NOW - 3)
    circuit(
        db, "openai", "gpt-5", failures=2, last_failure_at=NOW - 100, last_error="500 server error"
    )
    circuit(db, "cohere", "command-a")
    for ago, before, after, why in (
        (875, "closed", "open", "5 failures in a row: 529 overloaded"),
        (815, "open", "half_open", "60 s are over"),
        (812, "half_open", "closed", "the probe succeeded"),
        (41, "closed", "open", "5 failures in a row: 529 overloaded"),
    ):
        insert(
            db,
            "circuit_events",
            at=NOW - ago,
            provider=claude[0],
            model=claude[1],
            from_state=before,
            to_state=after,
            why=why,
            epoch=1,
            by="s1",
        )


def question(db: sqlite3.Connection, call_id: str, **values: Value) -> None:
    known: dict[str, Value] = {
        "call_id": call_id,
        "budget": "global/day",
        "client": "cursor",
        "project": "~/site",
        "provider": "openai",
        "model": "gpt-5",
        "amount_nano": 410_000_000,
        "fingerprint": "f",
        "asked_at": NOW - 4,
        "waits_until": NOW + 41,
        "expires": NOW + 641,
    }
    insert(db, "approvals", **(known | values))

"""The feed as data: records whose field names stay. They are described in docs/feed.md.

Times are epoch seconds, money is US dollars (null: nobody knows), a missing text is null.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..server.ledger.processes import Process
from ..server.ledger.watch import Breaker, Finished, Running, Spending
from .figures import NANO
from .processes import Seen, config_word, kind_of, missing_keys
from .told import Told, alarms

FORMAT = 1
Record = dict[str, Any]
LISTS = {"running": "call", "servers": "server", "budgets": "budget", "circuits": "circuit"}
NAMED_BY = {"running": "call_id", "servers": "id", "budgets": "budget", "circuits": "circuit"}
RESTLESS = {"at", "beat"}  # fields that change without news


def usd(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO


def snapshot(told: Told) -> Record:
    """Everything of one moment."""
    store, look, seen = told.store, told.look, told.servers
    now = look.now
    urgent = alarms(told)
    return {
        "kind": "snapshot",
        "format": FORMAT,
        "at": now,
        "ledger": ledger(told),
        "today_usd": usd(store.snapshot.today_nano),
        "alarms": {
            "circuits": urgent.circuits,
            "held": urgent.held,
            "budgets": urgent.budgets,
        },
        "in_flight": store.snapshot.running_count,
        "running": [running(one) for one in store.snapshot.running],
        "servers": [server(one, seen, now) for one in seen.processes],
        "budgets": [budget(one) for one in store.snapshot.spendings],
        "circuits": [circuit(one) for one in store.snapshot.breakers],
    }


def ledger(told: Told) -> Record:
    """`state` is `ok`, or what keeps it from being read; `said` tells a person."""
    health = told.store.health
    return {
        "state": health.state,
        "readable": told.readable,
        "said": told.remark or None,
        "path": str(told.home / "ledger.db"),
        "schema": health.version or None,
    }


def asked(call: Running | Finished) -> Record:
    """What is known of a call from its beginning."""
    return {
        "call_id": call.call_id,
        "tool": call.tool,
        "server": call.server,
        "client": call.client,
        "project": call.project,
        "task": call.task,
        "strategy": call.strategy,
        "provider": call.provider,
        "model": call.model,
    }


def running(call: Running) -> Record:
    return {
        **asked(call),
        "phase": call.phase,
        "attempt": call.attempt,
        "started": call.started,
        "first_token_at": call.first_token_at,
        "next_try_at": call.next_try_at,
        "beat": call.beat,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "reserved_usd": usd(call.reserved_nano),
        "trail": call.trail,
    }


def finished(call: Finished) -> Record:
    return {
        "kind": "call",
        **asked(call),
        "status": call.status,
        "finish_reason": call.finish_reason,
        "error_kind": call.error_kind,
        "error": call.error,
        "attempts": call.attempts,
        "started": call.started,
        "first_token_at": call.first_token_at,
        "ended": call.ended,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cached_tokens": call.cached_tokens,
        "reasoning_tokens": call.reasoning_tokens,
        "cost_usd": usd(call.cost_nano),
        "cost_kind": call.cost_kind,
        "trail": call.trail,
    }


def server(process: Process, seen: Seen, now: float) -> Record:
    return {
        "id": process.id,
        "state": kind_of(process, seen, now),
        "pid": process.pid,
        "host": process.host,
        "client": process.client,
        "client_version": process.client_version,
        "project": process.project,
        "version": process.version,
        "config": config_word(process, seen),
        "keys_missing": missing_keys(process, seen, now) if process.ended is None else [],
        "log_path": process.log_path,
        "started": process.started,
        "beat": process.beat,
        "ended": process.ended,
        "in_flight": seen.running.get(process.id, 0),
        "calls": process.calls,
        "lost": process.lost,
        "cost_usd": usd(process.cost_nano),
        "presumed_usd": usd(process.presumed_nano),
        "last_call": process.last_call,
    }


def budget(spending: Spending) -> Record:
    return {
        "budget": spending.budget,
        "scope": spending.scope,
        "period": spending.period,
        "window_start": spending.window_start,
        "window_end": spending.window_end,
        "spent_usd": usd(spending.spent_nano),
        "reserved_usd": usd(spending.reserved_nano),
        "limit_usd": usd(spending.limit_nano),
        "warn_at": spending.warn_at,
        "at_limit": spending.at_limit,
    }


def circuit(breaker: Breaker) -> Record:
    return {
        "circuit": f"{breaker.provider}/{breaker.model}",
        "provider": breaker.provider,
        "model": breaker.model,
        "state": breaker.state,
        "failures": breaker.failures,
        "threshold": breaker.threshold,
        "opened_at": breaker.opened_at,
        "retry_at": breaker.retry_at,
        "cooldown_until": breaker.cooldown_until,
        "hold_reason": breaker.hold_reason,
        "hold_until": breaker.hold_until,
        "hold_by": breaker.hold_by,
        "changed_at": breaker.changed_at,
        "last_ok_at": breaker.last_ok_at,
        "last_failure_at": breaker.last_failure_at,
        "last_error": breaker.last_error,
    }


def changes(before: Record, after: Record) -> Iterator[Record]:
    """What differs between two snapshots: one record per changed thing, as it is now; `gone` for
    one that is not there any more. A heart that beats is no change."""
    for name, kind in (("ledger", "ledger"), ("alarms", "alarms")):
        if before[name] != after[name]:
            yield {"kind": kind, "at": after["at"], **after[name]}
    for name, kind in LISTS.items():
        key = NAMED_BY[name]
        known = {one[key]: one for one in before[name]}
        present = {one[key]: one for one in after[name]}
        word = "running" if name == "running" else kind
        for each, one in present.items():
            if each not in known or lasting(known[each]) != lasting(one):
                yield {"kind": word, "at": after["at"], **one}
        for each in known.keys() - present.keys():
            yield {"kind": word, "at": after["at"], key: each, "gone": True}


def lasting(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in record.items() if name not in RESTLESS}


def line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False)

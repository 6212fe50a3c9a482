"""Providers as three servers report them: one lacks a key and goes by an older configuration."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import seeds
from seeds import NOW, Value, insert

from roundhouse_mcp.server.home import fingerprint

SERVERS = {"s1": "cursor", "s2": "claude-desktop", "s3": "script"}
MODELS = [["gpt-5.5", 1_250_000_000, 10_000_000_000], ["gpt-5.5-mini", 250_000_000, 2_000_000_000]]
DAY_S = 86_400.0


def facts(address: str, *variables: str, **more: Any) -> str:
    known = {"address": address, "variables": variables, "local": False, "detail": ""}
    return json.dumps(known | {"tasks": [], "models": [], "loaded": []} | more)


def report(db: sqlite3.Connection, provider: str, place: int, facts: str, **values: Value) -> None:
    """The same from every server, but for what `values` say by a server's id."""
    lacking = str(values.pop("lacking", ""))
    known: dict[str, Value] = {
        "provider": provider,
        "place": place,
        "at": NOW - 60,
        "configured": 1,
        "enabled": 1,
        "priority": None,
        "cost_multiplier": "1",
        "key_from": "",
        "key_needed": 1,
        "reason": "",
        "models": 2,
        "facts": facts,
    }
    for server in SERVERS:
        given = known | values | {"server": server}
        if server == lacking:
            given |= {"key_from": "", "reason": "key_missing"}
        insert(db, "provider_reports", **given)


def test(db: sqlite3.Connection, provider: str, *, ok: bool, said: str, **values: Value) -> None:
    known: dict[str, Value] = {"provider": provider, "at": NOW - 600, "server": "s1", "by": "tui"}
    known |= {"ok": int(ok), "ms": 412 if ok else None, "models": None, "said": said}
    insert(db, "provider_tests", **(known | values))


def seed(home: Path, *, servers: Sequence[str] = tuple(SERVERS)) -> None:
    seeds.seed(home)
    (home / "config.toml").write_text("[providers.openai]\npriority = 2 # mine\n")
    present = fingerprint(home / "config.toml")
    with seeds.ledger(home) as db:
        db.execute("UPDATE servers SET ended = beat")
        db.execute("DELETE FROM servers WHERE id IN ('s1', 's2', 's3')")
        for number, (name, client) in enumerate(SERVERS.items(), 1):
            if name in servers:
                seeds.server(db, number, client)
        db.execute("UPDATE servers SET config_file = ? WHERE ended IS NULL", (present,))
        db.execute("UPDATE servers SET config_file = 'old', project = '~/ci' WHERE id = 's3'")
        providers(db)


def providers(db: sqlite3.Connection) -> None:
    anthropic = facts("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", tasks=["code"])
    report(db, "anthropic", 1, anthropic, priority=1, key_from="ANTHROPIC_API_KEY", models=6)
    test(db, "anthropic", ok=False, said="529 overloaded")
    openai = facts("https://api.openai.com/v1", "OPENAI_API_KEY", models=MODELS, tasks=["docs"])
    report(db, "openai", 0, openai, priority=2, key_from="OPENAI_API_KEY", lacking="s3")
    test(db, "openai", ok=True, said="11 models", models=11)
    groq = facts("https://api.groq.com/openai/v1", "GROQ_API_KEY")
    report(db, "groq", 6, groq, priority=3, key_from="keys.toml", cost_multiplier="0.8")
    test(db, "groq", ok=True, said="2 models", at=NOW - 3 * DAY_S)
    detail = "has no key; set TOGETHER_API_KEY, or run: roundhouse keys set together"
    together = facts("https://api.together.xyz/v1", "TOGETHER_API_KEY", detail=detail)
    report(db, "together", 9, together, reason="key_missing")
    held: dict[str, Any] = {"loaded": [["qwen3:8b", 5_200_000_000]], "local": True}
    ollama = facts("http://localhost:11434", models=[["qwen3:8b", 0, 0]], **held)
    report(db, "ollama", 19, ollama, priority=9, key_needed=0, models=4)
    test(db, "ollama", ok=True, said="4 models", ms=18)
    lmstudio = facts("http://localhost:1234/v1", detail="does not answer; start its server")
    report(db, "lmstudio", 20, lmstudio, key_needed=0, reason="not_running", models=None)
    cohere = facts("https://api.cohere.com/v2", "COHERE_API_KEY", detail="is switched off")
    report(db, "cohere", 4, cohere, enabled=0, key_from="COHERE_API_KEY", reason="disabled")
    for place, name in enumerate(("gemini", "deepseek", "bedrock", "replicate"), 30):
        report(db, name, place, facts("https://x.example"), configured=0, reason="key_missing")

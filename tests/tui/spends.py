"""Two weeks of spending, written into the hourly rollups by hand."""

import json
import sqlite3
from pathlib import Path

import seeds

DAY_H = 24
MODELS = (  # provider, model, task, calls a day, nano-dollars a call
    ("anthropic", "claude-sonnet-4-5", "code", 220, 10_000_000),
    ("openai", "gpt-5", "security", 30, 27_000_000),
    ("openai", "gpt-5-mini", "code", 130, 3_500_000),
    ("groq", "llama-3.3-70b-versatile", "quick", 90, 4_000_000),
    ("ollama", "qwen3:8b", "docs", 120, 0),
)
WEIGHTS = (5, 2, 6, 3, 1, 2, 7, 1, 5, 2, 9, 4, 1, 0, 3)  # of a day, today first; one was idle
RATES = {"input": 1_250_000_000, "output": 10_000_000_000, "per_request": 0, "source": "config"}


def spend(home: Path, models: tuple[tuple[str, str, str, int, int], ...] = MODELS) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with seeds.ledger(home) as db:
        for back, weight in enumerate(WEIGHTS):
            for model in models:
                add(db, seeds.HOUR - back * DAY_H, weight, model)
        row = {"provider": "anthropic", "model": "claude-sonnet-4-5", "rates": json.dumps(RATES)}
        seeds.attempt(db, "priced", 1, started=seeds.NOW - 9, ended=seeds.NOW - 8, **row)


def add(
    db: sqlite3.Connection, hour: int, weight: int, model: tuple[str, str, str, int, int]
) -> None:
    provider, name, task, calls, each = model
    counted = calls * weight // 4
    if not counted:
        return
    sums = {
        "calls": counted,
        "errors": counted // 40,
        "attempts": counted + counted // 40,
        "input_tokens": counted * 2900,
        "output_tokens": counted * 310,
        "cached_tokens": counted * 1100,
        "cost_nano": counted * each,
        "presumed_nano": each if weight == 9 else 0,
        "presumed": int(weight == 9 and each > 0),
        "unpriced": int(weight == 7 and provider == "groq"),
        "failed_nano": counted // 40 * each,
    }
    labels = {"hour": hour, "provider": provider, "model": name}
    who = {"task": task, "client": "cursor" if task == "code" else "script", "project": "~/site"}
    seeds.insert(db, "model_hour", **labels, **sums)
    seeds.insert(db, "usage_hour", **labels, **who, **sums)
    seeds.insert(db, "status_hour", **labels, **who, **sums, status="ok")

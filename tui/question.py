"""A filter as a condition on the ledger's finished calls, so that SQLite leaves most out.

The condition keeps every call the filter keeps, and perhaps more: what cannot be said in SQL is
left to the filter itself.
"""

from collections.abc import Sequence

from .sieve import GROUPS, Sieve, Term, is_glob

COLUMNS = {
    "call": "call_id",
    "tool": "tool",
    "client": "client",
    "project": "project",
    "task": "ifnull(task, '')",
    "strategy": "ifnull(strategy, '')",
    "privacy": "privacy",
    "provider": "ifnull(provider, '')",
    "model": "ifnull(model, '')",
    "status": "status",
    "trail": "trail",
    "error": "ifnull(error, '')",
}
AMOUNTS = {
    "cost": "cost_nano / 1e9",
    "dur": "ended - started",
    "attempts": "attempts",
    "in": "input_tokens",
    "out": "output_tokens",
    "cached": "cached_tokens",
    "ttft": "first_token_at - started",
}
Part = tuple[str, list[object]]


def condition(sieve: Sieve, now: float) -> Part:
    """SQL and its parameters."""
    parts = [part for term in sieve.terms if (part := part_of(term, now)) is not None]
    sql = " AND ".join(f"({text})" for text, _ in parts)
    return sql or "1", [value for _, values in parts for value in values]


def part_of(term: Term, now: float) -> Part | None:
    part = wanted_part(term, now)
    if part is None or not term.unwanted:
        return part
    return f"NOT ifnull({part[0]}, 0)", part[1]


def wanted_part(term: Term, now: float) -> Part | None:
    match term.kind:
        case "word":
            return any_of(list(COLUMNS.values()), term.words)
        case "field" if term.field in COLUMNS:
            return field_part(term)
        case "number" if term.field in AMOUNTS:
            return f"({AMOUNTS[term.field]}) {term.sign} ?", [term.number]
        case "since":
            return "ended >= ?", [now - term.number]
        case "flag":
            return "trail <> ''", []
        case _:
            return None


def field_part(term: Term) -> Part | None:
    if term.field == "status" and all(word in GROUPS for word in term.words):
        among = sorted({status for word in term.words for status in GROUPS[word]})
        return f"status IN ({', '.join('?' * len(among))})", list(among)
    if term.field == "status":
        return None
    return any_of([COLUMNS[term.field]], term.words)


def any_of(columns: Sequence[str], words: Sequence[str]) -> Part | None:
    """SQLite folds ASCII only; other words, and patterns, are the filter's."""
    if any(is_glob(word) or not word.isascii() for word in words):
        return None
    pairs = [(column, word) for word in words for column in columns]
    text = " OR ".join(f"instr(lower({column}), ?)" for column, _ in pairs)
    return f"({text})", [word for _, word in pairs]

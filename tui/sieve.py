"""The filter language, the same for every view, `watch --json` and `tail`.

    word  "two words"          somewhere in the row's text
    provider:groq,openai       one of these in that field
    model:gpt*  gpt*           `*` and `?` stand for any characters, and the whole field is meant
    status:err                 err, ok, refused, lost, running, or any other word of a status
    cost>0.01 dur>=10 tok/s<20 compared as numbers; 6k, 30s, 5m, 2h, $1 and 80% are numbers
    since:30m                  not older than that
    fallback                   rows with that mark
    !anything                  the opposite

Every term must hold; case does not matter. What cannot be understood is left out and told.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from itertools import islice
from typing import Literal

Value = str | float | bool | None
Fields = Mapping[str, Value]
Test = Callable[[Fields], bool]
Kind = Literal["word", "field", "number", "since", "flag"]

TEXTS = frozenset(
    {"call", "tool", "client", "project", "task", "strategy", "privacy", "provider", "model"}
    | {"status", "trail", "error", "route", "why", "scope", "period", "budget", "state", "by"}
    | {"circuit", "server", "pid", "version", "config", "key", "name", "host", "kind", "test"}
    | {"folder", "day", "hour"}
)
NUMBERS = frozenset(
    {"cost", "dur", "tok/s", "attempts", "in", "out", "cached", "ttft", "reserved", "spent"}
    | {"held", "limit", "used", "pace", "left", "calls", "errors", "failures", "priority"}
    | {"models", "share", "beat", "up"}
)
FLAGS = frozenset(["fallback"])
AT = "at"  # the field that `since:` looks at: epoch seconds
GROUPS: Mapping[str, frozenset[str]] = {
    "err": frozenset(["failed", "timeout", "lost"]),
    "ok": frozenset(["ok"]),
    "refused": frozenset(["refused"]),
    "lost": frozenset(["lost"]),
}
NEAR_ROWS, NEAR_VALUES, NEAR_CHARS = 300, 300, 40
ENDED = frozenset(["ok", "failed", "refused", "cancelled", "timeout", "lost"])
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "k": 1e3, "%": 0.01}
TERM = re.compile(r'!*(?:[^\s"]*"[^"]*"?|[^\s"]+)')
FIELD = re.compile(r"([a-z_/]+):(.*)", re.DOTALL)
COMPARED = re.compile(r"([a-z_/]+)(>=|<=|>|<|=)(.*)", re.DOTALL)
NUMBER = re.compile(r"[$]?(\d{1,15}(?:\.\d{1,9})?|\.\d{1,9})(s|m|h|d|k|%|)")
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition. `field` and `words` are folded; `number` is what is compared with, or
    seconds for `since`."""

    kind: Kind
    field: str = ""
    words: tuple[str, ...] = ()
    sign: str = ""
    number: float = 0.0
    unwanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """A test of rows given as field -> value: text, a number, a mark, or None where unknown.
    `problems` say in sentences what was not understood."""

    terms: tuple[Term, ...]
    tests: tuple[Test, ...]
    problems: tuple[str, ...] = ()

    def __call__(self, row: Fields) -> bool:
        return all(test(row) for test in self.tests)


def sieve(text: str, now: float = 0.0) -> Sieve:
    """Never raises. `now` in epoch seconds is what `since:` counts back from."""
    terms: list[Term] = []
    problems: list[str] = []
    for word in TERM.findall(text.casefold()):
        body = word.lstrip("!")
        if not body:
            continue
        unwanted = (len(word) - len(body)) % 2 == 1
        found = term_of(body, unwanted, problems)
        if found is not None:
            terms.append(found)
    tests = tuple(test_of(term, now) for term in terms)
    return Sieve(terms=tuple(terms), tests=tests, problems=tuple(problems))


def term_of(body: str, unwanted: bool, problems: list[str]) -> Term | None:
    """None while a field waits for its value, and for what is no number."""
    if compared := COMPARED.fullmatch(body):
        field, sign, value = compared.groups()
        if field in NUMBERS:
            return number_term(field, sign, value, unwanted, problems)
    if named := FIELD.fullmatch(body):
        field, value = named.groups()
        if field == "since":
            return number_term("since", "", value, unwanted, problems)
        words = tuple(word for word in re.split("[,|]", value.replace('"', "")) if word)
        if field in TEXTS:
            return (
                Term(kind="field", field=field, words=words, unwanted=unwanted) if words else None
            )
        problems.append(f"{field}: is no field{nearest_field(field)}; looked for as a word")
    if body in FLAGS:
        return Term(kind="flag", field=body, unwanted=unwanted)
    word = body.replace('"', "")
    return Term(kind="word", words=(word,), unwanted=unwanted) if word else None


def number_term(
    field: str, sign: str, value: str, unwanted: bool, problems: list[str]
) -> Term | None:
    number = number_of(value)
    if number is None:
        if value:
            example = "since:30m" if field == "since" else f"{field}{sign}10"
            problems.append(f"{value[:20]!r} is no number; write it like {example}")
        return None
    kind: Kind = "since" if field == "since" else "number"
    return Term(kind=kind, field=field, sign=sign, number=number, unwanted=unwanted)


def number_of(text: str) -> float | None:
    """6k, 30s, 5m, 2h, 1d, $1, 80% as a number: seconds, dollars, a share of 1."""
    found = NUMBER.fullmatch(text.strip())
    return float(found[1]) * UNITS[found[2]] if found else None


def nearest_field(field: str) -> str:
    near = get_close_matches(field, sorted(TEXTS | NUMBERS | FLAGS | {"since"}), n=1)
    return f" (nearest: {near[0]})" if near else ""


def test_of(term: Term, now: float) -> Test:
    test = plain_test(term, now)
    return (lambda row: not test(row)) if term.unwanted else test


def plain_test(term: Term, now: float) -> Test:
    match term.kind:
        case "word":
            match_word = matcher("", term.words[0])
            return lambda row: occurs(match_word, row)
        case "field":
            matchers = [matcher(term.field, word) for word in term.words]
            return lambda row: any(match(text_of(row, term.field)) for match in matchers)
        case "number":
            compare = COMPARE[term.sign]

            def holds(row: Fields) -> bool:
                value = row.get(term.field)
                return isinstance(value, int | float) and compare(value, term.number)

            return holds
        case "since":
            return lambda row: since(row, now - term.number)
        case "flag":
            return lambda row: bool(row.get(term.field))


def since(row: Fields, moment: float) -> bool:
    """What has no moment happens now."""
    at = row.get(AT)
    return at >= moment if isinstance(at, int | float) else True


def occurs(match_word: Callable[[str], bool], row: Fields) -> bool:
    return any(isinstance(value, str) and match_word(value.casefold()) for value in row.values())


def text_of(row: Fields, field: str) -> str:
    value = row.get(field)
    return "" if value is None else str(value).casefold()


def matcher(field: str, word: str) -> Callable[[str], bool]:
    if field == "status" and word in GROUPS:
        return GROUPS[word].__contains__
    if field == "status" and word == "running":
        return lambda text: text not in ENDED
    if is_glob(word):
        whole = re.compile(translate(word))
        return lambda text: whole.match(text) is not None
    return lambda text: word in text


def is_glob(word: str) -> bool:
    return "*" in word or "?" in word


def nearest(kept: Sieve, rows: Iterable[Fields]) -> str:
    """For a filter that matches nothing: the value nearest to a word that occurs nowhere. Looks at
    the first rows only, so that it takes milliseconds however many there are."""
    seen = list(islice(rows, NEAR_ROWS))
    for term in kept.terms:
        if term.kind not in ("field", "word") or term.unwanted:
            continue
        test = plain_test(term, 0.0)
        if any(test(row) for row in seen):
            continue
        near = get_close_matches(term.words[-1], values_of(seen, term.field), n=1)
        if near:
            return near[0]
    return ""


def values_of(rows: Sequence[Fields], field: str) -> list[str]:
    """The values of a field, or with "" the words of all: short ones, and not too many."""
    if field:
        found = {text_of(row, field) for row in rows}
    else:
        texts = {value for row in rows for value in row.values() if isinstance(value, str)}
        found = {part for text in texts for part in re.split(r"[\s/:,]+", text.casefold())}
    return sorted(value for value in found if 0 < len(value) <= NEAR_CHARS)[:NEAR_VALUES]

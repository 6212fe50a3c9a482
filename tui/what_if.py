"""Where a call would go: the question as a form, a server's answer as lines."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from . import glyphs
from .dialogs import Field, Values
from .draw import fit
from .figures import NOTHING

NEEDS = ("images", "tools", "schema", "embeddings")
USUAL = "as configured"
DEFAULTS: Values = {"input_tokens": "6000", "output_tokens": "800"}
ASK = (
    "w asks a server where a call would go now: which models in which order, at what cost,",
    "and why not elsewhere. Nothing is sent to any provider; it costs nothing.",
)
MOST_LEFT_OUT = 200
FOLDED = {"not_running": "not running", "key_missing": "no key", "disabled": "off"}


def fields(asked: Values) -> list[Field]:
    """The form, holding what was asked last."""
    from ..server.settings import STRATEGIES

    given = {**DEFAULTS, **asked}
    return [
        Field(name="task", label="Task", value=given.get("task", ""), hint="code, chat, private …"),
        Field(name="model", label="Model", value=given.get("model", "")),
        *(
            Field(name=name, label=label, value=given[name], check=wrong_count)
            for name, label in (("input_tokens", "Tokens in"), ("output_tokens", "Tokens out"))
        ),
        Field(
            name="needs",
            label="Needs",
            value=given.get("needs", ""),
            hint=f"of {', '.join(NEEDS)}",
            check=wrong_needs,
        ),
        Field(
            name="strategy",
            label="Strategy",
            kind="choice",
            choices=(USUAL, *STRATEGIES),
            value=given.get("strategy") or USUAL,
        ),
    ]


def wrong_count(value: str) -> str:
    if not value or (value.isascii() and value.isdigit() and 0 < int(value[:12]) <= 1_000_000_000):
        return ""
    return "a number of tokens, like 6000"


def wrong_needs(value: str) -> str:
    unknown = [need for need in split(value) if need not in NEEDS]
    return f"{unknown[0]!r} is no need; there are {', '.join(NEEDS)}" if unknown else ""


def split(value: str) -> list[str]:
    return [part for part in value.replace(",", " ").split() if part]


def argument(values: Values) -> dict[str, Any]:
    """The arguments of route_for_task; what was left empty is left out."""
    said: dict[str, Any] = {name: values[name] for name in ("task", "model") if values.get(name)}
    said |= {
        name: int(values[name]) for name in ("input_tokens", "output_tokens") if values.get(name)
    }
    if needs := split(values.get("needs", "")):
        said["needs"] = needs
    if values.get("strategy", USUAL) != USUAL:
        said["strategy"] = values["strategy"]
    return said


def heading(values: Values) -> str:
    """The question in words."""
    asked = argument(values)
    size = f"{asked.get('input_tokens', 0):,} in / {asked.get('output_tokens', 0):,} out"
    parts = [f"task {asked['task']}"] if "task" in asked else []
    parts += [f"model {asked['model']}"] if "model" in asked else []
    parts += [size]
    parts += [f"needs {', '.join(asked['needs'])}"] if "needs" in asked else []
    return f"what if: {', '.join(parts)}"


def lines(question: Values | None, plan: Mapping[str, Any] | None, width: int) -> list[str]:
    """The pane: the question, candidates in order, then what is left out and why."""
    if question is None or plan is None:
        return list(ASK)
    candidates = tables(plan.get("candidates"))
    found = [f"{heading(question)}, strategy {plan.get('strategy', glyphs.UNKNOWN)}"]
    if not candidates:
        found.append(f"{glyphs.LOOK} nothing can take this call now")
    found += [candidate_line(n, one, width) for n, one in enumerate(candidates)]
    left_out = tables(plan.get("excluded"))[:MOST_LEFT_OUT]
    told = [one for one in left_out if one.get("reason") not in FOLDED]
    return [*found, *(left_out_line(one, width) for one in told), *folded(left_out, width)]


def folded(left_out: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """What is not set up at all: a line a reason, the names of the providers on it."""
    lines: list[str] = []
    for reason, words in FOLDED.items():
        names = dict.fromkeys(
            str(one.get("provider")) for one in left_out if one.get("reason") == reason
        )
        if names:
            lines.append(fit(f" {glyphs.IDLE}  {words}: {' · '.join(names)}", width).rstrip())
    return lines


def candidate_line(n: int, said: Mapping[str, Any], width: int) -> str:
    name = f"{said.get('provider')}/{said.get('model')}"
    place = ("would be used", "next")[n] if n < 2 else ""
    circuit = said.get("circuit")
    words = [place, str(said.get("why") or "")]
    words += [f"circuit {circuit}"] if circuit not in (None, "closed") else []
    room = max(20, min(44, width - 50))
    return fit(
        f"{n + 1:>2}  {fit(name, room)} {cost(said.get('estimated_cost_usd')):>9} "
        f"{lasts(said.get('expected_ms')):>6}  {', '.join(filter(None, words))}",
        width,
    ).rstrip()


def left_out_line(said: Mapping[str, Any], width: int) -> str:
    name = f"{said.get('provider')}/{said.get('model')}"
    reason = str(said.get("detail") or said.get("reason") or "")
    room = max(20, min(44, width - 50))
    return fit(f" {glyphs.IDLE}  {fit(name, room)} {reason}", width).rstrip()


def cost(usd: object) -> str:
    if not isinstance(usd, int | float):
        return glyphs.UNKNOWN
    return f"${usd:.4f}" if usd >= 0.0001 or not usd else "<$0.0001"


def lasts(ms: object) -> str:
    return f"{ms / 1000:.1f} s" if isinstance(ms, int | float) else NOTHING


def tables(found: object) -> Sequence[Mapping[str, Any]]:
    rows = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]

"""What a user may order about circuits: asked first, then carried out by a server for all."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .dialogs import Confirm, Field, Form, Values

Act = Literal["trip", "reset", "hold", "unhold", "probe"]
ACTS: tuple[Act, ...] = get_args(Act)
ALL_MODELS = "*"
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
LONGEST_S = 365 * 86_400.0
LENGTH_HINT = "30s, 10m, 2h or 1d; empty: until it is lifted"
EVERYWHERE = "It holds for every server on this ledger, at once."
WORDS: Mapping[Act, tuple[str, str]] = {  # the question, and what follows
    "trip": ("Trip", "Calls skip it; when its reset time is over, one call tests it."),
    "reset": ("Reset", "It is closed and its failures are forgotten; a hold stays."),
    "hold": ("Hold", "Calls skip it until then."),
    "unhold": ("Lift the hold of", "Calls may use it again."),
    "probe": ("Probe", "The next call tests it, however long it was to stay open."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`model` None is the whole provider; `until` is epoch seconds, None until lifted."""

    act: Act
    provider: str
    model: str | None
    until: float | None = None
    note: str = ""

    @property
    def name(self) -> str:
        if self.model in (None, ALL_MODELS):
            return f"{self.provider}/* (all its models)"
        return f"{self.provider}/{self.model}"

    @property
    def kind(self) -> str:
        return f"circuit.{self.act}"

    @property
    def words(self) -> str:
        return f"{WORDS[self.act][0].lower()} {self.name}"

    def argument(self) -> dict[str, Any]:
        model = None if self.model == ALL_MODELS else self.model
        said: dict[str, Any] = {"provider": self.provider, "model": model}
        return said | {"until": self.until, "note": self.note or None}


def question(order: Order) -> Confirm:
    asked, follows = WORDS[order.act]
    return Confirm(f"{asked} {order.name}?", more=[follows, EVERYWHERE], yes=asked.split()[0])


def holding(name: str) -> Form:
    return Form(f"Hold {name}: calls skip it, in every server", hold_fields(), done="Hold")


def hold_fields() -> tuple[Field, ...]:
    return (
        Field(name="length", label="for", value="10m", hint=LENGTH_HINT, check=wrong_length),
        Field(name="note", label="because", hint="your reason, shown wherever it is held"),
    )


def naming(names: Sequence[str]) -> Form:
    """Any circuit of any provider, also one no call has touched yet."""
    hint = f"such as {', '.join(names[:3])}" if names else "such as openai or openai/gpt-5"
    return Form(
        "Any circuit: PROVIDER, or PROVIDER/MODEL",
        (
            Field(name="name", label="circuit", hint=hint, check=wrong_name),
            Field(name="act", label="what", kind="choice", choices=ACTS, value="hold"),
            *hold_fields(),
        ),
        done="Do it",
    )


def named_order(values: Values) -> Order:
    provider, _, model = values["name"].partition("/")
    act: Act = dict(zip(map(str, ACTS), ACTS, strict=True))[values["act"]]
    order = Order(act=act, provider=provider, model=model or None)
    return held(order, values) if act == "hold" else order


def held(order: Order, values: Values) -> Order:
    length = length_s(values["length"])
    return Order(
        act="hold",
        provider=order.provider,
        model=order.model,
        until=time.time() + length if length is not None else None,
        note=values["note"],
    )


def wrong_name(name: str) -> str:
    return "" if name.partition("/")[0].strip() else "name a provider"


def wrong_length(text: str) -> str:
    if not text:
        return ""
    length = length_s(text)
    if length is None:
        return f"write {LENGTH_HINT}"
    return "" if length <= LONGEST_S else "at most a year; empty: until it is lifted"


def length_s(text: str) -> float | None:
    """None for no length, and for what is none."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd]?)", text.strip().lower())
    if not found or not float(found[1]):
        return None
    return float(found[1]) * UNITS_S[found[2] or "s"]

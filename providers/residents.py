"""What a local program holds in memory, and could hold, read from its own lists.

Ollama     GET /api/ps and /api/tags; a model it keeps for good has an expiry centuries away
LM Studio  GET /api/v1/models: models by key, each with the instances of it that are loaded
llama.cpp  GET /models of a router: a state for each model, which a server of one model lacks
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .listings import count, inner, rows

FOR_GOOD_S = 50 * 365 * 86_400.0
RUNNING = frozenset({"loaded", "sleeping"})  # has a process; one that sleeps has given memory back
MODEL_FLAGS = ("--model", "-m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model in a program's memory. `size` is the bytes it takes there, `expires` when it will be
    dropped unless it is used (epoch seconds), `context` the tokens it was loaded for; None where
    the program does not say. `instances` are the names under which it is loaded where those are
    not its own."""

    model: str
    size: int | None = None
    expires: float | None = None
    context: int | None = None
    instances: tuple[str, ...] = ()


def of_ollama(running: Any, now: float) -> tuple[Resident, ...]:
    """From the answer of /api/ps. `now` is UTC epoch seconds."""
    return tuple(
        Resident(
            model=str(row["name"]),
            size=count(row, "size"),
            expires=soon(moment(row.get("expires_at")), now),
            context=count(row, "context_length"),
        )
        for row in rows(running, "models")
        if row.get("name")
    )


def moment(said: object) -> float | None:
    if not isinstance(said, str):
        return None
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def soon(at: float | None, now: float) -> float | None:
    """A moment that somebody alive may see."""
    return at if at is not None and at - now < FOR_GOOD_S else None


def of_lmstudio(listed: Any) -> tuple[Resident, ...]:
    """From the answer of /api/v1/models. It does not say what a loaded model takes."""
    found: list[Resident] = []
    for row in rows(listed, "models", "data"):
        instances = [each for each in rows(row, "loaded_instances") if each.get("id")]
        if row.get("key") and instances:
            contexts = [count(inner(each, "config"), "context_length") for each in instances]
            found.append(
                Resident(
                    model=str(row["key"]),
                    context=max(filter(None, contexts), default=None),
                    instances=tuple(str(each["id"]) for each in instances),
                )
            )
    return tuple(found)


def of_llamacpp(listed: Any) -> tuple[Resident, ...]:
    """From the answer of /models. A server of one model has it loaded, and says its size."""
    return tuple(
        Resident(
            model=str(row["id"]),
            size=count(inner(row, "meta"), "size"),
            context=count(inner(row, "meta"), "n_ctx"),
        )
        for row in rows(listed, "data")
        if row.get("id") and state(row) in ("", "loaded")
    )


def state(row: Mapping[str, Any]) -> str:
    """Of a router's model: unloaded, loading, loaded, sleeping; "" where there is no router."""
    return str(inner(row, "status").get("value", ""))


def failed(row: Mapping[str, Any]) -> str:
    """Why a router could not load the model, if it tried last and could not."""
    said = inner(row, "status")
    if not said.get("failed"):
        return ""
    code = said.get("exit_code")
    return f"its process ended (status {code})" if code is not None else "its process ended"


def sizes(listed: Any, name: str, size: str) -> Mapping[str, int]:
    """The bytes of the models' weights, by the field that names a model and the one that says."""
    found = {str(row.get(name)): count(row, size) for row in rows(listed, "models", "data")}
    return {model: n for model, n in found.items() if n is not None}


def file_of(row: Mapping[str, Any]) -> str | None:
    """The file a router loads the model from, as the command line it shows says."""
    words = inner(row, "status").get("args")
    if not isinstance(words, list):
        return None
    said: list[Any] = words  # pyright: ignore[reportUnknownVariableType]
    at = next((n for n, word in enumerate(said[:-1]) if word in MODEL_FLAGS), None)
    return None if at is None else str(said[at + 1])

"""The shape of a model in a GGUF file, from its header: what its context takes in memory.

The header is a count of pairs, each a name, a type and a value; the vocabulary, which is most of
it, stands behind what matters here.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

MAGIC = b"GGUF"
READABLE = (2, 3)  # versions
MOST_PAIRS = 4096
LONGEST = 1 << 20  # of a name, a text, a list
TEXT, LIST = 8, 9
NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
VOCABULARY = "tokenizer."
CACHE_BYTES = 2  # of a number in the cache: llama.cpp keeps halves

Value = int | float | str | list[int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`token_bytes` is what each token of context takes, `window` the most tokens that are kept
    where the model forgets older ones, `context` the tokens it was trained for."""

    token_bytes: int
    window: int | None = None
    context: int | None = None

    def cache(self, tokens: int) -> int:
        """Bytes the cache for so many tokens takes, at least."""
        return self.token_bytes * min(tokens, self.window or tokens)


def shape(path: Path) -> Shape | None:
    """None for a file that cannot be read, and for a kind of model whose cache is unknown."""
    try:
        with path.open("rb") as file:
            return shaped(header(file))
    except (OSError, ValueError, struct.error):
        return None


def header(file: BinaryIO) -> Mapping[str, Value]:
    """The pairs in front of the vocabulary. Raises ValueError for what is no GGUF file."""
    if file.read(len(MAGIC)) != MAGIC or number(file, "I") not in READABLE:
        raise ValueError("no GGUF file of a version that is known")
    number(file, "Q")  # how many tensors
    pairs: dict[str, Value] = {}
    for _ in range(min(int(number(file, "Q")), MOST_PAIRS)):
        name = text(file)
        if name.startswith(VOCABULARY):
            break
        pairs[name] = value(file, int(number(file, "I")))
    return pairs


def number(file: BinaryIO, kind: str) -> int | float:
    return struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0]


def length(file: BinaryIO) -> int:
    found = int(number(file, "Q"))
    if found > LONGEST:
        raise ValueError("a length that makes no sense")
    return found


def text(file: BinaryIO) -> str:
    return file.read(length(file)).decode("utf-8", "replace")


def value(file: BinaryIO, kind: int) -> Value:
    if kind == TEXT:
        return text(file)
    if kind != LIST:
        return number(file, NUMBERS.get(kind) or unknown(kind))
    inside = int(number(file, "I"))
    each = [value(file, inside) for _ in range(length(file))]
    return [one for one in each if isinstance(one, int | float)]


def unknown(kind: int) -> str:
    raise ValueError(f"a value of the unknown type {kind}")


def shaped(pairs: Mapping[str, Value]) -> Shape | None:
    """The shape, where every layer keeps keys and values of each token."""
    kind = pairs.get("general.architecture")
    own = {n.removeprefix(f"{kind}."): v for n, v in pairs.items() if n.startswith(f"{kind}.")}
    if any(name.startswith("ssm.") or "kv_lora" in name for name in own):
        return None  # keeps a state, or a summary, in place of keys and values
    layers, heads = whole(own, "block_count"), whole(own, "attention.head_count")
    wide = whole(own, "embedding_length")
    if not (layers and heads and wide):
        return None
    key = whole(own, "attention.key_length") or wide // heads
    of_value = whole(own, "attention.value_length") or wide // heads
    kept = own.get("attention.head_count_kv", heads)
    in_all = sum(map(int, kept)) if isinstance(kept, list) else layers * int(cast("int", kept))
    return Shape(
        token_bytes=in_all * (key + of_value) * CACHE_BYTES,
        window=whole(own, "attention.sliding_window"),
        context=whole(own, "context_length"),
    )


def whole(own: Mapping[str, Value], name: str) -> int | None:
    found = own.get(name)
    return found if isinstance(found, int) and found > 0 else None

"""A stand-in for a model: it picks the tool whose description has most of the user's words, and
after an answer it does what that says, by a few rules. Pure; it knows nothing of Roundhouse.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialects import Step, Tool, Turn, Use

MOST_CALLS = 4
STEM = 5
SPARED = 0.9
Arguments = Mapping[str, Any]
Rule = Callable[["re.Match[str]", Arguments], Arguments]


def stems(text: str) -> set[str]:
    return {word[:STEM] for word in re.findall(r"[a-z]{3,}", text.lower())}


def picked(ask: str, tools: Mapping[str, Tool]) -> str:
    """The tool whose name and description share most with the request; a word that many tools have
    counts for little."""
    known = {name: stems(f"{name} {tool.description}") for name, tool in tools.items()}
    shared = Counter(stem for words in known.values() for stem in words)
    asked = stems(ask)
    return max(known, key=lambda name: sum(1 / shared[stem] for stem in known[name] & asked))


def meant(found: "re.Match[str]", arguments: Arguments) -> Arguments:
    return {**arguments, "model": found[1]}


def dropped(found: "re.Match[str]", arguments: Arguments) -> Arguments:
    return {name: value for name, value in arguments.items() if name != found[1]}


def listed(found: "re.Match[str]", arguments: Arguments) -> Arguments:
    return {**arguments, found[1]: [arguments[found[1]]]}


def read_on(found: "re.Match[str]", arguments: Arguments) -> Arguments:
    return {"call_id": found[1], "offset": int(found[2])}


def lowered(found: "re.Match[str]", arguments: Arguments) -> Arguments:
    """As many tokens as the money named in the error pays for."""
    amounts = sorted(float(amount) for amount in re.findall(r"\$(\d+(?:\.\d+)?)", found[0]))
    share = amounts[0] / amounts[-1] * SPARED
    return {**arguments, "max_tokens": max(1, int(arguments["max_tokens"] * share))}


RULES: tuple[tuple[str, Rule], ...] = (
    (r"Did you mean '([^']+)'\?", meant),
    (r"What fits: (\S+) \(", meant),
    (r"has no argument '(\w+)'", dropped),
    (r"(\w+):? (?:Input should be a valid list|must be array)", listed),
    (r"read on with complete\(call_id='(\w+)', offset=(\d+)\)", read_on),
    (r"[^\n]*\$[^\n]*\$[^\n]*lower max_tokens", lowered),
)


@dataclass(slots=True)
class Reader:
    """The player of one task; `used` are its calls."""

    ask: str
    arguments: Arguments
    used: list[Use] = field(default_factory=list[Use])

    def __call__(self, turn: Turn) -> Step:
        done = len(turn.results)
        if done == len(self.used) and done < MOST_CALLS:
            step = self.next(turn)
            if isinstance(step, str):
                return step
            self.used.append(step)
        return self.used[done] if done < len(self.used) else "I give up."

    def next(self, turn: Turn) -> Step:
        if not turn.results:
            return Use(picked(self.ask, turn.tools), dict(self.arguments))
        last = self.used[-1]
        if "must NOT have additional properties" in turn.results[-1]:
            known = turn.tools[last.tool].parameters["properties"]
            kept = {name: value for name, value in last.arguments.items() if name in known}
            return Use(last.tool, kept)
        for pattern, rule in RULES:
            if found := re.search(pattern, plain(turn.results[-1])):
                return Use(last.tool, dict(rule(found, last.arguments)))
        return "done"


def plain(result: str) -> str:
    """An error as Gemini CLI passes it on has its line ends escaped."""
    return result.replace("\\n", "\n").replace('\\"', '"')

"""The user's own keys for actions, as far as they fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from .actions import Action, shown_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Keymap:
    """`keys` are action -> keys, with commas; `problems` say what was left out, and why."""

    keys: Mapping[str, str]
    problems: tuple[str, ...] = ()


def keymap(wanted: Mapping[str, str], views: Mapping[str, Sequence[Action]]) -> Keymap:
    """What of the wanted keys can be had: no two actions of a view share one."""
    names = {action.name for actions in views.values() for action in actions}
    kept = {name: keys for name, keys in wanted.items() if name in names and parts(keys)}
    problems = [unknown(name, names) for name in wanted if name not in names]
    while (clash := first_clash(kept, views)) is not None:
        name, other, key, view = clash
        del kept[name]
        problems.append(
            f"[tui] keys: {name} = {key!r} is the key of {other} in {view}; it keeps its own"
        )
    return Keymap(keys=kept, problems=tuple(problems))


def first_clash(
    kept: Mapping[str, str], views: Mapping[str, Sequence[Action]]
) -> tuple[str, str, str, str] | None:
    """A changed action, the other one, the key both have, and the view."""
    for view, actions in views.items():
        taken: dict[str, str] = {}
        ordered = sorted(actions, key=lambda action: action.name in kept)  # changed ones last
        for action in ordered:
            for key in parts(kept.get(action.name, action.key)):
                if key in taken and action.name in kept:
                    return action.name, taken[key], key, view
                taken[key] = action.name
    return None


def parts(keys: str) -> list[str]:
    return [shown_key(key) for key in keys.split(",") if key.strip()]


def unknown(name: str, names: set[str]) -> str:
    near = get_close_matches(name, sorted(names), n=1)
    nearest = f"; nearest: {near[0]}" if near else ""
    return f"[tui] keys: no action is called {name[:40]!r}{nearest}"

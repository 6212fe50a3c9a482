"""What a client's entry for us says, and how one that is there compares. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from .clients import Client
from .launcher import PACKAGE, Launcher

NAME = "roundhouse"
REMOTE = ("url", "httpUrl", "serverUrl")

Entry = Mapping[str, Any]
State = Literal["absent", "installed", "version", "different", "remote"]


def entry(client: Client, launcher: Launcher, env: Mapping[str, str]) -> dict[str, Any]:
    """The whole entry. It never holds a key: `env` says where our files are, if not at home."""
    said: dict[str, Any] = {
        "command": launcher.command,
        "args": [*launcher.args, "serve", "--client", client.label],
    }
    if env:
        said["env"] = dict(env)
    return {**said, **client.fixed, **client.waits}


def changes(client: Client, found: Entry, wanted: Entry) -> dict[str, Any]:
    """What must be set so that the entry found does what is wanted. What the user added stays, and
    so does a longer wait."""
    new = {key: value for key, value in wanted.items() if found.get(key) != value}
    for key in client.waits:
        if key in new and longer(found.get(key), new[key]):
            del new[key]
    if "env" in new and isinstance(found.get("env"), Mapping):
        new["env"] = {**found["env"], **new["env"]}
        if new["env"] == found["env"]:
            del new["env"]
    return new


def longer(found: Any, wanted: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and found >= wanted


def state(client: Client, found: Entry | None, wanted: Entry) -> State:
    if found is None:
        return "absent"
    if any(key in found for key in REMOTE):
        return "remote"
    if not changes(client, found, wanted):
        return "installed"
    there, ours = version_in(found), version_in(wanted)
    return "version" if there and ours and there != ours else "different"


def version_in(entry: Entry) -> str | None:
    """The version an entry pins."""
    args = entry.get("args")
    if not isinstance(args, Sequence) or isinstance(args, str):
        return None
    pins = (str(each) for each in cast("Sequence[object]", args))
    return next((pin.partition("==")[2] for pin in pins if pin.startswith(f"{PACKAGE}==")), None)

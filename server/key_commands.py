"""Keys that a program of the user's gives out, like a secrets manager: `key_command` of a row.

The program runs without a shell, at most `TIMEOUT_S`, and once in a process that gets a key from
it. What it prints is the key: nothing of it goes into a message or a log.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .keys import Key, clean

TIMEOUT_S = 30.0
ORIGIN = "key_command"


@dataclass(frozen=True, slots=True)
class Given:
    """A key, or a sentence why there is none."""

    key: Key | None = None
    problem: str = field(default="", kw_only=True)


def words(command: str | Sequence[str] | None) -> tuple[str, ...]:
    """The program and its arguments; a bare text is split as a shell would split it. Raises
    ValueError for a text with an open quote."""
    if command is None:
        return ()
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def ask(name: str, command: Sequence[str], environ: Mapping[str, str]) -> Given:
    """What the program gives for the provider `name`. Blocks."""
    program = os.path.basename(command[0])  # arguments may name what nobody else should know
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return failed(name, f"{program} did not end within {TIMEOUT_S:g} s")
    except OSError as error:
        return failed(name, f"{program} could not be started ({error.strerror})")
    if done.returncode != 0:
        return failed(name, f"{program} ended with exit code {done.returncode}")
    try:
        return Given(Key(ORIGIN, clean(done.stdout.decode())))
    except UnicodeDecodeError:
        return failed(name, f"{program} gave no text")
    except ValueError as error:
        return failed(name, f"{program} gave no key: {error}")


def failed(name: str, what: str) -> Given:
    return Given(
        problem=f"has no key: {what} (providers.{name}.key_command); run it by hand to see why"
    )

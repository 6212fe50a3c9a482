"""What config.toml says now, for views that lay it over what the ledger knows.

The ledger shows the limits servers last used and the circuits calls have touched; the file says
what will hold, and what there is beside it.

What reads the file is dear: a quarter of a second of everybody's time, and 12 MiB for good. So a
process of its own reads it, and is gone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..server.budgets import Budget, from_settings
from ..server.errors import ConfigError
from ..server.home import Home
from ..server.ledger.driver import Connection
from .clean import clean
from .extra import Extra

LOOK_S = 2.0
READ_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """With a `problem`, one sentence, nothing else is known. `models` are those named for each
    provider in use; a provider without any may still have models of its own."""

    budgets: tuple[Budget, ...] = ()
    timezone: str = "UTC"
    models: Mapping[str, tuple[str, ...]]
    problem: str = ""

    def budget(self, shown: str) -> Budget | None:
        """The budget a row of the table is about, under its own name."""
        return next((each for each in self.budgets if clean(each.id) == shown), None)


def load(home: Path, environ: Mapping[str, str]) -> Configured:
    """What the file says, read by a process of its own; by this one where that does not work."""
    command = [sys.executable, "-m", __name__, str(home)]
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, timeout=READ_S, check=True
        )
        return told(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return read(home, environ)


def told(said: Mapping[str, Any]) -> Configured:
    return Configured(
        budgets=tuple(Budget(**each) for each in said["budgets"]),
        timezone=said["timezone"],
        models={name: tuple(models) for name, models in said["models"].items()},
        problem=said["problem"],
    )


def read(home: Path, environ: Mapping[str, str]) -> Configured:
    from ..server import config

    try:
        settings = config.load(Home(home), environ).settings
    except ConfigError as error:
        return Configured(models={}, problem=clean(str(error)))
    chain = dict.fromkeys((one.partition("/")[0] for one in settings.routing.chain), ())
    named = {name: tuple(row.models) for name, row in settings.providers.items() if row.enabled}
    off = {name for name, row in settings.providers.items() if not row.enabled}
    return Configured(
        budgets=from_settings(settings.budgets),
        timezone=settings.timezone,
        models={name: models for name, models in {**chain, **named}.items() if name not in off},
    )


def reading(home: Path, environ: Mapping[str, str]) -> Extra:
    """Looks at the file every two seconds, and reads it when it changed. Another one of these
    looks at once."""
    seen: list[tuple[object, Configured]] = []

    def look(db: Connection, now: float) -> Configured:
        stamps = Home(home).stamps()
        if not seen or seen[-1][0] != stamps:
            seen[:] = [(stamps, load(home, environ))]
        return seen[-1][1]

    return Extra(read=look, every_s=LOOK_S, unasked=True)


if __name__ == "__main__":
    json.dump(asdict(read(Path(sys.argv[1]), os.environ)), sys.stdout)

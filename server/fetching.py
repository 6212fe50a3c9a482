"""Fetches the keys that programs give out, when a call first needs to know who can be asked."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from . import key_commands
from .listed import Listed

if TYPE_CHECKING:
    from .registry import Registry

ASKED_AGAIN_S = 60.0


async def fetch(registry: "Registry", trusted: Sequence[str] | None) -> bool:
    """Asks every program whose provider has no key, all at once; one that failed not before a
    minute has passed. With `trusted`, the hosts that count as this machine, only for what runs
    there. Whether one gave a key."""
    now, before = time.monotonic(), len(registry.keys_present())
    due = [row for row in registry.listed() if row.key_command and row.key is None and row.enabled]
    async with anyio.create_task_group() as group:
        for row in due:
            recent = now - registry.no_key_at.get(row.provider.name, -ASKED_AGAIN_S) < ASKED_AGAIN_S
            if not recent and (trusted is None or row.is_here(trusted, "*")):
                group.start_soon(fetch_one, registry, row)
    return len(registry.keys_present()) > before


async def fetch_one(registry: "Registry", row: Listed) -> None:
    name = row.provider.name
    given = await anyio.to_thread.run_sync(
        key_commands.ask, name, row.key_command, registry.environ, abandon_on_cancel=True
    )
    registry.rows[name] = replace(registry.rows[name], key=given.key, problem=given.problem)
    if given.key is None:
        registry.no_key_at[name] = time.monotonic()


def keep(registry: "Registry", before: "Registry") -> None:
    """Takes over what the same programs gave already: each is asked once in a process."""
    for name, row in registry.rows.items():
        old = before.rows.get(name)
        if row.key_command and row.key is None and old and old.key_command == row.key_command:
            registry.rows[name] = replace(row, key=old.key)

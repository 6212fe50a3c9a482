"""Is there memory for an engine? Looked at before it starts: one that does not fit makes the whole
machine crawl."""

from typing import TYPE_CHECKING

import anyio.to_thread

from ...providers import engine_models, memory
from ...providers.engine_models import Found
from ...providers.engines import Setup
from ...providers.errors import NotReady

if TYPE_CHECKING:
    from ..desk import Desk


async def check(desk: "Desk", setup: Setup, found: Found) -> None:
    """Raises NotReady with the figures, and with what could be unloaded."""
    if not setup.check_memory or not found.size:
        return
    need = await anyio.to_thread.run_sync(engine_models.needs, setup, found)
    free = await anyio.to_thread.run_sync(memory.free)
    if free is None or need.bytes <= free:
        return
    from .. import holdings

    held = await holdings.freeable(desk)
    why = memory.shortage(f"{setup.name}/{setup.alias}", need, free, held)
    raise NotReady(setup.name, why or "there is no memory for it")

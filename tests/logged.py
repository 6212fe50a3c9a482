"""What a server in this process would write into its log file."""

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roundhouse_mcp.server.desk import Desk
from roundhouse_mcp.server.logs import Logs


@contextmanager
def logged(desk: Desk) -> Generator[None]:
    """Everything our own code says in the block, down to debug, is in a file after it."""
    ours, logs = logging.getLogger("roundhouse_mcp"), Logs(verbose=True)
    level = ours.level
    logs.keep(desk.home.logs, "debug", desk.redactor)
    assert logs.file is not None
    logs.begin()
    try:
        yield
    finally:
        logging.getLogger().removeHandler(logs.file)
        ours.setLevel(level)
        logs.file.end()
        logs.file.thread.join(5)


def lines(home: Path) -> list[dict[str, Any]]:
    """Every line of every file under `logs`, the oldest file first."""
    files = sorted((home / "logs").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]

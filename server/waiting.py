"""Calls that wait before they are sent, as those who watch see them."""

from dataclasses import replace

from . import rows
from .candidates import Candidate
from .desk import Queue
from .ledger import records
from .run import Run


def queue_up(run: Run, candidate: Candidate, queue: Queue) -> None:
    """Only what has to wait is written. Raises Busy where too many wait already."""
    queue.check()
    run.phase = "queue"
    if queue.is_full:
        run.desk.ledger.write_or_drop(records.begin, rows.waiting(run, candidate))


def wait_for_user(run: Run, candidate: Candidate, approval: int) -> None:
    """Before the first attempt nothing has failed, so the trail has room for what it waits for."""
    row = replace(rows.waiting(run, candidate), trail=f"asks for approval {approval}")
    run.desk.ledger.write_or_drop(records.begin, row)

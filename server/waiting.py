"""A call that waits for its provider's place, as those who watch see it."""

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

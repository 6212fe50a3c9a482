"""What is raised inside a task group as itself, for those who wrote no task group."""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def plainly() -> Generator[None]:
    """Raises the one exception inside a group instead of the group."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while len(inside := inner(error)) == 1:
            error = inside[0]
        raise error from None


def inner(error: BaseException) -> tuple[BaseException, ...]:
    return getattr(error, "exceptions", ())

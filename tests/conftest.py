"""Fixtures every test may use."""

import os

import pytest
from hypothesis import settings

settings.register_profile("ours", deadline=None)  # timings are no reason to fail
settings.load_profile("ours")

MOST_WORKERS = 4  # the tests start processes of their own


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker per core; none where single tests are asked for, which then start at once."""
    if config.args and all("::" in name for name in config.args):
        return 0
    return min(
        MOST_WORKERS,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1),
    )


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

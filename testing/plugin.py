"""The pytest plugin: the fixture `roundhouse`. Loaded with every run of pytest on this machine, so
it imports nothing before a test asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .roundhouse import Roundhouse


@pytest.fixture
def roundhouse(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Roundhouse]":
    """A Roundhouse of this test's own: a temporary home, scripted models, real servers."""
    from .roundhouse import Roundhouse

    with Roundhouse(tmp_path_factory.mktemp("roundhouse")) as made:
        yield made

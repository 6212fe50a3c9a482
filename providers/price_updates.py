"""Fetching the price table from its public repository. Only ever done where the user asked for it.

The library fetches and keeps the table in a thread of its own; the request is ours, because its own
knows neither a proxy nor certificates of the user's, and would take both from the environment.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from genai_prices import UpdatePrices
from genai_prices.data_snapshot import DataSnapshot

from .transport import tls


@dataclass
class Updates(UpdatePrices):
    proxy: str | None = None
    ca_file: Path | None = None

    def fetch(self) -> DataSnapshot:
        """Raises httpx2.HTTPError, ssl.SSLError and ValueError; the table stays as it was then."""
        # No public function of the library reads a table that somebody else has fetched.
        from genai_prices.types import (
            _providers_from_raw,  # pyright: ignore[reportPrivateUsage]
        )

        with httpx2.Client(
            proxy=self.proxy,
            verify=tls(self.ca_file),
            timeout=self.request_timeout,
            trust_env=False,
        ) as client:
            answer = client.get(self.url)
        answer.raise_for_status()
        rows = json.loads(answer.content)
        if not isinstance(rows, list):
            raise ValueError("the price table is not a list of providers")
        return DataSnapshot(_providers_from_raw(rows), from_auto_update=True)


def updates(*, proxy: str | None, ca_file: Path | None, url: str | None = None) -> Updates:
    """Of the public table, or the one at `url`."""
    made = Updates(proxy=proxy, ca_file=ca_file)
    made.url = url or made.url
    return made


def keep_updated(
    *, proxy: str | None, ca_file: Path | None, url: str | None = None
) -> Callable[[], None]:
    """Has the table fetched now and every hour. What is returned ends it."""
    fetching = updates(proxy=proxy, ca_file=ca_file, url=url)
    fetching.start()
    return fetching.stop

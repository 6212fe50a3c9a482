"""What the subcommands share: this user's settings, keys and providers, read once."""

import os
from dataclasses import dataclass

from ...providers.prices import Rates
from .. import config
from ..config import Loaded
from ..home import Home
from ..keys import Keys
from ..money import own_prices
from ..redact import Redactor
from ..registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    home: Home
    loaded: Loaded
    keys: Keys
    registry: Registry
    redactor: Redactor

    def prices(self) -> dict[str, Rates]:
        """The user's own prices, by `provider/model`."""
        return own_prices(self.loaded.settings)


def workbench() -> Workbench:
    """Raises ConfigError."""
    home = Home.find(os.environ)
    loaded = config.load(home, os.environ)
    keys = Keys.load(home, os.environ)
    registry = Registry.build(loaded.settings, keys, os.environ)
    registry.read_plugins()
    return Workbench(
        home=home,
        loaded=loaded,
        keys=keys,
        registry=registry,
        redactor=Redactor(registry.secrets()),
    )

"""Takes up changes of config.toml and keys.toml while the server runs.

Looked at with every call and every heartbeat: two file stamps, 10 µs. A file that cannot be used
changes nothing; the server goes on with what it had, and says so once.
"""

import json
import logging
from functools import partial

from . import config
from .desk import Desk
from .errors import ConfigError
from .home import fingerprint
from .keys import Keys
from .ledger import servers
from .registry import Registry

logger = logging.getLogger(__name__)


def follow(desk: Desk) -> bool:
    """Takes up what changed since the last look. Whether anything did."""
    now = desk.home.stamps()
    if now == desk.read_as:
        return False
    desk.read_as = now
    try:
        loaded = config.load(desk.home, desk.environ)
        keys = Keys.load(desk.home, desk.environ)
        registry = Registry.build(loaded.settings, keys, desk.environ)
    except ConfigError as error:
        logger.warning("the changed configuration is not used: %s", error)
        return False
    desk.take_up(loaded.settings, registry, loaded.hash)
    noted = partial(
        servers.note_config,
        server_id=desk.server_id,
        config_hash=loaded.hash,
        keys_present=json.dumps(sorted(registry.keys_present())),
        config_file=fingerprint(desk.home.config),
    )
    desk.ledger.write_soon(noted)
    return True

"""How many calls a minute a client may make, counted over all processes of this machine."""

from .desk import Client, Desk, normal
from .errors import RateLimited
from .ledger.driver import Connection
from .settings import Settings

MINUTE_S = 60.0
OTHERS = "*"


def rpm(settings: Settings, client: str) -> int | None:
    """The client's own limit, however its name is written, else that of all nobody named."""
    own = (said for name, said in settings.clients.items() if client in (name, normal(name)))
    said = next(own, None) or settings.clients.get(OTHERS)
    return said.rpm if said else None


async def admit(desk: Desk, client: Client) -> None:
    """Counts this call. Raises RateLimited where the client has made its calls of this minute;
    one that is refused does not count."""
    most = rpm(desk.settings, client.name)
    if most is None:
        return
    wait_s = await desk.ledger.write(count, client.name, most, desk.clock())
    if wait_s is not None:
        raise RateLimited(
            f"client {client.name} made its {most} calls of this minute",
            next_step="Wait, or raise rpm of this client in config.toml.",
            retryable=True,
            retry_after_s=wait_s,
        )


def count(db: Connection, client: str, most: int, now: float) -> float | None:
    """Seconds until the client may call again; None: now, and the call is counted. Times that lie
    ahead come of a clock that was set back, and are forgotten."""
    db.execute(
        "DELETE FROM client_calls WHERE client = ? AND (at <= ? OR at > ?)",
        (client, now - MINUTE_S, now + 1),
    )
    oldest = db.execute(
        "SELECT at FROM client_calls WHERE client = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
        (client, most - 1),
    ).fetchone()
    if oldest is not None:
        return max(0.0, oldest[0] + MINUTE_S - now)
    db.execute("INSERT INTO client_calls (client, at) VALUES (?, ?)", (client, now))
    return None

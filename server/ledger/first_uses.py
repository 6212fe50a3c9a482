"""Which providers a project may use, where the user wants to be asked before the first call: their
word, given once and kept."""

from .driver import Connection


def known(db: Connection, project: str) -> dict[str, bool]:
    """The user's word on each provider; one that is not there was never decided."""
    query = "SELECT provider, allowed FROM first_uses WHERE project = ?"
    return {name: bool(allowed) for name, allowed in db.execute(query, (project,)).fetchall()}


def decide(
    db: Connection, project: str, provider: str, *, allowed: bool, by: str, now: float
) -> None:
    db.execute(
        "INSERT INTO first_uses (project, provider, allowed, by, at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET allowed = excluded.allowed, by = excluded.by, at = excluded.at",
        (project, provider, allowed, by, now),
    )

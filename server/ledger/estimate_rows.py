"""What was learned of each model's use, shared by all processes (estimates.py)."""

from collections.abc import Mapping

from .. import estimates
from ..circuits import Key
from ..estimates import Estimate, Learned, Measure
from .driver import Connection


def every(db: Connection) -> dict[Key, Estimate]:
    rows = db.execute(
        "SELECT provider, model, measure, mean, variance, samples FROM estimates"
    ).fetchall()
    return estimates.gathered(rows)


def learn(db: Connection, key: Key, lesson: Mapping[Measure, float], now: float) -> None:
    """One more call's measures join what is known."""
    known: dict[Measure, Learned] = {
        measure: Learned(*rest)
        for measure, *rest in db.execute(
            "SELECT measure, mean, variance, samples FROM estimates"
            " WHERE provider = ? AND model = ?",
            key,
        ).fetchall()
    }
    after = {name: estimates.heard(known.get(name), value) for name, value in lesson.items()}
    db.executemany(
        "INSERT OR REPLACE INTO estimates (provider, model, measure, mean, variance, samples, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*key, name, each.mean, each.variance, each.samples, now) for name, each in after.items()],
    )

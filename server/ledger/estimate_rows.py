"""What was learned of each model's use, shared by all processes (estimates.py)."""

from collections.abc import Iterable, Mapping

from .. import estimates
from ..circuits import Key
from ..estimates import Estimate, Learned, Measure
from .driver import Connection


def of_models(db: Connection, keys: Iterable[Key]) -> dict[Key, Estimate]:
    """What is known of each of these, if anything is."""
    found = {key: Estimate(measures_of(db, key)) for key in keys}
    return {key: estimate for key, estimate in found.items() if estimate.measures}


def measures_of(db: Connection, key: Key) -> dict[Measure, Learned]:
    rows = db.execute(
        "SELECT measure, mean, variance, high, samples FROM estimates"
        " WHERE provider = ? AND model = ?",
        key,
    ).fetchall()
    return {row[0]: Learned(*row[1:]) for row in rows}


def learn(db: Connection, key: Key, lesson: Mapping[Measure, float], now: float) -> None:
    """One more call's measures join what is known."""
    known = measures_of(db, key)
    after = {name: estimates.heard(known.get(name), value) for name, value in lesson.items()}
    db.executemany(
        "INSERT OR REPLACE INTO estimates"
        " (provider, model, measure, mean, variance, high, samples, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (*key, name, each.mean, each.variance, each.high, each.samples, now)
            for name, each in after.items()
        ],
    )

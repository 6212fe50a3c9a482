"""Damage anywhere in the ledger is refused, alarmed or harmless; `tests/corrupt.py` has more."""

from corrupt import bad, run


def test_no_damage_makes_totals_wrong_without_a_word() -> None:
    counted = run(100, seed=5)

    assert counted.total() == 100
    assert bad(counted) == []

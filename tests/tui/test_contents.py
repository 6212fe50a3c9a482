"""Rows in the order and the columns their user wants."""

from collections.abc import Sequence

import pytest

from roundhouse_mcp.tui.contents import Arranger, Contents, Sorting, chosen, in_order
from roundhouse_mcp.tui.rows import Column, Row

NAME = Column(key="name", title="NAME", width=6)
COST = Column(key="cost", title="COST", width=6, align="right")
LINE = "\nline"


@pytest.mark.parametrize(
    "ordered",
    [
        ["0", "<0.0001", "~0.0004", "0.0021", "3", "1,284"],
        ["188", "6.1k", "2.0M"],
        ["0.2s", "9.4s", "2m11s", "1h12m", "9d11h"],
        ["$1.71", "$10.00"],
        ["3 %", "12.5 %"],
        ["12:40:58", "12:41:05"],
        ["anthropic", "Groq", "openai"],
        ["1 ms", "530 ms", "2s"],
    ],
)
def test_cells_are_sorted_by_what_they_mean(ordered: list[str]) -> None:
    texts = {text: text for text in reversed(ordered)}

    assert in_order(texts, reverse=False) == ordered
    assert in_order(texts, reverse=True) == ordered[::-1]


def test_cells_that_say_nothing_are_last_either_way() -> None:
    texts = {"a": "—", "b": "1", "c": "", "d": "2"}

    assert in_order(texts, reverse=False) == ["b", "d", "a", "c"]
    assert in_order(texts, reverse=True) == ["d", "b", "a", "c"]


def contents(rows: Sequence[tuple[str, str]]) -> Contents:
    def row_at(index: int) -> Row:
        name, cost = rows[index]
        return Row(key=name, rule="line") if name == LINE else Row(key=name, cells=(name, cost))

    keys = [name for name, _ in rows]
    return Contents(
        keys=keys,
        row_at=row_at,
        status="",
        empty="",
        rules=frozenset([LINE]),
        record_at=lambda index: {"name": keys[index]},
    )


def test_a_sorted_table_has_no_lines_and_each_row_keeps_its_record() -> None:
    arranger = Arranger()
    arranger.turn([NAME, COST], "cost")

    done = arranger.arranged(contents([("a", "1"), (LINE, ""), ("b", "3")]), [NAME, COST], "")

    assert list(done.keys) == ["b", "a"]
    assert done.row_at(0).cells == ("b", "3")
    assert done.record_at is not None
    assert done.record_at(1) == {"name": "a"}


def test_between_sortings_new_rows_come_first_and_the_others_keep_still() -> None:
    arranger = Arranger()
    arranger.sorting = Sorting(column="cost")
    arranger.arranged(contents([("a", "1"), ("b", "3")]), [NAME, COST], "")

    done = arranger.arranged(contents([("b", "0"), ("new", "9"), ("a", "1")]), [NAME, COST], "")

    assert list(done.keys) == ["new", "a", "b"]


def test_a_column_sorts_first_then_the_other_way_then_no_more() -> None:
    arranger = Arranger()
    seen: list[Sorting | None] = []
    for _ in range(3):
        arranger.turn([NAME, COST], "cost")
        seen.append(arranger.sorting)

    assert seen == [Sorting(column="cost", reverse=True), Sorting(column="cost"), None]


def test_sorting_goes_through_the_columns_and_ends_unsorted() -> None:
    arranger = Arranger()
    seen: list[str | None] = []
    for _ in range(3):
        arranger.next([NAME, COST])
        seen.append(arranger.sorting and arranger.sorting.column)

    assert seen == ["name", "cost", None]


def test_a_column_that_is_not_shown_sorts_nothing() -> None:
    arranger = Arranger()
    arranger.sorting = Sorting(column="gone")
    given = contents([("a", "1")])

    assert arranger.arranged(given, [NAME, COST], "") is given


@pytest.mark.parametrize(
    ("wanted", "width", "keys"),
    [
        (None, 80, ["name"]),
        (["cost", "name"], 80, ["cost", "name"]),
        (["cost", "name"], 8, ["cost"]),
        (["cost"], 3, ["cost"]),
        (["gone"], 80, ["name"]),
    ],
)
def test_the_columns_a_user_wants_are_shown_as_far_as_they_fit(
    wanted: list[str] | None, width: int, keys: list[str]
) -> None:
    assert [c.key for c in chosen([NAME], [NAME, COST], wanted, width)] == keys

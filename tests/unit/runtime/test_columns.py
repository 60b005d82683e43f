"""Rows to columns: a value in another column is another fact."""

from typing import NamedTuple

import pytest

from services.runtime.columns import columns


class Visit(NamedTuple):
    visitor: str
    minutes: int
    mileage: int | None


VISITS = [Visit("ana", 45, None), Visit("ben", 30, 12), Visit("ana", 45, 7)]


def test_every_column_keeps_the_order_of_the_rows() -> None:
    assert columns(VISITS, width=3) == [["ana", "ben", "ana"], [45, 30, 45], [None, 12, 7]]


def test_columns_are_chosen_and_ordered_by_name() -> None:
    assert columns(VISITS, "mileage", "visitor") == [[None, 12, 7], ["ana", "ben", "ana"]]


def test_a_day_on_which_nothing_happened_has_as_many_columns() -> None:
    assert columns([], width=3) == [[], [], []]
    assert columns([], "visitor", "minutes") == [[], []]


def test_rows_that_come_one_by_one_are_rows_too() -> None:
    assert columns(((visit.visitor, visit.minutes) for visit in VISITS[:1]), width=2) == [["ana"], [45]]


@pytest.mark.parametrize("rows", [[("ana", 45), ("ben",)], [("ana", 45, 7)], [("ana",)]])
def test_a_row_of_another_width_is_refused(rows: list[tuple[object, ...]]) -> None:
    with pytest.raises(ValueError, match=r"width|wide|shorter"):
        columns(rows, width=2)

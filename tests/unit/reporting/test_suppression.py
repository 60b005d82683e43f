"""The rule on small cells, and that every hidden cell has its proof."""

import random

import pytest

from services.reporting.rules.suppression import (
    PROTECTION,
    Part,
    Sum,
    hidden_cells,
    is_small,
    may_show,
    small_cells,
)

Cells = dict[str, Sum[str]]


def one_column(*values: int) -> tuple[dict[Part, int], Cells]:
    """Districts with one count each, and their total."""
    parts: dict[Part, int] = {(row, "count"): value for row, value in enumerate(values)}
    cells: Cells = {str(row): Sum({(row, "count"): 1}) for row in range(len(values))}
    return parts, {**cells, "all": Sum(dict.fromkeys(parts, 1))}


@pytest.mark.parametrize(
    ("numerator", "denominator", "small"),
    [
        (0, None, False),
        (1, None, True),
        (5, None, True),
        (6, None, False),
        (6, 19, True),
        (6, 20, False),
        (0, 3, False),
    ],
)
def test_under_six_or_of_fewer_than_twenty_is_small(numerator: int, denominator: int | None, small: bool) -> None:
    assert is_small(numerator, denominator) is small


@pytest.mark.parametrize(("denominator", "shown"), [(19, False), (20, True)])
def test_a_median_needs_twenty(denominator: int, shown: bool) -> None:
    assert may_show(numerator=denominator, denominator=denominator) is shown


def test_where_nothing_is_small_nothing_is_hidden() -> None:
    assert hidden_cells(*one_column(6, 40, 200, 0)) == frozenset()


def test_one_small_cell_takes_the_smallest_sufficient_other_with_it() -> None:
    assert hidden_cells(*one_column(3, 40, 9, 200)) == {"0", "2"}


def test_two_small_cells_whose_sum_tells_them_take_a_third() -> None:
    # 1 and 1: whoever knows that both are not zero and add up to 2 knows both.
    assert hidden_cells(*one_column(1, 1, 40, 9)) == {"0", "1", "3"}


def test_a_true_zero_is_no_partner() -> None:
    assert hidden_cells(*one_column(3, 0, 0, 40)) == {"0", "3"}


def test_without_a_partner_the_total_is_hidden_too() -> None:
    assert hidden_cells(*one_column(3)) == {"0", "all"}


def test_a_share_of_few_hides_its_count_and_not_the_whole() -> None:
    parts, cells = one_column(12, 40, 50)
    cells["0"] = Sum({(0, "count"): 1}, share_of=("whole",))
    cells["whole"] = Sum({(0, "count"): 1, (0, "rest"): 1}, smallest=6)
    parts[0, "rest"] = 5
    assert small_cells(parts, cells) == {"0"}


@pytest.mark.parametrize("seed", range(20))
def test_in_a_column_the_hidden_ones_leave_room_for_each(seed: int) -> None:
    chance = random.Random(seed)
    values = [int(chance.expovariate(1 / 12)) for _ in range(chance.randint(2, 12))]
    hidden = hidden_cells(*one_column(*values))
    if not hidden or "all" in hidden:
        return
    known_sum = sum(values[int(row)] for row in hidden)
    for _row in hidden:
        # Each of the others is at least one, and so may be what this one is not.
        assert known_sum - (len(hidden) - 1) - 1 >= PROTECTION


def test_the_same_table_is_hidden_in_the_same_way_every_time() -> None:
    parts, cells = one_column(3, 8, 8, 2, 40)
    mixed = dict(sorted(cells.items(), key=lambda item: hash(item[0])))
    assert hidden_cells(parts, cells) == hidden_cells(dict(reversed(parts.items())), mixed)

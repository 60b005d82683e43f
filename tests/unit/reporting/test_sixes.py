"""Counts told by sixes: what a reader of all releases learns of a part is its six, and of its growth a span of five."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.reporting.rules.sixes import told, told_alone

COUNTS = range(200)


def test_a_count_is_told_as_the_middle_of_its_six() -> None:
    assert [told_alone(count) for count in (0, 1, 6, 7, 12, 13, 18, 207)] == [0, 4, 4, 10, 10, 16, 16, 208]


def test_nothing_is_zero_and_zero_nothing() -> None:
    assert [count for count in COUNTS if told_alone(count) == 0] == [0]


def test_from_two_told_counts_that_only_grow_no_small_growth_follows() -> None:
    grown: dict[tuple[int, int], set[int]] = {}
    for before, after in itertools.combinations_with_replacement(COUNTS, 2):
        if after <= 192:
            grown.setdefault((told_alone(before), told_alone(after)), set()).add(after - before)
    for (before, after), possible in grown.items():
        if after:
            assert max(possible) - min(possible) >= 5, (before, after)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5000)), max_size=300))
def test_errors_of_parts_stay_within_theirs_and_do_not_add_a_bias(parts: list[tuple[int, int]]) -> None:
    exact = sum(times * count for times, count in parts)
    assert abs(told(parts) - exact) <= sum(2.5 * times for times, _ in parts) + 0.5


def test_over_all_counts_the_error_is_nothing() -> None:
    assert told((1, count) for count in range(1, 6001)) == sum(range(1, 6001))


@given(st.lists(st.integers(1, 500), min_size=2, max_size=20), st.integers(1, 50))
def test_whole_sixes_moved_from_one_part_to_another_are_not_seen_in_the_sum(counts: list[int], sixes: int) -> None:
    first, second, *others = counts
    moved = [first + 6 * sixes, second, *others], [first, second + 6 * sixes, *others]
    assert told((1, count) for count in moved[0]) == told((1, count) for count in moved[1])


def test_a_difference_is_told_on_its_side_of_zero() -> None:
    assert told_alone(-3) == -told_alone(3)

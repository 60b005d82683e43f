"""The estimator against published figures, against least squares, and at its boundaries."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.reporting.rules.effect import (
    NEVER,
    EffectOfMonth,
    Floats,
    Integers,
    Outcomes,
    Panel,
    StillChronic,
    compare,
    effect_by_month,
    month_number,
    pooled_effects,
    still_chronically_absent,
)

YEARS = range(2003, 2008)

# R's package `did`, att_gt(lemp ~ 1, control_group = "notyettreated") on its data set mpdta: (treated in, year).
PUBLISHED_NOT_YET = {
    (2004, 2004): -0.0193723636759221,
    (2004, 2005): -0.0783190990620607,
    (2004, 2006): -0.1362743463286780,
    (2004, 2007): -0.1008113630854040,
    (2006, 2006): 0.0046608763199762,
    (2006, 2007): -0.0412244715462175,
    (2007, 2007): -0.0260544107191966,
}
# The same with control_group = "nevertreated", pooled by the years since the treatment: aggte(type = "dynamic").
PUBLISHED_BY_YEARS_SINCE = (-0.019931816789, -0.050957367065, -0.137258738889, -0.100811363085)


def counties() -> tuple[Integers, Floats]:
    """mpdta: 500 counties, the year each was first treated (NEVER without), and the log of teenagers employed."""
    with (Path(__file__).parent / "mpdta.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = np.array([int(row["first_treated"]) or NEVER for row in rows], dtype=np.int64)
    employed = np.array([[math.log(int(row[f"employed_{year}"])) for year in YEARS] for row in rows])
    return first, employed


@pytest.mark.parametrize(("treated_in", "year"), PUBLISHED_NOT_YET)
def test_a_cell_equals_the_published_figure(treated_in: int, year: int) -> None:
    first, employed = counties()
    change = employed[:, year - YEARS[0]] - employed[:, treated_in - 1 - YEARS[0]]
    cell = compare(change, visit_month=first, visited_in=treated_in, month=year)
    assert cell is not None
    assert cell.difference == pytest.approx(PUBLISHED_NOT_YET[treated_in, year], abs=1e-12)


def test_a_cell_that_compares_with_those_already_treated_would_not_equal_it() -> None:
    first, employed = counties()
    change = employed[:, 4] - employed[:, 2]
    # The seeded fault: everybody else is "not yet" treated.
    forgot = np.where(first == 2006, first, NEVER)
    cell = compare(change, visit_month=forgot, visited_in=2006, month=2007)
    assert cell is not None
    assert abs(cell.difference - PUBLISHED_NOT_YET[2006, 2007]) > 1e-3


def test_stacks_pooled_by_years_since_equal_the_published_figures() -> None:
    first, employed = counties()
    # A stack for each year of treatment: those treated then, and everybody never treated.
    parts = [np.flatnonzero((first == year) | (first == NEVER)) for year in (2004, 2006, 2007)]
    places = np.concatenate(parts)
    outcomes = Outcomes(
        household=places,
        flag_month=np.concatenate(
            [np.full(part.size, year) for part, year in zip(parts, (2004, 2006, 2007), strict=True)]
        ),
        visit_month=first[places],
        first_month=YEARS[0],
        outcome=employed[places],
    )
    pooled = pooled_effects(outcomes, months=4)
    assert [each.effect for each in pooled] == pytest.approx([100 * x for x in PUBLISHED_BY_YEARS_SINCE], abs=1e-10)
    assert [each.students for each in pooled] == [191, 60, 20, 20]
    assert [each.compared for each in pooled] == [3 * 309, 2 * 309, 309, 309]


def test_errors_equal_those_of_least_squares_clustered_by_household() -> None:
    chance = np.random.default_rng(5)
    size, households = 60, 25
    household = chance.integers(0, households, size)
    visited = household % 3 == 0
    change = chance.normal(0.0, 0.1, size) + 0.05 * visited
    cell = compare(change, visit_month=np.where(visited, 4, NEVER), visited_in=4, month=5)
    assert cell is not None

    design = np.column_stack([np.ones(size), visited])
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ change
    scores = np.zeros((households, 2))
    # The same correction on each side as the estimator makes: n - 1 instead of n.
    count = np.where(visited, visited.sum(), (~visited).sum())
    np.add.at(scores, household, design * ((change - design @ coefficients) * np.sqrt(count / (count - 1)))[:, None])
    clusters = np.unique(household).size
    covariance = inverse @ scores.T @ scores @ inverse * clusters / (clusters - 1)

    outcomes = Outcomes(
        household=household,
        flag_month=np.full(size, 3),
        visit_month=np.where(visited, 4, NEVER),
        first_month=2,
        outcome=np.column_stack([np.zeros((size, 3)), change]),
    )
    after = pooled_effects(outcomes, months=2)[1]
    assert after.effect == pytest.approx(100 * coefficients[1], abs=1e-12)
    assert after.standard_error == pytest.approx(100 * math.sqrt(covariance[1, 1]), abs=1e-12)


def by_hand(**changes: object) -> Panel:
    """Six students of six households flagged in November (month 10), who attended 20 days of 20 in October.

    In November all missed 10 of 20. In December and January those visited in December missed 4 and 2, the others 8
    and 6; one of the others was visited in January.
    """
    absent = np.array([[0, 10, 4, 2]] * 3 + [[0, 10, 8, 6]] * 3)
    columns: dict[str, Any] = {
        "household": np.arange(6),
        "flag_month": np.full(6, 10),
        "visit_month": np.array([11, 11, 11, 12, NEVER, NEVER]),
        "of_student": np.repeat(np.arange(6), 4),
        "month": np.tile(np.arange(9, 13), 6),
        "days_enrolled": np.full(24, 20),
        "days_absent": absent.ravel(),
    }
    return Panel(**{**columns, **changes})


def month_of(panel: Panel, months_since: int) -> EffectOfMonth:
    return effect_by_month(panel, months=months_since + 1)[months_since]


def test_by_hand() -> None:
    at_once, month_after = effect_by_month(by_hand(), months=2)
    assert (at_once.students, at_once.compared) == (3, 3)
    assert at_once.effect == pytest.approx(20.0)
    # Visited in January is no longer "not yet": two are left to compare with.
    assert (month_after.students, month_after.compared) == (3, 2)
    assert month_after.effect == pytest.approx(20.0)
    assert at_once.naive == pytest.approx((3 * 30.0 + 1 * 10.0) / 4)
    assert month_after.naive == pytest.approx(40.0)


def test_a_student_visited_before_the_flag_is_in_neither_part() -> None:
    earlier = by_hand(visit_month=np.array([11, 11, 11, 9, NEVER, NEVER]))
    assert (month_of(earlier, 0).students, month_of(earlier, 0).compared) == (3, 2)


def test_with_nobody_to_compare_with_there_is_no_effect() -> None:
    alone = by_hand(visit_month=np.array([11, 11, 11, 11, 11, NEVER]))
    assert month_of(alone, 0).effect is None
    assert month_of(alone, 0).students == 0
    assert month_of(alone, 0).naive is not None


def test_flags_of_the_first_month_have_no_base_and_are_left_out() -> None:
    assert month_of(by_hand(flag_month=np.full(6, 9)), 0).effect is None


def test_the_base_of_a_september_flag_is_june() -> None:
    june_then_autumn = np.tile(np.array([8, 11, 12, 13]) - 3, 6)
    september = by_hand(
        month=june_then_autumn, flag_month=np.full(6, 8), visit_month=np.array([9, 9, 9, NEVER, NEVER, NEVER])
    )
    assert month_of(september, 0).effect == pytest.approx(20.0)


def test_a_month_of_few_days_is_not_known() -> None:
    few = np.full(24, 20)
    few[2] = 4
    assert month_of(by_hand(days_enrolled=few), 0).students == 2


def test_no_flagged_students_no_effect() -> None:
    nothing = np.empty(0, dtype=np.int64)
    empty = Panel(**dict.fromkeys(by_hand().__slots__, nothing))
    assert {each.effect for each in effect_by_month(empty)} == {None}
    assert still_chronically_absent(empty) == StillChronic(students=0, still=0)


def test_a_group_keeps_its_own_students_and_months() -> None:
    panel = by_hand()
    wanted = np.array([True, True, False, False, True, True])
    assert (month_of(panel.only(wanted), 1).students, month_of(panel.only(wanted), 1).compared) == (2, 2)
    assert panel.only(wanted).month.size == 16


@pytest.mark.parametrize(("missed", "still"), [(1, 0), (2, 3), (3, 3)])
def test_a_tenth_of_the_days_since_is_still_chronically_absent(missed: int, still: int) -> None:
    absent = np.array([[0, 10, 4, missed]] * 3 + [[0, 10, 8, 6]] * 3).ravel()
    assert still_chronically_absent(by_hand(days_absent=absent)) == StillChronic(students=3, still=still)


def test_who_was_not_chronically_absent_when_visited_is_not_counted_as_still() -> None:
    absent = np.array([[0, 3, 1, 20]] * 3 + [[0, 10, 8, 6]] * 3).ravel()
    assert still_chronically_absent(by_hand(days_absent=absent)) == StillChronic(students=0, still=0)


def test_months_are_numbered_across_years() -> None:
    assert month_number(year=2027, month=1) - month_number(year=2026, month=12) == 1

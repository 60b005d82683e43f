"""What a visit changes in attendance: visited students against students flagged in the same month and not yet visited.

Students are visited because of a bad spell, and spells end by themselves: attendance before and after a visit would
credit the visit with that too. So each visited student is compared with students who were flagged in the same month
and had no visit yet, both from the month before the flag on, a month that nothing about the visit depends on.
The comparison holds if, among students flagged in one month, who is visited when says nothing about how their
attendance would have gone on otherwise. Nothing here reads a clock, a database or a name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from contracts.calendar import FIRST_MONTH

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""The month of the first visit of a household that had none."""

MONTHS_SHOWN = 10  # the visit's own month and nine after it: as far as the state's own evaluation looks
MINIMUM_DAYS = 5  # of a student's month: one day out of two is no attendance of a month
MINIMUM_IN_CELL = 2  # on either side: one student alone has no spread, and would look infinitely certain
LONGEST_BREAK_MONTHS = 3  # before September comes June
MINIMUM_DAYS_FOR_CHRONIC = 10  # before the rule of chronic absence speaks
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Flagged students, one entry per student and school year, and their months, one entry each.

    Months are numbered, twelve a year (`month_number`). `of_student` gives each month's place among the students.
    """

    household: Integers
    flag_month: Integers
    visit_month: Integers  # of the household's first visit, NEVER without one
    of_student: Integers
    month: Integers
    days_enrolled: Integers
    days_absent: Integers

    def only(self, wanted: Flags) -> "Panel":
        """Keep the wanted students and their months."""
        places = np.cumsum(wanted) - 1
        kept = wanted[self.of_student]
        return Panel(
            household=self.household[wanted],
            flag_month=self.flag_month[wanted],
            visit_month=self.visit_month[wanted],
            of_student=places[self.of_student[kept]],
            month=self.month[kept],
            days_enrolled=self.days_enrolled[kept],
            days_absent=self.days_absent[kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """The panel's students with an outcome a month: a row per student, a column per month from `first_month` on."""

    household: Integers
    flag_month: Integers
    visit_month: Integers
    first_month: int
    outcome: Floats  # NaN where it is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Students first visited in one month against those not yet visited: how much more attendance changed, in shares.

    `influence` is each student's part in the error of `difference`; students in neither part have none.
    """

    difference: float
    visited: Flags
    compared: Flags
    influence: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectOfMonth:
    """The effect so many months after the month of the first visit, in percentage points of days attended."""

    months_since: int
    students: int  # visited, with somebody to compare with
    households: int  # of these
    compared: int  # students they were compared with, each counted once
    effect: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    naive_students: int
    naive: float | None  # the same students' month before the visit: includes natural recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class StillChronic:
    """Of the students who were chronically absent when first visited: who still is, counting only the months after."""

    students: int
    still: int


def month_number(*, year: int, month: int) -> int:
    """Number the months so that the next one is one more, also across years."""
    return 12 * year + month - 1


def effect_by_month(panel: Panel, *, months: int = MONTHS_SHOWN) -> list[EffectOfMonth]:
    """Give the effect for the month of the first visit (0) and each month after it, with its naive twin.

    The outcome is days attended per day enrolled, per student and school month.
    """
    return pooled_effects(attendance_of(panel), months=months)


def attendance_of(panel: Panel) -> Outcomes:
    """Lay the students' months out as shares of days attended; too short a month stays unknown."""
    enough = panel.days_enrolled >= MINIMUM_DAYS
    month = panel.month[enough]
    first_month = int(month.min()) if month.size else 0
    width = int(month.max()) - first_month + 1 if month.size else 0
    outcome = np.full((panel.household.size, width), np.nan)
    outcome[panel.of_student[enough], month - first_month] = (
        1.0 - panel.days_absent[enough] / panel.days_enrolled[enough]
    )
    return Outcomes(
        household=panel.household,
        flag_month=panel.flag_month,
        visit_month=panel.visit_month,
        first_month=first_month,
        outcome=outcome,
    )


def pooled_effects(outcomes: Outcomes, *, months: int) -> list[EffectOfMonth]:
    """Stack the cells by the month of the flag and pool them by months since the visit.

    A cell weighs as many students as were visited in it. Errors are clustered by household: siblings share their visit
    and much else. An outcome of 1 is 100 points.
    """
    pooled = [_Pooled(outcomes.household) for _ in range(months)]
    for months_since, stack, cell in _cells(outcomes, months=months):
        pooled[months_since].add(stack, cell)
    return [
        each.effect(months_since, _before_and_after(outcomes, months_since=months_since))
        for months_since, each in enumerate(pooled)
    ]


def compare(change: Floats, *, visit_month: Integers, visited_in: int, month: int) -> Cell | None:
    """Compare the change up to `month` of those first visited in `visited_in` with those not visited by then.

    `change` is NaN where a student has no such month. None where either side is too small to say anything.
    """
    known = np.isfinite(change)
    visited = known & (visit_month == visited_in)
    # Visited in the month itself is no longer "not yet", and not the group looked at either: in neither part.
    compared = known & (visit_month > max(month, visited_in))
    if min(visited.sum(), compared.sum()) < MINIMUM_IN_CELL:
        return None

    difference = 0.0
    influence = np.zeros(change.size)
    for part, sign in ((visited, 1.0), (compared, -1.0)):
        count = part.sum()
        mean = change[part].mean()
        difference += sign * float(mean)
        # n - 1: the mean was taken from the same students, so their spread around it is a little too small.
        influence[part] = sign * (change[part] - mean) / np.sqrt(count * (count - 1))
    return Cell(difference=difference, visited=visited, compared=compared, influence=influence)


def still_chronically_absent(panel: Panel) -> StillChronic:
    """Count, of those chronically absent when first visited, who missed a tenth or more of the days since.

    Both by whole months: up to and with the visit's month, and after it; each with at least ten days enrolled.
    Integers only: a rate held as a float is wrong at the line.
    """
    visited = panel.visit_month != NEVER
    visit_month = panel.visit_month[panel.of_student]
    # Months are numbered from 0: a school year begins in the one before FIRST_MONTH.
    school_year_began = panel.flag_month - (panel.flag_month - (FIRST_MONTH - 1)) % 12
    before = (panel.month <= visit_month) & (panel.month >= school_year_began[panel.of_student])
    after = panel.month > visit_month
    chronic_before, _ = _chronic(panel, before)
    chronic_after, judged_after = _chronic(panel, after)
    students = visited & (panel.visit_month >= panel.flag_month) & chronic_before & judged_after
    return StillChronic(students=int(students.sum()), still=int((students & chronic_after).sum()))


def _chronic(panel: Panel, counted: Flags) -> tuple[Flags, Flags]:
    size = panel.flag_month.size
    of_student = panel.of_student[counted]
    absent, enrolled = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    np.add.at(absent, of_student, panel.days_absent[counted])
    np.add.at(enrolled, of_student, panel.days_enrolled[counted])
    judged = enrolled >= MINIMUM_DAYS_FOR_CHRONIC
    return judged & (10 * absent >= enrolled), judged


def _cells(outcomes: Outcomes, *, months: int) -> Iterator[tuple[int, Integers, Cell]]:
    """Months since the visit, the places of the stack's students, and the cell over these students."""
    for flagged_in, stack in _stacks(outcomes):
        known = outcomes.outcome[stack]
        base = _base_column(known, flagged_in - outcomes.first_month)
        if base is None:
            continue
        visit_month = outcomes.visit_month[stack]
        for visited_in in np.unique(visit_month[visit_month != NEVER]).tolist():
            for months_since in range(months):
                month = visited_in + months_since
                column = month - outcomes.first_month
                if column >= known.shape[1]:
                    break
                change = known[:, column] - known[:, base]
                cell = compare(change, visit_month=visit_month, visited_in=visited_in, month=month)
                if cell is not None:
                    yield months_since, stack, cell


def _stacks(outcomes: Outcomes) -> Iterator[tuple[int, Integers]]:
    # A household visited before its student was flagged was not visited for this flag: in no stack at all.
    stacked = outcomes.visit_month >= outcomes.flag_month
    for flagged_in in np.unique(outcomes.flag_month[stacked]).tolist():
        yield flagged_in, np.flatnonzero(stacked & (outcomes.flag_month == flagged_in))


def _base_column(known: Floats, flag_column: int) -> int | None:
    # The month before the flag, or the last one with school before it; the same for the whole stack.
    for column in range(flag_column - 1, flag_column - 1 - LONGEST_BREAK_MONTHS, -1):
        if 0 <= column < known.shape[1] and 2 * np.isfinite(known[:, column]).sum() >= len(known):
            return column
    return None


def _before_and_after(outcomes: Outcomes, *, months_since: int) -> Floats:
    """Each visited student's change from the month before the visit, which is the bad spell, on: the naive figure."""
    counted = (outcomes.visit_month != NEVER) & (outcomes.visit_month >= outcomes.flag_month)
    students = np.flatnonzero(counted)
    before = outcomes.visit_month[students] - 1 - outcomes.first_month
    after = before + 1 + months_since
    inside = (before >= 0) & (after < outcomes.outcome.shape[1])
    students, before, after = students[inside], before[inside], after[inside]
    change: Floats = outcomes.outcome[students, after] - outcomes.outcome[students, before]
    return change[np.isfinite(change)]


class _Pooled:
    """All cells so many months after the visit, added up; a cell itself is too large to be kept."""

    def __init__(self, household: Integers) -> None:
        self._household = household
        self._students = 0
        self._difference = 0.0
        self._influence = np.zeros(household.size)
        self._visited = np.zeros(household.size, dtype=bool)
        self._compared = np.zeros(household.size, dtype=bool)

    def add(self, stack: Integers, cell: Cell) -> None:
        """Add a cell with the weight of its visited students."""
        count = int(cell.visited.sum())
        self._students += count
        self._difference += count * cell.difference
        self._influence[stack] += count * cell.influence
        self._visited[stack] |= cell.visited
        self._compared[stack] |= cell.compared

    def effect(self, months_since: int, before_and_after: Floats) -> EffectOfMonth:
        """Give the pooled effect in percentage points."""
        effect = error = low = high = None
        if self._students:
            effect = 100 * self._difference / self._students
            error = 100 * self._clustered_error() / self._students
            reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
            low, high = effect - reach, effect + reach
        return EffectOfMonth(
            months_since=months_since,
            students=self._students,
            households=np.unique(self._household[self._visited]).size,
            compared=int(self._compared.sum()),
            effect=effect,
            standard_error=error,
            low=low,
            high=high,
            naive_students=before_and_after.size,
            naive=100 * float(before_and_after.mean()) if before_and_after.size else None,
        )

    def _clustered_error(self) -> float:
        involved = self._visited | self._compared
        _, cluster = np.unique(self._household[involved], return_inverse=True)
        by_household = np.bincount(cluster, weights=self._influence[involved])
        clusters = by_household.size
        return float(np.sqrt((by_household**2).sum() * clusters / max(1, clusters - 1)))

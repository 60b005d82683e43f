"""A student's days as small months: a school day, an absence, an absence that was corrected."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from contracts.calendar import is_business_day

_ONE_DAY = timedelta(days=1)
MOST_MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the small calendar. `kind`: school, missed, changed (to present) or none."""

    day: date
    kind: str
    meant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month, in weeks of Monday to Friday; a day outside the month is None."""

    first: date
    weeks: tuple[tuple[Day | None, ...], ...]


def months_of(
    *,
    absent_days: Collection[date],
    corrected_days: Collection[date],
    school_days: Sequence[date],
    as_of: date | None,
    meant: Collection[date] = (),
) -> list[Month]:
    """Lay out the months from the first school day to the last counted one, `meant` days marked."""
    known = sorted({*absent_days, *corrected_days, *school_days})
    until = as_of or max((*absent_days, *corrected_days), default=None)
    if not known or until is None:
        return []
    counted, absent, corrected = set(school_days), set(absent_days), set(corrected_days)

    def kind(day: date) -> str:
        if day in absent:
            return "missed"
        if day in corrected:
            return "changed"
        # A district that sent no calendar has weekdays only: nothing is said of a day nobody spoke of.
        return "school" if day in counted and day <= until else "none"

    days = []
    day = known[0].replace(day=1)
    while day <= _end_of_month(until):
        if is_business_day(day) or day in absent or day in corrected:
            days.append(Day(day=day, kind=kind(day), meant=day in meant))
        day += _ONE_DAY
    months = [
        Month(first=first, weeks=_weeks(list(of_month)))
        for first, of_month in groupby(days, key=lambda each: each.day.replace(day=1))
    ]
    return months[-MOST_MONTHS:]


def _weeks(days: list[Day]) -> tuple[tuple[Day | None, ...], ...]:
    longest = 1 + max((each.day.weekday() for each in days), default=4)
    weeks = []
    for _, of_week in groupby(days, key=lambda each: each.day.isocalendar()[:2]):
        by_weekday = {each.day.weekday(): each for each in of_week}
        weeks.append(tuple(by_weekday.get(weekday) for weekday in range(max(5, longest))))
    return tuple(weeks)


def _end_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - _ONE_DAY


def shown_months(student: dict[str, Any], meant: Collection[date]) -> list[Month]:
    """Lay out the months of a student as the store reads one."""
    return months_of(
        absent_days=student["absent_days"],
        corrected_days=student["corrected_days"],
        school_days=student["school_days"],
        as_of=student["as_of"],
        meant=meant,
    )

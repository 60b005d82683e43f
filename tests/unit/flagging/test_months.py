"""When a month closes, held against a calendar of plain dates."""

from collections.abc import Iterable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.flagging.rules import months

JULY = date(2026, 7, 1)
YEAR = [JULY + timedelta(days=n) for n in range(365)]
TAUGHT = [day for day in YEAR if day.weekday() < 5 and date(2026, 8, 31) <= day <= date(2027, 6, 11)]


def as_set(days: Iterable[date]) -> int:
    return sum(1 << (day - JULY).days for day in set(days))


def closing(
    completed: Iterable[date],
    *,
    today: date | None = None,
    taught: list[date] | None = TAUGHT,
    of_tracks: Iterable[date] = (),
    district: Iterable[date] = (),
    closed: int = 0,
) -> list[tuple[int, int]]:
    days = months.closing_days(
        school_year=2026,
        taught=None if taught is None else as_set(taught) | as_set(of_tracks),
        calendar=as_set(district if taught is None else taught),
        completed=as_set(completed),
        closed=closed,
        today=today,
    )
    return sorted({(day.year, day.month) for day in YEAR if days >> (day - JULY).days & 1})


def in_month(year: int, month: int, days: list[date] = TAUGHT) -> list[date]:
    return [day for day in days if (day.year, day.month) == (year, month)]


def test_a_month_closes_with_the_last_of_its_rolls_and_not_before() -> None:
    september = in_month(2026, 9)
    assert closing(september[:-1]) == []
    assert closing(september) == [(2026, 9)]
    assert closing(september, closed=as_set(day for day in YEAR if day.month == 9)) == []


def test_a_month_with_a_roll_missing_closes_on_the_tenth_school_day_of_the_next() -> None:
    completed = in_month(2026, 9)[1:]
    tenth = in_month(2026, 10)[9]
    assert closing(completed, today=tenth - timedelta(days=1), closed=as_set([date(2026, 8, 31)])) == [(2026, 8)][1:]
    assert (2026, 9) not in closing(completed, today=tenth - timedelta(days=1))
    assert (2026, 9) in closing(completed, today=tenth)


def test_a_month_that_only_a_track_has_closes_with_its_rolls() -> None:
    short, beyond = in_month(2026, 9), in_month(2026, 10)[:2]
    closed = as_set(day for day in YEAR if day.month == 9)
    assert closing([*short, beyond[0]], taught=short, of_tracks=beyond, closed=closed) == []
    assert closing([*short, *beyond], taught=short, of_tracks=beyond, closed=closed) == [(2026, 10)]


def test_june_closes_on_the_tenth_weekday_after_the_last_school_day() -> None:
    completed = in_month(2027, 6)[1:]
    assert TAUGHT[-1] == date(2027, 6, 11)
    assert (2027, 6) not in closing(completed, today=date(2027, 6, 24))
    assert (2027, 6) in closing(completed, today=date(2027, 6, 25))


def test_a_last_day_that_is_cancelled_closes_june() -> None:
    june = in_month(2027, 6)
    assert closing(june[:-1]) == []
    assert (2027, 6) in closing(june[:-1], taught=TAUGHT[:-1])


def test_without_a_calendar_the_districts_says_when_it_is_late_and_without_any_the_week() -> None:
    completed = in_month(2026, 9)
    assert closing(completed, taught=None) == []
    holidays = [day for day in TAUGHT if day.month != 10 or day.day > 9]
    tenth = [day for day in holidays if day.month == 10][9]
    assert closing(completed, taught=None, district=holidays, today=tenth - timedelta(days=1)) == []
    assert closing(completed, taught=None, district=holidays, today=tenth) == [(2026, 9)]
    assert closing(completed, taught=None, today=date(2026, 10, 13)) == []
    assert closing(completed, taught=None, today=date(2026, 10, 14)) == [(2026, 9)]


def test_a_month_in_which_nobody_teaches_never_closes() -> None:
    assert (2026, 7) not in closing(TAUGHT, today=date(2027, 9, 1))


@given(st.sets(st.sampled_from(TAUGHT)), st.sampled_from([*YEAR, None]))
def test_every_month_by_plain_dates(missing: set[date], today: date | None) -> None:
    completed = [day for day in TAUGHT if day not in missing]
    expected = []
    for year, month in sorted({(day.year, day.month) for day in TAUGHT}):
        of_month = in_month(year, month)
        later = [day for day in TAUGHT if day > max(of_month)]
        weekdays = [day for n in range(1, 30) if (day := TAUGHT[-1] + timedelta(days=n)).weekday() < 5]
        latest = later[9] if len(later) >= 10 else weekdays[9]
        if not missing & set(of_month) or (today is not None and today >= latest):
            expected.append((year, month))
    assert closing(completed, today=today) == expected


@pytest.mark.parametrize("school_year", [2026, 2027])
def test_the_months_make_up_the_year(school_year: int) -> None:
    days = (date(school_year + 1, 7, 1) - date(school_year, 7, 1)).days
    assert sum(months.months_of(school_year)) == (1 << days) - 1
    assert months.months_of(school_year)[0].bit_count() == 31

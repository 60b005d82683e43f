"""When a school's month closes: its student months are told then, and again whenever a fact changes one.

Sets of days are ints: bit n is the n-th day after 1 July. No clock: the day is told.
"""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

from contracts.calendar import business_day_after, first_day_of, is_business_day

SCHOOL_DAYS_OF_GRACE = 10
"""A month with a roll missing waits until so many school days of the next; the last one so many weekdays."""


def closing_days(
    *, school_year: int, taught: int | None, calendar: int, completed: int, closed: int, today: date | None
) -> int:
    """Give the days of the months that close now and were open.

    A month closes when every school day of it has a complete roll, at the latest on the tenth school day after it; the
    last of a year on the tenth weekday after the last school day. `taught` are the days of the school's calendar and
    its tracks', None where it has none. `calendar` says when a month is late: the school's own, else its district's
    days. Without `today` only complete months close.
    """
    closing = 0
    for month in months_of(school_year):
        if closed & month:
            continue
        days = month & (completed if taught is None else taught)
        is_complete = taught is not None and not days & ~completed
        is_late = today is not None and today >= _latest_day(month, calendar, school_year)
        if days and (is_complete or is_late):
            closing |= month
    return closing


@cache
def months_of(school_year: int) -> tuple[int, ...]:
    """Give the twelve months of a school year as sets of days, July first."""
    first = first_day_of(school_year)
    starts = [date(first.year + (6 + n) // 12, (6 + n) % 12 + 1, 1) for n in range(13)]
    places = [(start - first).days for start in starts]
    return tuple(((1 << end) - 1) & ~((1 << begin) - 1) for begin, end in itertools.pairwise(places))


def each_day(days: int) -> Iterator[int]:
    """Give the days of a set one by one, each a set of one, earliest first."""
    while days:
        day = days & -days
        yield day
        days ^= day


def _latest_day(month: int, calendar: int, school_year: int) -> date:
    first, end = first_day_of(school_year), month.bit_length()
    days = calendar or _weekdays(school_year)
    rest = days >> end << end
    for _ in range(SCHOOL_DAYS_OF_GRACE - 1):
        rest &= rest - 1
    if rest:
        return first + timedelta(days=(rest & -rest).bit_length() - 1)
    last_school_day = first + timedelta(days=days.bit_length() - 1)
    return business_day_after(last_school_day, count=SCHOOL_DAYS_OF_GRACE)


@cache
def _weekdays(school_year: int) -> int:
    first, last = first_day_of(school_year), first_day_of(school_year + 1)
    days = [n for n in range((last - first).days) if is_business_day(first + timedelta(days=n))]
    return sum(1 << n for n in days)

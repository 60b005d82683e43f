"""What a date means, to every service alike: school years, local days, business days and school days.

No clock and no zone of its own: the moment is told, and so is the zone where the districts are (LEAP_TIME_ZONE).
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

FIRST_MONTH = 7
"""A school year begins on 1 July and is called by that July's calendar year."""

LOG_DUE_BUSINESS_DAYS = 5
"""Within so many business days after its day a visit is to be logged; a district's log policy may say otherwise."""

_ONE_DAY = timedelta(days=1)


def school_year_of(day: date) -> int:
    """Name the school year of a day: the calendar year in which its July lies."""
    return day.year if day.month >= FIRST_MONTH else day.year - 1


def first_day_of(school_year: int) -> date:
    """Give the 1 July on which a school year begins."""
    return date(school_year, FIRST_MONTH, 1)


def last_day_of(school_year: int) -> date:
    """Give the 30 June on which a school year ends."""
    return first_day_of(school_year + 1) - _ONE_DAY


def local_day(moment: datetime, *, zone: tzinfo) -> date:
    """Name the calendar date that people in the zone write at this moment."""
    return moment.astimezone(zone).date()


def start_of_day(day: date, *, zone: tzinfo) -> datetime:
    """Give the moment at which a day begins in the zone."""
    return datetime.combine(day, time(), zone)


def monday_of(day: date) -> date:
    """Give the Monday on which the day's week begins."""
    return day - day.weekday() * _ONE_DAY


def is_business_day(day: date) -> bool:
    """Tell Monday to Friday from the weekend. Holidays are not known here."""
    return day.weekday() < 5


def business_day_after(day: date, *, count: int) -> date:
    """Give the `count`-th business day after a day; the day itself does not count."""
    return _business_day(day, count, _ONE_DAY)


def business_day_before(day: date, *, count: int) -> date:
    """Give the `count`-th business day before a day; the day itself does not count."""
    return _business_day(day, count, -_ONE_DAY)


def business_days_between(*, after: date, until: date) -> int:
    """Count the business days after one day, up to and including another."""
    return sum(is_business_day(after + n * _ONE_DAY) for n in range(1, (until - after).days + 1))


def log_due_on(visited_on: date, *, business_days: int = LOG_DUE_BUSINESS_DAYS) -> date:
    """Give the last day on which a log is in time; from the day after, it is overdue, and a log that comes is late.

    `visited_on` is the local day on which the visit began. A Monday's visit has until the Monday after.
    """
    return business_day_after(visited_on, count=business_days)


def log_overdue_before(today: date, *, business_days: int = LOG_DUE_BUSINESS_DAYS) -> date:
    """Give the first day whose visits still have time to be logged: `log_due_on`, asked from today backwards."""
    return business_day_before(today, count=business_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolDays:
    """A district's school days: those on which any of its schools teaches, for the school years it has sent.

    In a year without a calendar, Monday to Friday count: nothing must stand still for want of a file.
    """

    days: frozenset[date] = frozenset()
    years: frozenset[int] = frozenset()

    def is_school_day(self, day: date) -> bool:
        """Tell whether the day counts."""
        return day in self.days if school_year_of(day) in self.years else is_business_day(day)


def _business_day(day: date, count: int, step: timedelta) -> date:
    while count > 0:
        day += step
        count -= is_business_day(day)
    return day

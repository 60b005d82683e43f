"""School years, months and cut-offs: which span of time a report is about."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

RELEASE_AFTER_DAYS = 5
"""How long after a month's end its numbers are published: late logs and the month's tallies have come by then."""

FIRST_MONTH = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Part of a school year: `since` included, `until` excluded, as days and as moments."""

    school_year: int
    first_day: date
    end_day: date
    since: datetime
    until: datetime


def school_year_of(day: date) -> int:
    """Name the school year of a day: the calendar year in which its July lies."""
    return day.year if day.month >= FIRST_MONTH else day.year - 1


def last_cut_off(today: date) -> date:
    """Find the last month's end that is due for publication: its last day."""
    month_end = today.replace(day=1) - timedelta(days=1)
    if today - month_end < timedelta(days=RELEASE_AFTER_DAYS):
        month_end = month_end.replace(day=1) - timedelta(days=1)
    return month_end


def span_until_cut_off(cut_off: date, zone: ZoneInfo) -> Span:
    """Give the school year up to the cut-off's midnight."""
    end_day = cut_off + timedelta(days=1)
    return _span(
        school_year_of(cut_off), end_day, datetime(end_day.year, end_day.month, end_day.day, tzinfo=zone), zone
    )


def span_until_now(now: datetime, zone: ZoneInfo) -> Span:
    """Give the school year up to this moment."""
    today = now.astimezone(zone).date()
    return _span(school_year_of(today), today + timedelta(days=1), now, zone)


def business_days_before(moment: datetime, days: int) -> datetime:
    """Go back the given number of days from Monday to Friday, at the same time of day."""
    while days > 0:
        moment -= timedelta(days=1)
        days -= moment.isoweekday() < 6
    return moment


def _span(school_year: int, end_day: date, until: datetime, zone: ZoneInfo) -> Span:
    first_day = date(school_year, FIRST_MONTH, 1)
    since = datetime(school_year, FIRST_MONTH, 1, tzinfo=zone)
    return Span(school_year=school_year, first_day=first_day, end_day=end_day, since=since, until=until)

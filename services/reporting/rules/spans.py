"""School years, months and cut-offs: which span of time a report is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.calendar import first_day_of, local_day, log_due_on, school_year_of, start_of_day


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Part of a school year: `since` included, `until` excluded, as days and as moments."""

    school_year: int
    first_day: date
    end_day: date
    since: datetime
    until: datetime


def last_cut_off(today: date) -> date:
    """Find the last day of the month that ended last."""
    return today.replace(day=1) - timedelta(days=1)


def span_until_cut_off(cut_off: date, zone: ZoneInfo) -> Span:
    """Give the school year up to the cut-off's midnight."""
    end_day = cut_off + timedelta(days=1)
    return _span(school_year_of(cut_off), end_day, start_of_day(end_day, zone=zone), zone)


def span_until_now(now: datetime, zone: ZoneInfo) -> Span:
    """Give the school year up to this moment."""
    today = local_day(now, zone=zone)
    return _span(school_year_of(today), today + timedelta(days=1), now, zone)


def logs_due_on(span: Span) -> Mapping[date, date]:
    """Give, for each local day of the span on which visits may begin, the last day on which their log is in time."""
    days = (span.first_day + timedelta(days=n) for n in range((span.end_day - span.first_day).days))
    return {day: log_due_on(day) for day in days}


def _span(school_year: int, end_day: date, until: datetime, zone: ZoneInfo) -> Span:
    first_day = first_day_of(school_year)
    since = start_of_day(first_day, zone=zone)
    return Span(school_year=school_year, first_day=first_day, end_day=end_day, since=since, until=until)

"""School years, cut-offs and business days."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.reporting.rules.spans import (
    business_days_before,
    last_cut_off,
    school_year_of,
    span_until_cut_off,
    span_until_now,
)

HERE = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("day", "year"),
    [(date(2026, 6, 30), 2025), (date(2026, 7, 1), 2026), (date(2026, 12, 31), 2026), (date(2027, 1, 1), 2026)],
)
def test_a_school_year_begins_in_july(day: date, year: int) -> None:
    assert school_year_of(day) == year


@pytest.mark.parametrize(
    ("today", "cut_off"),
    [
        (date(2026, 11, 4), date(2026, 9, 30)),
        (date(2026, 11, 5), date(2026, 10, 31)),
        (date(2026, 11, 30), date(2026, 10, 31)),
        (date(2027, 1, 3), date(2026, 11, 30)),
        (date(2027, 3, 5), date(2027, 2, 28)),
    ],
)
def test_a_month_is_published_five_days_after_its_end(today: date, cut_off: date) -> None:
    assert last_cut_off(today) == cut_off


def test_a_cut_off_ends_at_midnight_where_the_people_are() -> None:
    span = span_until_cut_off(date(2026, 10, 31), HERE)
    assert span.until == datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
    assert span.since == datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
    assert (span.school_year, span.end_day) == (2026, date(2026, 11, 1))


def test_late_in_the_evening_it_is_still_today() -> None:
    span = span_until_now(datetime(2026, 7, 1, 3, 0, tzinfo=UTC), HERE)
    assert (span.school_year, span.end_day) == (2025, date(2026, 7, 1))


@pytest.mark.parametrize(("days", "then"), [(1, 20), (2, 19), (5, 16), (6, 13)])
def test_a_weekend_is_no_business_day(days: int, then: int) -> None:
    monday = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert business_days_before(monday, days) == monday.replace(day=then)

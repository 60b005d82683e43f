"""School years, cut-offs and business days."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.reporting.rules.spans import (
    last_cut_off,
    logs_due_on,
    span_until_cut_off,
    span_until_now,
)
from tests.zones import HERE


@pytest.mark.parametrize(
    ("today", "cut_off"),
    [
        (date(2026, 10, 31), date(2026, 9, 30)),
        (date(2026, 11, 1), date(2026, 10, 31)),
        (date(2026, 11, 30), date(2026, 10, 31)),
        (date(2027, 1, 3), date(2026, 12, 31)),
        (date(2027, 3, 5), date(2027, 2, 28)),
    ],
)
def test_the_month_that_ended_last_is_to_be_published(today: date, cut_off: date) -> None:
    assert last_cut_off(today) == cut_off


def test_a_cut_off_ends_at_midnight_where_the_people_are() -> None:
    span = span_until_cut_off(date(2026, 10, 31), HERE)
    assert span.until == datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
    assert span.since == datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
    assert (span.school_year, span.end_day) == (2026, date(2026, 11, 1))


def test_late_in_the_evening_it_is_still_today() -> None:
    span = span_until_now(datetime(2026, 7, 1, 3, 0, tzinfo=UTC), HERE)
    assert (span.school_year, span.end_day) == (2025, date(2026, 7, 1))


def test_each_day_of_a_span_has_the_day_on_which_its_log_is_due() -> None:
    due_on = logs_due_on(span_until_cut_off(date(2026, 10, 31), HERE))
    assert list(due_on) == [date(2026, 7, 1) + timedelta(days=n) for n in range(123)]
    # A Friday's, a Saturday's and a Sunday's visit have until the Friday after.
    assert {due_on[date(2026, 10, day)] for day in (23, 24, 25)} == {date(2026, 10, 30)}
    assert [due_on[date(2026, 10, day)] for day in (26, 30)] == [date(2026, 11, 2), date(2026, 11, 6)]

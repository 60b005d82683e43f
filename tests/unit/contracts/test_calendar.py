"""What a date means, held against calendars that are counted out day by day."""

from datetime import UTC, date, datetime, timedelta, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import (
    SchoolDays,
    business_day_after,
    business_day_before,
    business_days_between,
    first_day_of,
    is_business_day,
    last_day_of,
    local_day,
    log_due_on,
    log_overdue_before,
    monday_of,
    school_year_of,
    start_of_day,
)
from tests.zones import ELSEWHERE, HERE

days = st.dates(date(2000, 1, 1), date(2100, 12, 31))
counts = st.integers(1, 30)


@pytest.mark.parametrize(
    ("day", "year"),
    [(date(2026, 6, 30), 2025), (date(2026, 7, 1), 2026), (date(2026, 12, 31), 2026), (date(2027, 1, 1), 2026)],
)
def test_a_school_year_begins_in_july(day: date, year: int) -> None:
    assert school_year_of(day) == year


@given(days)
def test_every_day_lies_in_its_school_year(day: date) -> None:
    year = school_year_of(day)
    assert first_day_of(year) <= day <= last_day_of(year)
    assert (first_day_of(year).isoformat()[5:], last_day_of(year).isoformat()[5:]) == ("07-01", "06-30")
    assert last_day_of(year) + timedelta(days=1) == first_day_of(year + 1)


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        # An evening in Connecticut is another day in UTC: from 19:00 in winter, from 20:00 in summer.
        (datetime(2026, 1, 6, 0, 30, tzinfo=UTC), HERE, date(2026, 1, 5)),
        (datetime(2026, 1, 6, 4, 59, tzinfo=UTC), HERE, date(2026, 1, 5)),
        (datetime(2026, 1, 6, 5, 0, tzinfo=UTC), HERE, date(2026, 1, 6)),
        (datetime(2026, 7, 6, 3, 59, tzinfo=UTC), HERE, date(2026, 7, 5)),
        (datetime(2026, 7, 6, 4, 0, tzinfo=UTC), HERE, date(2026, 7, 6)),
        (datetime(2026, 1, 5, 23, 45, tzinfo=UTC), ELSEWHERE, date(2026, 1, 6)),
    ],
)
def test_the_local_day_is_the_one_people_write(moment: datetime, zone: tzinfo, day: date) -> None:
    assert local_day(moment, zone=zone) == day


@given(days, st.sampled_from([HERE, ELSEWHERE, UTC]))
def test_a_day_begins_where_the_one_before_ends(day: date, zone: tzinfo) -> None:
    begins = start_of_day(day, zone=zone).astimezone(UTC)
    assert local_day(begins, zone=zone) == day
    assert local_day(begins - timedelta(microseconds=1), zone=zone) == day - timedelta(days=1)


@given(days)
def test_a_week_begins_on_its_monday(day: date) -> None:
    monday = monday_of(day)
    assert (monday.strftime("%a"), monday.isocalendar()[:2]) == ("Mon", day.isocalendar()[:2])


@given(days, counts)
def test_business_days_are_counted_without_the_day_itself_and_without_weekends(day: date, count: int) -> None:
    later, earlier = business_day_after(day, count=count), business_day_before(day, count=count)
    ahead = [day + timedelta(days=n) for n in range(1, (later - day).days + 1)]
    behind = [day - timedelta(days=n) for n in range(1, (day - earlier).days + 1)]
    for each, last in ((ahead, later), (behind, earlier)):
        assert sum(step.strftime("%a") not in ("Sat", "Sun") for step in each) == count
        assert last.isoweekday() <= 5
    assert business_days_between(after=day, until=later) == count
    assert business_days_between(after=later, until=day) == business_days_between(after=day, until=day) == 0


def test_a_week_has_five_business_days_whatever_the_schools_do() -> None:
    friday = date(2026, 10, 2)
    assert business_days_between(after=friday, until=friday + timedelta(days=7)) == 5


@pytest.mark.parametrize(
    ("visited_on", "due_on"),
    [
        (date(2026, 1, 5), date(2026, 1, 12)),  # Monday: the Monday after
        (date(2026, 1, 9), date(2026, 1, 16)),  # Friday
        (date(2026, 1, 10), date(2026, 1, 16)),  # Saturday and Sunday: the Friday after
        (date(2026, 1, 11), date(2026, 1, 16)),
    ],
)
def test_a_log_is_due_on_the_fifth_business_day_after_the_visits(visited_on: date, due_on: date) -> None:
    assert log_due_on(visited_on) == due_on


@given(days, st.integers(0, 60), counts)
def test_asked_forwards_or_backwards_a_log_is_overdue_on_the_same_day(
    visited_on: date, later: int, business_days: int
) -> None:
    today = visited_on + timedelta(days=later)
    overdue = today > log_due_on(visited_on, business_days=business_days)
    assert (visited_on < log_overdue_before(today, business_days=business_days)) is overdue


def test_school_days_are_the_districts_own_where_it_has_sent_a_calendar() -> None:
    snow, taught, saturday = date(2026, 1, 26), date(2026, 1, 27), date(2026, 1, 31)
    sent = SchoolDays(days=frozenset({taught, saturday}), years=frozenset({2025}))
    assert [sent.is_school_day(day) for day in (snow, taught, saturday)] == [False, True, True]
    unknown = [date(2026, 7, 3) + timedelta(days=n) for n in range(4)]
    assert [sent.is_school_day(day) for day in unknown] == [is_business_day(day) for day in unknown]
    assert [is_business_day(day) for day in unknown] == [True, False, False, True]

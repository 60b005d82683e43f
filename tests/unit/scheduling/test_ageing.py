"""How old a request is: in the school days of its district, without the days its family asked for."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import SchoolDays
from services.scheduling.rules.ageing import (
    age,
    days_beyond,
    due_day,
    target_days,
    with_pause,
    without_future,
)
from services.scheduling.rules.policy import DEFAULT
from services.scheduling.rules.visits import Stage

FRIDAY = date(2026, 10, 2)
MONDAY = date(2026, 10, 5)
NO_CALENDAR = SchoolDays()
DAYS = st.dates(date(2026, 8, 1), date(2027, 6, 30))
A_CALENDAR = st.frozensets(DAYS, min_size=100, max_size=300).map(
    lambda days: SchoolDays(days=days, years=frozenset({2026}))
)
PAUSES = st.lists(st.tuples(DAYS, DAYS).map(lambda pair: (min(pair), max(pair))), max_size=3)


def test_a_weekend_does_not_age_a_request() -> None:
    assert age(since=FRIDAY, today=FRIDAY, calendar=NO_CALENDAR) == 0
    assert age(since=FRIDAY, today=MONDAY - timedelta(days=1), calendar=NO_CALENDAR) == 0
    assert age(since=FRIDAY, today=MONDAY, calendar=NO_CALENDAR) == 1


def test_a_holiday_of_the_district_does_not_either_and_a_saturday_school_does() -> None:
    tuesday = MONDAY + timedelta(days=1)
    saturday = FRIDAY + timedelta(days=1)
    teaching = SchoolDays(days=frozenset({FRIDAY, saturday, tuesday}), years=frozenset({2026}))
    assert age(since=FRIDAY, today=tuesday, calendar=teaching) == 2


def test_a_year_nobody_sent_a_calendar_for_counts_monday_to_friday() -> None:
    other_year = SchoolDays(days=frozenset({date(2025, 10, 1)}), years=frozenset({2025}))
    assert age(since=FRIDAY, today=MONDAY, calendar=other_year) == 1


def test_the_target_is_met_on_its_day_and_missed_on_the_next_school_day() -> None:
    due = due_day(since=FRIDAY, target=3, calendar=NO_CALENDAR)
    assert due == date(2026, 10, 7)
    assert days_beyond(due_on=due, today=due, calendar=NO_CALENDAR) == 0
    assert days_beyond(due_on=due, today=due + timedelta(days=1), calendar=NO_CALENDAR) == 1
    assert days_beyond(due_on=None, today=due, calendar=NO_CALENDAR) == 0


def test_waiting_on_the_family_stops_the_count_until_the_day_it_named() -> None:
    pauses = with_pause((), begins=MONDAY, ends=MONDAY + timedelta(days=14))
    assert age(since=FRIDAY, today=MONDAY + timedelta(days=13), pauses=pauses, calendar=NO_CALENDAR) == 0
    assert age(since=FRIDAY, today=MONDAY + timedelta(days=14), pauses=pauses, calendar=NO_CALENDAR) == 1


def test_a_family_heard_sooner_ends_its_pause() -> None:
    pauses = with_pause((), begins=MONDAY, ends=MONDAY + timedelta(days=14))
    heard = without_future(pauses, today=MONDAY + timedelta(days=2))
    assert heard == ((MONDAY, MONDAY + timedelta(days=2)),)
    assert without_future(pauses, today=MONDAY) == ()


@given(since=DAYS, target=st.integers(1, 30), pauses=PAUSES, calendar=A_CALENDAR)
def test_the_due_day_is_the_first_on_which_the_age_reaches_the_target(
    since: date, target: int, pauses: list[tuple[date, date]], calendar: SchoolDays
) -> None:
    due = due_day(since=since, target=target, pauses=pauses, calendar=calendar)
    assert age(since=since, today=due, pauses=pauses, calendar=calendar) == target
    assert age(since=since, today=due - timedelta(days=1), pauses=pauses, calendar=calendar) == target - 1


@given(since=DAYS, days=st.integers(0, 100), pauses=PAUSES, calendar=A_CALENDAR)
def test_a_pause_never_ages_and_every_day_adds_one_at_most(
    since: date, days: int, pauses: list[tuple[date, date]], calendar: SchoolDays
) -> None:
    today = since + timedelta(days=days)
    paused = age(since=since, today=today, pauses=pauses, calendar=calendar)
    assert 0 <= paused <= age(since=since, today=today, calendar=calendar) <= days
    tomorrow = age(since=since, today=today + timedelta(days=1), pauses=pauses, calendar=calendar)
    assert tomorrow - paused in (0, 1)


def test_first_contact_then_agreement_then_no_target() -> None:
    assert target_days(stage=Stage.NEW, contacted=False, policy=DEFAULT) == 3
    assert target_days(stage=Stage.CONTACTING, contacted=True, policy=DEFAULT) == 10
    assert target_days(stage=Stage.AGREED, contacted=True, policy=DEFAULT) is None

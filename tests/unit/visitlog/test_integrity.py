"""The quiet checks: each finds what it looks for, and honest work leaves them silent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.visitlog.rules.integrity import BURST_LOGS, Check, Finding, LoggedVisit, Travel, findings

FOUR = datetime(2026, 10, 5, 20, 0, tzinfo=UTC)


def a_log(number: int = 1, **changes: object) -> LoggedVisit:
    """An honest log: 45 minutes, 20 minutes of travel, written in the evening."""
    starts_at = FOUR + timedelta(days=number)
    log = LoggedVisit(
        log_id=UUID(int=number),
        household_key=UUID(int=1000 + number),
        outcome="took_place",
        started_at=starts_at,
        ended_at=starts_at + timedelta(minutes=45),
        travel_by_visitor={
            "marisol": Travel(travel_minutes=20, mileage_tenths=80),
            "omar": Travel(travel_minutes=20, mileage_tenths=80),
        },
        written_by="marisol",
        written_at=starts_at + timedelta(hours=3),
        is_school_day=True,
        texts=(f"What the family of household {number} said was theirs alone.",),
    )
    return replace(log, **changes)  # type: ignore[arg-type]


def checks(*logs: LoggedVisit) -> list[Check]:
    return [finding.check for finding in findings(logs)]


def test_honest_work_is_asked_nothing() -> None:
    assert findings([a_log(number) for number in range(1, 20)]) == []
    assert findings([]) == []


def test_one_person_at_two_visits_at_once() -> None:
    other = a_log(2, started_at=FOUR + timedelta(days=1, minutes=44), ended_at=FOUR + timedelta(days=1, minutes=90))
    found = [finding for finding in findings([a_log(1), other]) if finding.check is Check.OVERLAP]
    assert found == [
        Finding(check=Check.OVERLAP, log_ids=(UUID(int=1), UUID(int=2)), visitor_id=name)
        for name in ("marisol", "omar")
    ]
    elsewhere = replace(other, travel_by_visitor={"dora": Travel(), "emil": Travel()})
    assert checks(a_log(1), elsewhere) == []


def test_a_long_visit_overlaps_each_short_one_inside_it() -> None:
    day = FOUR + timedelta(days=1)
    long = a_log(1, ended_at=day + timedelta(hours=5))
    inside = [
        a_log(number, started_at=day + timedelta(hours=number), ended_at=day + timedelta(hours=number, minutes=30))
        for number in (2, 3, 4)
    ]
    overlaps = [each for each in findings([long, *inside]) if each.check is Check.OVERLAP and each.visitor_id == "omar"]
    assert [each.log_ids for each in overlaps] == [(UUID(int=1), UUID(int=number)) for number in (2, 3, 4)]


@pytest.mark.parametrize(("minutes_between", "asked"), [(0, True), (9, True), (10, False), (30, False)])
def test_half_of_the_logged_way_fits_between_two_visits(minutes_between: int, asked: bool) -> None:
    first = a_log(1)
    assert first.ended_at is not None
    starts_at = first.ended_at + timedelta(minutes=minutes_between)
    later = a_log(2, started_at=starts_at, ended_at=starts_at + timedelta(minutes=45))
    assert (Check.IMPOSSIBLE_TRAVEL in checks(first, later)) is asked
    assert checks(first, replace(later, household_key=first.household_key)) == []


@pytest.mark.parametrize(
    ("minutes", "tenths", "asked"), [(60, 750, False), (60, 751, True), (0, 1, True), (0, 0, False)]
)
def test_nobody_drives_faster_than_a_car(minutes: int, tenths: int, asked: bool) -> None:
    log = a_log(travel_by_visitor={"omar": Travel(travel_minutes=minutes, mileage_tenths=tenths)})
    assert (Check.IMPOSSIBLE_TRAVEL in checks(log)) is asked


@pytest.mark.parametrize(("minutes", "asked"), [(4, True), (5, False)])
def test_a_visit_shorter_than_five_minutes(minutes: int, asked: bool) -> None:
    log = a_log()
    short = replace(log, ended_at=log.started_at + timedelta(minutes=minutes))
    assert (checks(short) == [Check.UNDER_FIVE_MINUTES]) is asked
    assert checks(replace(short, outcome="family_not_home")) == []


def test_a_hundred_visits_logged_in_forty_one_minutes_are_one_question() -> None:
    evening = FOUR + timedelta(days=200)
    written = [a_log(number, written_at=evening + timedelta(seconds=24.6 * number)) for number in range(1, 101)]
    (finding,) = findings(written)
    assert (finding.check, len(finding.log_ids), finding.visitor_id) == (Check.BURST_ENTRY, 100, "marisol")


def test_four_logs_in_ten_minutes_are_a_diligent_evening_and_five_a_question() -> None:
    evening = FOUR + timedelta(days=200)
    for many in (BURST_LOGS - 1, BURST_LOGS):
        written = [a_log(number, written_at=evening + timedelta(minutes=number)) for number in range(1, many + 1)]
        assert (checks(*written) == [Check.BURST_ENTRY]) is (many == BURST_LOGS)


def test_logs_of_an_offline_day_that_are_sent_together_are_no_burst() -> None:
    # The phone says when each was written; when they arrived says only where there was a connection.
    written = [a_log(number, written_at=FOUR + timedelta(hours=number)) for number in range(1, 10)]
    assert findings(written) == []


def test_two_bursts_are_two_questions() -> None:
    logs = [
        a_log(number, written_at=FOUR + timedelta(days=number // 10, minutes=number % 10)) for number in range(10, 30)
    ]
    assert [len(each.log_ids) for each in findings(logs)] == [10, 10]


@pytest.mark.parametrize(("is_school_day", "asked"), [(True, False), (False, True), (None, False)])
def test_no_school_that_day_is_asked_only_where_the_calendar_is_known(is_school_day: bool | None, asked: bool) -> None:
    assert (checks(a_log(is_school_day=is_school_day)) == [Check.NO_SCHOOL_THAT_DAY]) is asked


def test_the_same_words_for_two_households_but_not_for_one_and_not_when_short() -> None:
    words = ("They were glad that somebody came and listened.",)
    shouted = ("THEY were glad, that somebody came - and listened",)
    assert checks(a_log(1, texts=words), a_log(2, texts=shouted)) == [Check.REPEATED_TEXT]
    same_household = a_log(2, texts=words, household_key=UUID(int=1001))
    assert checks(a_log(1, texts=words), same_household) == []
    assert checks(a_log(1, texts=("All well.",)), a_log(2, texts=("All well.",))) == []


@given(
    starts=st.lists(st.integers(0, 600), min_size=2, max_size=12),
    length=st.integers(1, 90),
    seed=st.integers(0, 9),
)
def test_questions_do_not_depend_on_the_order_and_overlaps_are_all_found(
    starts: list[int], length: int, seed: int
) -> None:
    logs = [
        a_log(
            number + 1,
            started_at=FOUR + timedelta(minutes=start),
            ended_at=FOUR + timedelta(minutes=start + length),
        )
        for number, start in enumerate(starts)
    ]
    shuffled = list(logs)
    Random(seed).shuffle(shuffled)
    assert findings(shuffled) == findings(logs)
    overlap = any(abs(one - other) < length for n, one in enumerate(starts) for other in starts[n + 1 :])
    assert (Check.OVERLAP in checks(*logs)) is overlap

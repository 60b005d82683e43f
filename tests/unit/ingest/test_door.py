"""Which days may come in (DOMAIN.md 9.5), judged on the local date on which the broker appended the record."""

import csv
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import Category, Feed, RejectionReason
from services.ingest.formats import edfi
from services.ingest.handlers.batch import Batch
from services.ingest.handlers.landed import read_landed
from services.ingest.rules.door import Door
from services.ingest.store.feeds import DECLARED, EVERY_SCHOOL, Word
from tests.delivering import record
from tests.unit.ingest.landed import (
    DAY_MS,
    NOON,
    Taken,
    completed,
    districts,
    enrollment,
    land,
    mark,
    published,
    rejections,
    retraction,
    roll,
)
from tests.zones import ELSEWHERE, HERE

TOMORROW = "2026-09-02"
CALENDAR = {"type": "calendar", "school": "H01", "feed": "full", "school_days": [], "version": 1}
ABSENCES = {
    Category.EXCUSED_ABSENCE, Category.UNEXCUSED_ABSENCE, Category.MENTAL_HEALTH_DAY,
    Category.OUT_OF_SCHOOL_SUSPENSION, Category.EXPULSION,
}  # fmt: skip
OF_SCHOOL = ("hartford", "H01", DECLARED)
FULL, EXCEPTIONS = {OF_SCHOOL: Word(1, Feed.FULL.value)}, {OF_SCHOOL: Word(1, Feed.EXCEPTIONS.value)}


def refusal(value: Any, **around: Any) -> str | None:
    """Land one record and tell why it went back; None where it went on."""
    back = rejections(land(value, **around))
    assert {event["reason"] for event in back} <= {RejectionReason.IMPOSSIBLE_DATE.value}
    return back[0]["detail"] if back else None


# Years that are over, and years far ahead.


@pytest.mark.parametrize("make", [mark, retraction, completed, roll])
@pytest.mark.parametrize(
    ("day", "comes_in"),
    [("2021-06-30", False), ("2021-07-01", True), ("2000-07-01", False), ("2028-07-01", False), ("2126-09-01", False)],
)
def test_attendance_comes_from_five_years_back_and_no_further(make: Any, day: str, comes_in: bool) -> None:
    assert (refusal(make(date=day)) is None) is comes_in


def test_what_is_taken_back_may_be_of_any_day_until_the_end_of_next_year() -> None:
    assert refusal(retraction(date="2028-06-30")) is None
    assert refusal(retraction(date="2028-07-01")) == "date: outside 2021-07-01 to 2028-06-30"


def test_the_years_begin_anew_on_the_first_of_july() -> None:
    last_of_june = int(datetime(2026, 6, 30, 23, 59, 59, tzinfo=HERE).timestamp() * 1000)
    assert refusal(mark(date="2020-07-01"), at=last_of_june) is None
    assert refusal(mark(date="2020-07-01"), at=last_of_june + 1000) == "date: outside 2021-07-01 to 2028-06-30"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"entry_date": "2018-08-27"}, None),  # eight years ago is ordinary
        ({"entry_date": "2000-07-01"}, None),
        ({"entry_date": "2000-06-30"}, "entry_date: outside 2000-07-01 to 2028-06-30"),
        ({"entry_date": "2028-06-30"}, None),
        ({"entry_date": "2028-07-01"}, "entry_date: outside 2000-07-01 to 2028-06-30"),
        ({"exit_date": "2039-06-15"}, None),  # when a kindergartner is to graduate
        ({"exit_date": "2101-06-30"}, None),
        ({"exit_date": "2101-07-01"}, "exit_date: outside 2000-07-01 to 2101-06-30"),
        ({"exit_date": "9999-12-31"}, "exit_date: outside 2000-07-01 to 2101-06-30"),
    ],
)
def test_an_enrolment_may_have_begun_long_ago_and_be_meant_to_last(fields: dict[str, str], detail: str | None) -> None:
    assert refusal(enrollment(**fields), topic="roster-in-hartford") == detail


@pytest.mark.parametrize(
    ("year", "comes_in"), [(2020, False), (2021, True), (2026, True), (2027, True), (2028, False), (2126, False)]
)
def test_a_calendar_is_of_these_years_or_the_next(year: int, comes_in: bool) -> None:
    said = refusal({**CALENDAR, "school_year": year}, topic="roster-in-hartford")
    assert said == (None if comes_in else "school_year: outside 2021 to 2027")


# Days to come.


@pytest.mark.parametrize("category", list(Category))
def test_of_a_day_to_come_only_an_absence_can_be_known(category: Category) -> None:
    said = refusal(mark(date=TOMORROW, category=category.value))
    if category in ABSENCES:
        assert said is None
    else:
        assert said == "date: nobody has been present on a day to come"
    assert refusal(mark(category=category.value)) is None  # today


def test_a_full_feed_tells_no_day_to_come() -> None:
    tomorrow = mark(date=TOMORROW)
    assert refusal(tomorrow, feeds=FULL) == "date: a full feed tells no day to come"
    assert refusal(tomorrow, feeds=EXCEPTIONS) is None
    assert refusal(mark(date=TOMORROW, school="H02"), feeds=FULL) is None  # of which nobody told


def test_how_a_school_reports_comes_before_how_its_district_does() -> None:
    district_full = {("hartford", EVERY_SCHOOL, DECLARED): Word(9, Feed.FULL.value)}
    assert refusal(mark(date=TOMORROW), feeds=district_full) is not None
    assert refusal(mark(date=TOMORROW), feeds=district_full | EXCEPTIONS) is None


@pytest.mark.parametrize(
    "told",
    [
        {"type": "feed", "feed": "full"},
        {"type": "feed", "school": "H01", "feed": "full"},
        {**CALENDAR, "school_year": 2026},
    ],
)
def test_what_was_told_in_the_same_batch_counts_for_what_landed_behind_it(told: dict[str, Any]) -> None:
    tomorrow = mark(date=TOMORROW)
    assert len(rejections(land(told, tomorrow))) == 1
    assert rejections(land(tomorrow, told)) == []


@pytest.mark.parametrize(
    "said",
    [
        completed(feed="full"),
        {"type": "roll_reopened", "school": "H01", "date": "2026-09-01", "feed": "full"},
        roll(feed="full", complete=True),
    ],
)
def test_what_a_roll_says_of_itself_is_said_of_its_day_alone(said: dict[str, Any]) -> None:
    assert rejections(land(said, mark(date=TOMORROW))) == []
    assert rejections(land({"type": "feed", "feed": "exceptions"}, said, mark(date=TOMORROW))) == []


def test_no_roll_is_complete_before_its_day() -> None:
    assert refusal(completed(date=TOMORROW)) == "date: no roll is complete before its day"
    assert refusal(roll(date=TOMORROW, feed="exceptions", complete=True)) == "date: no roll is complete before its day"
    assert refusal(completed()) is None


def test_a_landed_roll_says_of_itself_how_its_school_reports() -> None:
    absent, present = ["1", "excused_absence", 1], ["2", "tardy", 1]
    assert refusal(roll(absent, date=TOMORROW, feed="full")) == "date: a full feed tells no day to come"
    assert refusal(roll(absent, date=TOMORROW, feed="exceptions"), feeds=FULL) is None
    assert refusal(roll(absent, date=TOMORROW), feeds=FULL) == "date: a full feed tells no day to come"
    batch = land(roll(absent, present, date=TOMORROW, feed="exceptions"))
    [(_, told)] = published(batch, "rolls")
    assert (told["categories"], [event["row"] for event in rejections(batch)]) == ("h", [2])


# What day it is.


def test_today_is_the_local_date_of_the_records_append() -> None:
    midnight = int(datetime(2026, 9, 2, tzinfo=HERE).timestamp() * 1000)
    assert refusal(completed(date=TOMORROW), at=midnight - 1) is not None
    assert refusal(completed(date=TOMORROW), at=midnight) is None


def test_a_day_begins_while_a_batch_lands() -> None:
    midnight = int(datetime(2026, 9, 2, tzinfo=HERE).timestamp() * 1000)
    batch = Batch(districts(), zone=HERE)
    for offset, at in enumerate([midnight - 1, midnight, midnight - 1]):
        landed = record(
            "attendance-in-hartford", 0, offset, json.dumps(mark(date=TOMORROW, category="tardy")), timestamp_ms=at
        )
        batch.land(landed, read_landed(landed, districts=districts()))

    assert [event["landing_offset"] for event in rejections(Taken(batch, batch.close()))] == [0, 2]


def test_in_a_simulated_state_the_moved_clock_says_what_day_it_is() -> None:
    moved = Door.at(NOON, zone=HERE, moved=timedelta(days=100))
    assert moved.today == date(2026, 12, 10)
    assert Door.at(NOON, zone=ELSEWHERE, moved=timedelta(0)).today == date(2026, 9, 2)


@given(
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
    days=st.integers(-3_000, 3_000),
    zone=st.sampled_from([HERE, ELSEWHERE]),
)
def test_any_timestamp_has_a_day_that_holds_it(timestamp_ms: int, days: int, zone: Any) -> None:
    door = Door.at(timestamp_ms, zone=zone, moved=timedelta(days=days))
    assert date(2000, 7, 1) <= door.first_day
    assert door.last_day <= date(2101, 6, 30)
    if 0 <= timestamp_ms < 32_000_000_000_000:
        assert door.opens_ms <= timestamp_ms < door.closes_ms
        assert timedelta(hours=22) <= timedelta(milliseconds=door.closes_ms - door.opens_ms) <= timedelta(hours=26)


# Files: what they say of days to come goes back, row by row.


def test_a_csv_row_of_a_day_to_come_goes_back() -> None:
    header = ("leap-columns", b"student,school,date,category,version")
    rows = [
        f"10,H01,{day},{category},1".encode() for day in ("2026-09-01", TOMORROW) for category in ("tardy", "expulsion")
    ]
    back = rejections(land(*rows, headers=(header,)))
    assert [event["landing_offset"] for event in back] == [2]


def test_an_edfi_file_pushed_in_mid_term_makes_no_day_to_come_present(tmp_path: Path) -> None:
    events, sessions = tmp_path / "events.csv", tmp_path / "sessions.json"
    session = {
        "SchoolId": "1", "SessionName": "Fall", "BeginDate": "2026-08-31", "EndDate": "2027-01-22",
        "TotalInstructionalDays": "85",
    }  # fmt: skip
    sessions.write_text(json.dumps({"sessions": [session]}))
    with events.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["studentUniqueId", "schoolId", "eventDate", "category", "eventDuration"])
        writer.writerows([["7", "1", "2026-09-08", "Unexcused Absence", "1"], ["7", "1", "2026-12-01", "Tardy", ""]])

    today = NOON + 89 * DAY_MS  # Sunday, 29 November 2026
    batch = land(*(value for _, value in edfi.landing_records(events, sessions)), at=today)

    told = [each for _, each in published(batch, "rolls")]
    assert {each["school_day"] for each in told if each.get("completed")} == {
        day for _, calendar in published(batch, "calendars") for day in calendar["school_days"] if day <= "2026-11-29"
    }
    assert [(each["school_day"], each["categories"]) for each in told if each["students"]] == [("2026-09-08", "i")]
    assert {event["detail"] for event in rejections(batch)} == {
        "date: no roll is complete before its day",
        "date: nobody has been present on a day to come",
    }

"""What the desk's pages work out by themselves: months, ages, addresses, forms, letters."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import UUID

import pytest
from fastapi import HTTPException, Request
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import SchoolDays
from services.runtime.web.forms import Form
from services.scheduling.pages import letters, view
from services.scheduling.pages.appointment import moment_of
from services.scheduling.pages.days import months_of
from services.scheduling.pages.forms import DAY, NUMBER, TIME, read
from services.scheduling.pages.rows import age_of
from services.scheduling.rules.bounds import Day, LocalTime, Minutes, Part
from services.scheduling.store.day_sheet import SheetVisit
from services.scheduling.store.queue import Cursor, Queued, View
from tests.zones import HERE

FRIDAY = date(2026, 11, 20)
SCHOOL_DAYS = [day for day in (date(2026, 11, 2) + timedelta(days=n) for n in range(28)) if day.weekday() < 5]


def row(**fields: Any) -> Queued:
    """A request that waits since the second of November."""
    plain: dict[str, Any] = {
        "request_id": UUID(int=1),
        "household_key": UUID(int=2),
        "version": 1,
        "district": "hartford",
        "school": "H01",
        "stage": "new",
        "closed_because": None,
        "claimed_by": None,
        "claimed_until": None,
        "pinned": False,
        "points": 10,
        "promise_due": None,
        "promise_kind": None,
        "priority": {},
        "wish": None,
        "due_on": date(2026, 11, 5),
        "days_beyond": 0,
        "aged_from": date(2026, 11, 2),
        "pauses": (),
        "contact_again_on": None,
        "flags_cleared_at": None,
        "opened_at": datetime(2026, 11, 2, 15, tzinfo=UTC),
        "language": "es",
        "interpreter_needed": False,
        "grades": ("3",),
    }
    return Queued(**plain | fields)


def test_months_show_absences_corrections_and_days_after_the_last_counted_one_as_nothing() -> None:
    (month,) = months_of(
        absent_days=[date(2026, 11, 4), FRIDAY],
        corrected_days=[date(2026, 11, 5)],
        school_days=SCHOOL_DAYS,
        as_of=FRIDAY,
        meant=[FRIDAY],
    )
    kinds = {day.day.day: day.kind for week in month.weeks for day in week if day}
    assert (kinds[3], kinds[4], kinds[5], kinds[20], kinds[23]) == ("school", "missed", "changed", "missed", "none")
    assert [day.day for week in month.weeks for day in week if day and day.meant] == [FRIDAY]
    assert all(len(week) == 5 for week in month.weeks)


def test_an_absence_on_a_saturday_is_shown_and_a_student_without_days_has_no_months() -> None:
    saturday = date(2026, 11, 7)
    (month,) = months_of(absent_days=[saturday], corrected_days=[], school_days=[], as_of=None)
    assert any(day is not None and day.day == saturday for week in month.weeks for day in week)
    assert months_of(absent_days=[], corrected_days=[], school_days=[], as_of=None) == []


def test_months_cross_the_year() -> None:
    months = months_of(
        absent_days=[date(2026, 12, 18), date(2027, 1, 4)], corrected_days=[], school_days=[], as_of=date(2027, 1, 4)
    )
    assert [month.first for month in months] == [date(2026, 12, 1), date(2027, 1, 1)]


@pytest.mark.parametrize(
    ("fields", "today", "state"),
    [
        ({}, date(2026, 11, 4), "within"),
        ({}, date(2026, 11, 5), "today"),
        ({}, date(2026, 11, 9), "overdue"),
        ({"contact_again_on": date(2026, 11, 20)}, date(2026, 11, 9), "paused"),
        ({"contact_again_on": date(2026, 11, 9)}, date(2026, 11, 9), "overdue"),
        ({"due_on": None}, date(2026, 11, 9), "reached"),
    ],
)
def test_an_age_has_a_word_for_each_state(fields: dict[str, Any], today: date, state: str) -> None:
    assert age_of(row(**fields), calendar=SchoolDays(), today=today).state == state


def test_the_age_counts_school_days_only() -> None:
    holiday = SchoolDays(days=frozenset(SCHOOL_DAYS) - {date(2026, 11, 3)}, years=frozenset({2026}))
    assert age_of(row(), calendar=SchoolDays(), today=date(2026, 11, 9)).days == 5
    assert age_of(row(), calendar=holiday, today=date(2026, 11, 9)).days == 4
    assert age_of(row(), calendar=holiday, today=date(2026, 11, 9)).beyond == 2


@given(
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
)
def test_where_a_page_begins_survives_the_address(
    pinned: bool, points: int, opened_at: datetime, request_id: UUID
) -> None:
    cursor = Cursor(pinned=pinned, points=points, opened_at=opened_at, request_id=request_id)
    assert view.read_cursor(view.write_cursor(cursor)) == cursor


@given(st.text(max_size=60))
def test_any_other_text_is_no_page(text: str) -> None:
    if not text:
        assert view.read_cursor(text) is None
    elif text.count(".") < 2:
        with pytest.raises(HTTPException) as refused:
            view.read_cursor(text)
        assert refused.value.status_code == 422


def test_a_view_is_its_address() -> None:
    wanted = View(
        districts=("hartford",), stage="new", school="H01", grade_band="3-5", language="es", owner="ana", age="overdue",
        interpreter=True, promise=True,
    )  # fmt: skip
    query = view.address(wanted).partition("?")[2]
    request = Request({"type": "http", "query_string": query.encode(), "headers": []})
    assert view.read_view(request, ("hartford",)) == wanted
    assert view.address(wanted, stage=None, school=None).count("=") == 7 - 1


class Typed(Part):
    """A day, a time and a number, as forms of the desk ask for them."""

    day: Day | None = None
    time: LocalTime | None = None
    minutes: Minutes | None = None


@given(st.text(max_size=20))
def test_a_day_a_time_and_a_number_are_read_or_said_to_be_wrong_in_the_desks_words(text: str) -> None:
    said = {"day": DAY, "time": TIME, "minutes": NUMBER}
    for name, sentence in said.items():
        reading = read(Typed, Form([(name, text)]))
        if reading.value is None:
            (fault,) = reading.faults
            assert (fault.field, fault.text) == (name, sentence)
            assert sentence % fault.values, "and every gap is filled"
        else:
            assert (getattr(reading.value, name) is None) == (not text.strip())


def test_what_is_wrong_with_a_number_names_its_bounds() -> None:
    (fault,) = read(Typed, Form([("minutes", "1441")])).faults
    assert fault.text % fault.values == "Give a whole number from 1 to 1440."


@pytest.mark.parametrize("zone", [HERE, UTC])
def test_a_local_time_becomes_one_moment(zone: tzinfo) -> None:
    assert moment_of(date(2026, 11, 30), time(16, 30), zone) == datetime(2026, 11, 30, 16, 30, tzinfo=zone)
    assert moment_of(date(2026, 11, 30), time(16, 30), zone).tzinfo is UTC


@pytest.mark.parametrize("language", [*letters.LANGUAGES, "zh", "ht"])
def test_a_letter_says_when_where_and_who_in_every_language(language: str) -> None:
    starts_at = datetime(2026, 11, 30, 21, 30, tzinfo=UTC)
    visit = SheetVisit(
        visit_id=UUID(int=1), request_id=UUID(int=2), household_key=UUID(int=3), district="hartford", school="H01",
        stage="paired", state="scheduled", revision=1, starts_at=starts_at, ends_at=starts_at + timedelta(hours=1),
        place="home", place_text=None, language=language, interpreter=True, follow_up=False, pair=("marisol", "omar"),
        contact={"contact_name": "Rosa Delgado", "address": "1 Park Street", "language": language},
    )  # fmt: skip
    letter = letters.letter_in(language, visit=visit, zone=HERE, name_of=lambda name: (name or "").title())
    said = " ".join(value for _, _, values in letter.facts for value in values)
    assert "Rosa Delgado" in letter.dear
    assert all(part in said for part in ("30", "1 Park Street", "Marisol", "Omar"))
    assert letter.language == (language if language in letters.LANGUAGES else "en")
    assert letter.direction == ("rtl" if language == "ar" else "ltr")

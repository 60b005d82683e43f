"""Contract events with real values. A test names what it is about; the rest is an ordinary day in Hartford.

Ids are made from words, so that a failing test says the same thing twice.
"""

import hashlib
import itertools
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import UUID

from contracts import events
from contracts.events import Accumulator, Category, Feed, Grade, Level

MORNING = datetime(2026, 9, 14, 13, 5, tzinfo=UTC)
SCHOOL_DAY = date(2026, 9, 14)
_numbers = itertools.count(1)

E = TypeVar("E", bound=events.Event)


def key(word: str) -> UUID:
    """Return the same pseudonymous key for the same word."""
    return UUID(bytes=hashlib.blake2b(word.encode(), digest_size=16).digest())


def built(event: type[E], fields: dict[str, Any]) -> E:
    """Complete the envelope and check the event as a reader would."""
    envelope = {
        "event_id": key(f"event {next(_numbers)}"),
        "event_type": event.EVENT_TYPE,
        "occurred_at": MORNING,
        "district": "hartford",
    }
    return event.model_validate({**envelope, **fields})


def mark(student: str = "ana", **fields: Any) -> events.AttendanceRecorded:
    """Return one student's excused absence, unless the test says otherwise."""
    ordinary = {
        "school": "H01",
        "student_key": key(student),
        "school_day": SCHOOL_DAY,
        "category": Category.EXCUSED_ABSENCE,
        "source_version": 1,
    }
    return built(events.AttendanceRecorded, {**ordinary, **fields})


def retraction(student: str = "ana", **fields: Any) -> events.AttendanceRetracted:
    """Take `mark(student)` back."""
    ordinary = {"school": "H01", "student_key": key(student), "school_day": SCHOOL_DAY, "source_version": 2}
    return built(events.AttendanceRetracted, {**ordinary, **fields})


def roll(school_day: date = SCHOOL_DAY, **fields: Any) -> events.RollCompleted:
    """Complete a school's day of an exceptions-only feed."""
    return built(events.RollCompleted, {"school": "H01", "school_day": school_day, "feed": Feed.EXCEPTIONS, **fields})


def enrollment(student: str = "ana", **fields: Any) -> events.EnrollmentChanged:
    """Enrol a third-grader from the first school day on, with no end."""
    ordinary = {
        "school": "H01",
        "student_key": key(student),
        "household_key": key(f"household of {student}"),
        "stint": key(f"stint of {student}").hex,
        "grade": Grade.G3,
        "entry_date": date(2026, 8, 31),
        "source_version": 1,
    }
    return built(events.EnrollmentChanged, {**ordinary, **fields})


def calendar(school_days: Iterable[date], **fields: Any) -> events.SchoolCalendarChanged:
    """Say on which days school H01 teaches."""
    ordinary = {
        "school": "H01",
        "school_year": 2026,
        "feed": Feed.EXCEPTIONS,
        "school_days": tuple(school_days),
        "source_version": 1,
    }
    return built(events.SchoolCalendarChanged, {**ordinary, **fields})


def contact(household: str = "household of ana", **fields: Any) -> events.HouseholdContactChanged:
    """Return how to reach an invented household."""
    ordinary = {
        "household_key": key(household),
        "contact_name": "Wren Madeupton",
        "phones": ("+1 860 555 0142",),
        "students": ({"student_key": key("ana"), "given_name": "Ana", "family_name": "Madeupton"},),
        "source_version": 1,
    }
    return built(events.HouseholdContactChanged, {**ordinary, **fields})


def _flag(student: str, fields: dict[str, Any]) -> dict[str, Any]:
    ordinary = {
        "school": "H01",
        "student_key": key(student),
        "household_key": key(f"household of {student}"),
        "grade": Grade.G3,
        "school_year": 2026,
        "accumulator": Accumulator.DISTRICT,
        "as_of": SCHOOL_DAY,
        "policy_version": 1,
    }
    return {**ordinary, **fields}


def flag_raised(student: str = "ana", **fields: Any) -> events.FlagRaised:
    """Flag a student who missed exactly ten percent: 2 of 20 days."""
    figures = {"level": Level.CHRONICALLY_ABSENT, "previous_level": Level.NONE, "days_absent": 2, "days_enrolled": 20}
    return built(events.FlagRaised, _flag(student, {**figures, "version": 1, **fields}))


def flag_changed(student: str = "ana", **fields: Any) -> events.FlagChanged:
    """Move a flagged student across the line of twenty percent: 5 of 25 days."""
    figures = {
        "level": Level.SEVERELY_CHRONICALLY_ABSENT,
        "previous_level": Level.CHRONICALLY_ABSENT,
        "days_absent": 5,
        "days_enrolled": 25,
    }
    return built(events.FlagChanged, _flag(student, {**figures, "version": 2, **fields}))


def flag_cleared(student: str = "ana", **fields: Any) -> events.FlagCleared:
    """Clear a flag after a correction: 1 of 25 days."""
    figures = {"level": Level.NONE, "previous_level": Level.CHRONICALLY_ABSENT, "days_absent": 1, "days_enrolled": 25}
    return built(events.FlagCleared, _flag(student, {**figures, "version": 3, **fields}))

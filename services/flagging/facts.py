"""What arrives: just the fields flagging uses, checked strictly, so that PostgreSQL can cast every value of a batch."""

from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

FIRST_SCHOOL_DAY = date(2000, 7, 1)
LAST_SCHOOL_DAY = date(2099, 12, 31)
"""The range in which the SQL's school-year arithmetic is exact; a date outside is a typing error, not a school day."""

Text = Annotated[str, Meta(min_length=1, max_length=64)]
Version = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Category = Literal[
    "in_attendance",
    "tardy",
    "early_departure",
    "school_activity",
    "remote_learning",
    "in_school_suspension",
    "alternative_education",
    "excused_absence",
    "unexcused_absence",
    "mental_health_day",
    "out_of_school_suspension",
    "expulsion",
]
Grade = Literal["PK", "K", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]
Feed = Literal["exceptions", "full"]


class AttendanceRecorded(Struct, tag_field="event_type", tag="attendance.recorded.v1", omit_defaults=True, gc=False):
    """A mark."""

    district: Text
    school: Text
    student_key: UUID
    school_day: date
    category: Category
    source_version: Version
    present_parts: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    day_parts: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    receipt: UUID | None = None


class AttendanceRetracted(Struct, tag_field="event_type", tag="attendance.retracted.v1", omit_defaults=True, gc=False):
    """A mark taken back."""

    # So that a batch's marks and retractions make the same columns.
    category: ClassVar[None] = None
    present_parts: ClassVar[None] = None
    day_parts: ClassVar[None] = None
    district: Text
    school: Text
    student_key: UUID
    school_day: date
    source_version: Version
    receipt: UUID | None = None


class RollCompleted(Struct, tag_field="event_type", tag="roll.completed.v1", gc=False):
    """A school's day is complete."""

    district: Text
    school: Text
    school_day: date
    feed: Feed


class EnrollmentChanged(Struct, tag_field="event_type", tag="enrollment.changed.v1", gc=False):
    """A stint's newest version."""

    district: Text
    school: Text
    student_key: UUID
    stint: Text
    grade: Grade
    entry_date: date
    source_version: Version
    person_key: UUID | None = None
    household_key: UUID | None = None
    exit_date: date | None = None
    exit_day_counts: bool = False
    withdrawn: bool = False


class SchoolCalendarChanged(Struct, tag_field="event_type", tag="school-calendar.changed.v1", gc=False):
    """A calendar's newest version."""

    district: Text
    school: Text
    school_year: Annotated[int, Meta(ge=2000, le=2098)]
    feed: Feed
    school_days: Annotated[list[date], Meta(max_length=366)]
    source_version: Version


Fact = AttendanceRecorded | AttendanceRetracted | RollCompleted | EnrollmentChanged | SchoolCalendarChanged
Mark = AttendanceRecorded | AttendanceRetracted


class FactRefused(ValueError):
    """This value can't be a fact; the message names the rule, never the value."""


_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def parse(value: bytes) -> Fact:
    """Read one event; FactRefused says which rule it broke."""
    # One byte first: a fact without any escape, nearly every one, is done with it.
    if b"\\" in value and (b"\\u0000" in value or b"\\ud" in value or b"\\uD" in value):
        # PostgreSQL stores neither NUL nor half a surrogate pair, and one such value would fail its whole batch.
        raise FactRefused("an escape that no text may hold")
    try:
        fact = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FactRefused(_rule(error)) from None
    # Marks first: they are nearly all there is.
    if type(fact) is AttendanceRecorded and FIRST_SCHOOL_DAY <= fact.school_day <= LAST_SCHOOL_DAY:
        return fact
    if isinstance(fact, SchoolCalendarChanged):
        return fact
    day = fact.entry_date if isinstance(fact, EnrollmentChanged) else fact.school_day
    if not FIRST_SCHOOL_DAY <= day <= LAST_SCHOOL_DAY:
        raise FactRefused("a date outside 2000-07-01 to 2099-12-31")
    return fact


def _rule(error: Exception) -> str:
    message = str(error)
    # msgspec quotes a value in one message only: an unknown tag or enum value.
    return "not one of the allowed values" if "Invalid" in message and "'" in message else message[:200]

"""What a district sends: the landing records, and the rules a well-formed one can still break. No I/O, no clock."""

from datetime import date
from typing import Annotated

import msgspec

from contracts.calendar import first_day_of, last_day_of
from contracts.events import Category, Feed, Grade, RejectionReason

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
School = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
SchoolYear = Annotated[int, msgspec.Meta(ge=2000, le=2200)]
PresentParts = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
DayParts = Annotated[int, msgspec.Meta(ge=1, le=100_000)]

FIRST_DAY = date(2000, 7, 1)
LAST_DAY = date(2201, 6, 30)


class Rejection(Exception):
    """A landed record can't become a fact. `detail` names the field and the rule it broke, never a value."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


# `type` tells the records apart; fields we don't know are ignored.


class Mark(msgspec.Struct, tag_field="type", tag="mark", frozen=True, gc=False):
    school: School
    date: date
    category: Category
    version: Version
    student: Number | None = None
    state_student: Number | None = None
    present_parts: PresentParts | None = None
    day_parts: DayParts | None = None
    district: str | None = None


class Retraction(msgspec.Struct, tag_field="type", tag="retraction", frozen=True, gc=False):
    school: School
    date: date
    version: Version
    student: Number | None = None
    state_student: Number | None = None
    district: str | None = None


class CompletedRoll(msgspec.Struct, tag_field="type", tag="roll_completed", frozen=True, gc=False):
    school: School
    date: date
    feed: Feed
    district: str | None = None


class Enrollment(msgspec.Struct, tag_field="type", tag="enrollment", frozen=True, gc=False):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    school: School
    grade: Grade
    entry_date: date
    version: Version
    student: Number | None = None
    state_student: Number | None = None
    household: Number | None = None
    exit_date: date | None = None
    exit_day_counts: bool = False
    withdrawn: bool = False
    district: str | None = None


class Calendar(msgspec.Struct, tag_field="type", tag="calendar", frozen=True):
    school: School
    school_year: SchoolYear
    feed: Feed
    school_days: Annotated[list[date], msgspec.Meta(max_length=366)]
    version: Version
    district: str | None = None


class NamedStudent(msgspec.Struct, frozen=True):
    given_name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    family_name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    student: Number | None = None
    state_student: Number | None = None


class Household(msgspec.Struct, tag_field="type", tag="household", frozen=True):
    household: Number
    contact_name: Annotated[str, msgspec.Meta(min_length=1, max_length=160)]
    version: Version
    phones: Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=40)]], msgspec.Meta(max_length=8)] = []
    address: Annotated[str, msgspec.Meta(max_length=300)] | None = None
    language: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?\Z")] = "en"
    interpreter_needed: bool = False
    students: Annotated[list[NamedStudent], msgspec.Meta(max_length=30)] = []
    district: str | None = None


Landed = Mark | Retraction | CompletedRoll | Enrollment | Calendar | Household


Mistake = tuple[RejectionReason, str]
"""Which rule a record breaks, and a detail without any value."""

_NOBODY: Mistake = (RejectionReason.MISSING_FIELD, "student or state_student: one of them is needed")
_FAR_DATE: Mistake = (RejectionReason.IMPOSSIBLE_DATE, f"date: outside {FIRST_DAY} to {LAST_DAY}")


def mistake_in_mark(mark: Mark) -> Mistake | None:
    """Name the rule a well-formed mark breaks, or None."""
    if mark.student is None and mark.state_student is None:
        return _NOBODY
    if not FIRST_DAY <= mark.date <= LAST_DAY:
        return _FAR_DATE
    if mark.present_parts is None and mark.day_parts is None:
        return None
    if mark.present_parts is None or mark.day_parts is None:
        return RejectionReason.MISSING_FIELD, "present_parts, day_parts: both or neither"
    if mark.present_parts > mark.day_parts:
        return RejectionReason.OUT_OF_RANGE, "present_parts: more than day_parts"
    return None


def mistake_in(record: Retraction | CompletedRoll | Enrollment | Calendar | Household) -> Mistake | None:
    """Name the rule a well-formed record other than a mark breaks, or None."""
    match record:
        case Retraction():
            if record.student is None and record.state_student is None:
                return _NOBODY
            return None if FIRST_DAY <= record.date <= LAST_DAY else _FAR_DATE
        case CompletedRoll():
            return None if FIRST_DAY <= record.date <= LAST_DAY else _FAR_DATE
        case Enrollment():
            return _mistake_in_enrollment(record)
        case Calendar():
            first, last = first_day_of(record.school_year), last_day_of(record.school_year)
            if not all(first <= school_day <= last for school_day in record.school_days):
                return RejectionReason.OUT_OF_RANGE, "school_days: a day lies outside July to June of school_year"
        case Household():
            if any(student.student is None and student.state_student is None for student in record.students):
                return _NOBODY
    return None


def _mistake_in_enrollment(enrollment: Enrollment) -> Mistake | None:
    if enrollment.student is None and enrollment.state_student is None:
        return _NOBODY
    if not FIRST_DAY <= enrollment.entry_date <= LAST_DAY:
        return RejectionReason.IMPOSSIBLE_DATE, f"entry_date: outside {FIRST_DAY} to {LAST_DAY}"
    if enrollment.exit_date is None:
        return None
    if not FIRST_DAY <= enrollment.exit_date <= LAST_DAY:
        return RejectionReason.IMPOSSIBLE_DATE, f"exit_date: outside {FIRST_DAY} to {LAST_DAY}"
    if enrollment.exit_date < enrollment.entry_date:
        return RejectionReason.OUT_OF_RANGE, "exit_date: before entry_date"
    return None

"""What schools said: marks, completed rolls, enrolments, calendars, contacts, and what could not be accepted."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Base64Bytes, Field

from contracts.events.envelope import Contract, District, Event, School, SchoolYear, SourceVersion


class Category(StrEnum):
    """What the mark says. Whether the day counts as absent is flagging's rule (State Board, September 2022)."""

    IN_ATTENDANCE = "in_attendance"
    TARDY = "tardy"
    EARLY_DEPARTURE = "early_departure"
    SCHOOL_ACTIVITY = "school_activity"
    REMOTE_LEARNING = "remote_learning"
    IN_SCHOOL_SUSPENSION = "in_school_suspension"
    ALTERNATIVE_EDUCATION = "alternative_education"
    EXCUSED_ABSENCE = "excused_absence"
    UNEXCUSED_ABSENCE = "unexcused_absence"
    MENTAL_HEALTH_DAY = "mental_health_day"
    OUT_OF_SCHOOL_SUSPENSION = "out_of_school_suspension"
    EXPULSION = "expulsion"


Track = Annotated[
    str, Field(min_length=1, max_length=40, description="students of a school with a calendar of their own: seniors")
]


class Feed(StrEnum):
    """How a district reports; declared by it, never guessed."""

    EXCEPTIONS = "exceptions"
    FULL = "full"


class Grade(StrEnum):
    """PK is outside chronic absence (K-12) and inside attendance rates (PK-12)."""

    PK = "PK"
    K = "K"
    G1 = "1"
    G2 = "2"
    G3 = "3"
    G4 = "4"
    G5 = "5"
    G6 = "6"
    G7 = "7"
    G8 = "8"
    G9 = "9"
    G10 = "10"
    G11 = "11"
    G12 = "12"


class AttendanceRecorded(Event):
    """A mark: one student's attendance at one school on one school day. The largest source version stands.

    `present_parts / day_parts` is the exact share of the day's instructional time spent in attendance, in the
    source's own units (193 of 387 minutes, 1 of 2 halves); both are absent where the source gives no share.
    """

    EVENT_TYPE: ClassVar[str] = "attendance.recorded.v1"
    event_type: Literal["attendance.recorded.v1"]
    school: School
    student_key: UUID
    school_day: date
    category: Category
    present_parts: int | None = Field(default=None, ge=0, le=100_000)
    day_parts: int | None = Field(default=None, ge=1, le=100_000)
    source_version: SourceVersion
    receipt: UUID | None = None


class AttendanceRetracted(Event):
    """The source took a mark back. Present where the day's roll is complete, not counted where it isn't."""

    EVENT_TYPE: ClassVar[str] = "attendance.retracted.v1"
    event_type: Literal["attendance.retracted.v1"]
    school: School
    student_key: UUID
    school_day: date
    source_version: SourceVersion
    receipt: UUID | None = None


class RollCompleted(Event):
    """A school has taken attendance for a day: written to every partition, behind the marks it closes."""

    EVENT_TYPE: ClassVar[str] = "roll.completed.v1"
    event_type: Literal["roll.completed.v1"]
    school: School
    school_day: date
    feed: Feed


class EnrollmentChanged(Event):
    """One stint of a student at a school, newest source version. `withdrawn` means the stint never was.

    `exit_day_counts` is the feed's convention for the exit date. `person_key` joins a mover across districts.
    """

    EVENT_TYPE: ClassVar[str] = "enrollment.changed.v1"
    event_type: Literal["enrollment.changed.v1"]
    school: School
    student_key: UUID
    person_key: UUID | None = None
    household_key: UUID | None = None
    stint: str = Field(min_length=1, max_length=64, description="keyed hash of the source's enrolment id")
    grade: Grade
    entry_date: date
    exit_date: date | None = None
    exit_day_counts: bool = False
    withdrawn: bool = False
    number_key: UUID | None = Field(
        default=None, description="the student_key of marks that name this child by the state's number alone"
    )
    track: Track | None = None
    source_version: SourceVersion


class SchoolCalendarChanged(Event):
    """All school days of a school's year, newest source version; written to every partition.

    A snow day or a make-up day is a new version of the whole calendar.
    """

    EVENT_TYPE: ClassVar[str] = "school-calendar.changed.v1"
    event_type: Literal["school-calendar.changed.v1"]
    school: School
    school_year: SchoolYear
    feed: Feed
    school_days: tuple[date, ...] = Field(max_length=366)
    track: Track | None = Field(default=None, description="of these students alone; absent: the school's own calendar")
    source_version: SourceVersion


class StudentName(Contract):
    """The name by which scheduling and visitors address a student."""

    student_key: UUID
    given_name: str = Field(min_length=1, max_length=80)
    family_name: str = Field(min_length=1, max_length=80)


class HouseholdContactChanged(Event):
    """How to reach a household. The only event with personal data; scheduling and visitlog alone may read it."""

    EVENT_TYPE: ClassVar[str] = "household-contact.changed.v1"
    event_type: Literal["household-contact.changed.v1"]
    household_key: UUID
    contact_name: str = Field(min_length=1, max_length=160)
    phones: tuple[str, ...] = Field(default=(), max_length=8)
    address: str | None = Field(default=None, max_length=300)
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")
    interpreter_needed: bool = False
    students: tuple[StudentName, ...] = Field(default=(), max_length=30)
    source_version: SourceVersion


class RejectionReason(StrEnum):
    """Why a landed record could not become a fact. A closed list: districts build on it."""

    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    TOO_LARGE = "too_large"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_RECORD_TYPE = "unknown_record_type"
    UNKNOWN_CATEGORY = "unknown_category"
    IMPOSSIBLE_DATE = "impossible_date"
    FOREIGN_DISTRICT = "foreign_district"


Run = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
"""The first and the last of places that follow each other."""


class AttendanceRejected(Event):
    """A landed record that could not become a fact, its bytes unaltered, on its way back to its district.

    `detail` names the field and the rule it broke, never a value. `original` is what the district sent.

    Where very many go back, those of one log with one reason and detail are told together: `original` is the first
    one's, `also_offsets` are the places of the others in the log, `also_rows` those of other marks of the same landed
    roll, each as a run from its first to its last.
    """

    EVENT_TYPE: ClassVar[str] = "attendance.rejected.v1"
    event_type: Literal["attendance.rejected.v1"]
    reason: RejectionReason
    detail: str = Field(max_length=300)
    landing_topic: str
    landing_partition: int = Field(ge=0)
    landing_offset: int = Field(ge=0)
    row: int | None = Field(default=None, ge=1)
    receipt: UUID | None = None
    original: Base64Bytes
    also_offsets: list[Run] | None = None
    also_rows: list[Run] | None = None


class RollRows(Contract):
    """The rows of one upload that one record of `rolls` told."""

    offset: int = Field(ge=0)
    accepted: int = Field(ge=0)
    duplicate: int = Field(ge=0)


class ReceiptProgressed(Event):
    """How many rows of one upload flagging has now dealt with: effective, or duplicate (already known)."""

    EVENT_TYPE: ClassVar[str] = "receipt.progressed.v1"
    event_type: Literal["receipt.progressed.v1"]
    receipt: UUID
    accepted: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    rolls: list[RollRows] | None = Field(
        default=None,
        description="the same by the offset in `rolls` that told the rows: each is counted once, however often and in"
        " whatever company flagging reads it; what was told before rows were told apart has none",
    )


__all__ = [
    "AttendanceRecorded",
    "AttendanceRejected",
    "AttendanceRetracted",
    "Category",
    "District",
    "EnrollmentChanged",
    "Feed",
    "Grade",
    "HouseholdContactChanged",
    "ReceiptProgressed",
    "RejectionReason",
    "RollCompleted",
    "SchoolCalendarChanged",
    "StudentName",
]

"""What arrives: just the fields flagging uses, checked strictly, so that PostgreSQL can cast every value of a batch."""

import re
from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

FIRST_SCHOOL_DAY = date(2000, 7, 1)
LAST_SCHOOL_DAY = date(2101, 6, 30)
"""What ingest lets in, or ever did; a date outside is a typing error, not a school day."""

Text = Annotated[str, Meta(min_length=1, max_length=64)]
Version = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Parts = Annotated[int, Meta(ge=0, le=100_000)]
DayParts = Annotated[int, Meta(ge=1, le=100_000)]
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


class Completion(Struct, gc=False):
    """The school's word that a roll is complete."""

    feed: Feed
    version: Version
    landed: Version | None = None


class LandingPlaces(Struct, gc=False):
    """Where marks landed: offset, place and number of each run of them. None: they were counted long ago."""

    log: Annotated[str, Meta(min_length=1, max_length=200)]
    runs: list[
        tuple[Annotated[int, Meta(ge=0, lt=2**51)], Annotated[int, Meta(ge=0, le=2000)], Annotated[int, Meta(ge=1)]]
    ]


class RollRecorded(Struct, tag_field="event_type", tag="roll.recorded.v1", omit_defaults=True, gc=False):
    """A school's marks of one day, as columns."""

    district: Text
    school: Text
    school_day: date
    students: Annotated[list[str], Meta(max_length=1000)]
    categories: str
    versions: Version | list[Version]
    parts: list[tuple[Parts, DayParts] | None] | None = None
    receipts: dict[UUID, list[int]] | None = None
    completed: Completion | None = None
    landed: LandingPlaces | None = None


class Roll(NamedTuple):
    """A school's marks of one day, read: a place in each column, one mark."""

    district: str
    school: str
    school_day: date
    students: list[bytes]
    codes: bytes
    versions: list[int]
    parts: list[tuple[int, int] | None] | None
    receipts: dict[UUID, list[int]] | None
    completed: Completion | None
    landed: LandingPlaces | None


class RollReopened(Struct, tag_field="event_type", tag="roll.reopened.v1", gc=False):
    """A day is not complete after all."""

    district: Text
    school: Text
    school_day: date
    feed: Feed
    version: Version
    landed: Version | None = None


class FeedDeclared(Struct, tag_field="event_type", tag="feed.declared.v1", gc=False):
    """How a district reports, or one of its schools."""

    district: Text
    feed: Feed
    version: Version
    school: Text | None = None
    closing: Literal["completion", "third_school_day"] = "completion"
    rosters: bool = True


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
    number_key: UUID | None = None
    track: Text | None = None


class SchoolCalendarChanged(Struct, tag_field="event_type", tag="school-calendar.changed.v1", gc=False):
    """A calendar's newest version."""

    district: Text
    school: Text
    school_year: Annotated[int, Meta(ge=2000, le=2100)]
    feed: Feed
    school_days: Annotated[list[date], Meta(max_length=366)]
    source_version: Version
    track: Text | None = None


class AbsencePolicy(Struct, gc=False):
    """The part of a district's policy by which flagging goes."""

    min_enrolled_days: Annotated[int, Meta(ge=1)] = 10
    early_warning: bool = True
    early_absences: Annotated[int, Meta(ge=1)] = 2
    early_days: Annotated[int, Meta(ge=1)] = 20
    accumulator: Literal["district", "school"] = "district"
    fractions_of_a_day: bool = False
    in_school_suspension_is_absence: bool = False


class RetentionPolicy(Struct, frozen=True, gc=False):
    """The part of it that says for how many years what lies here is kept; 0: for as long as nobody says."""

    disclosures_years: Annotated[int, Meta(ge=0)] = 0
    dead_letters_years: Annotated[int, Meta(ge=0)] = 0


class PolicyDecided(Struct, tag_field="event_type", tag="district-policy.decided.v1", gc=False):
    """A district's next policy."""

    district: Text
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    effective_from: date
    absence: AbsencePolicy
    retention: RetentionPolicy = RetentionPolicy()


class StatusChanged(Struct, tag_field="event_type", tag="district-status.changed.v1", gc=False):
    """Whether what is computed for a district is told."""

    district: Text
    status: Literal["rehearsal", "live", "paused"]
    version: Annotated[int, Meta(ge=1)]


class TransferConfirmed(Struct, tag_field="event_type", tag="transfer.confirmed.v1", gc=False):
    """Two districts confirmed that a person moved: the year before follows."""

    district: Text
    from_district: Text
    person_key: UUID


class HouseholdForgotten(Struct, tag_field="event_type", tag="household.forgotten.v1", gc=False):
    """A family's data is to be gone: nothing here is of a family."""

    district: Text
    occurred_at: datetime


class HouseholdKnownAgain(Struct, tag_field="event_type", tag="household.known-again.v1", gc=False):
    """A family is known again: nothing here is of a family."""

    district: Text
    occurred_at: datetime


class StudentForgotten(Struct, tag_field="event_type", tag="student.forgotten.v1", gc=False):
    """A child's data is to be gone: from that day there is no enrolment any more, or there never was one."""

    district: Text
    student_key: UUID
    version: Version
    occurred_at: datetime
    figures: Literal["kept", "erased"] = "kept"


class StudentKnownAgain(Struct, tag_field="event_type", tag="student.known-again.v1", gc=False):
    """A child is enrolled again."""

    district: Text
    student_key: UUID
    version: Version
    forgotten_version: Version
    forgotten_at: datetime
    figures: Literal["kept", "erased"] = "kept"


class LandingCut(Struct, tag_field="event_type", tag="landing.cut.v1", gc=False):
    """A landing log was cut: none is read here."""

    district: Text
    occurred_at: datetime


class DistrictEnded(Struct, tag_field="event_type", tag="district.ended.v1", gc=False):
    """A district's contract is over."""

    district: Text
    occurred_at: datetime


Forgetting = (
    HouseholdForgotten | HouseholdKnownAgain | StudentForgotten | StudentKnownAgain | LandingCut | DistrictEnded
)
Mark = AttendanceRecorded | AttendanceRetracted
OfADay = Roll | Mark | RollCompleted | RollReopened
Decision = PolicyDecided | StatusChanged | TransferConfirmed
_OfSchools = Roll | Mark | RollCompleted | RollReopened | FeedDeclared | EnrollmentChanged | SchoolCalendarChanged
Fact = _OfSchools | Decision | Forgetting

_WITHOUT_A_DAY = (
    SchoolCalendarChanged, FeedDeclared, PolicyDecided, StatusChanged, TransferConfirmed,
    HouseholdForgotten, HouseholdKnownAgain, StudentForgotten, StudentKnownAgain, LandingCut, DistrictEnded,
)  # fmt: skip

# Not behind another backslash, which makes it a text that merely looks so.
_UNSTORABLE = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?:0000|[dD][89a-fA-F])")
_UUID_LENGTH, _DASHES = 36, "----"
_LETTERS = b"xabcdefghijkl"
_NO_CODE = 255
_CODE_OF_LETTER = bytes(_LETTERS.index(letter) if letter in _LETTERS else _NO_CODE for letter in range(256))


class FactRefused(ValueError):
    """This value can't be a fact; the message names the rule, never the value."""


_decoder = msgspec.json.Decoder(
    RollRecorded
    | AttendanceRecorded
    | AttendanceRetracted
    | RollCompleted
    | RollReopened
    | FeedDeclared
    | EnrollmentChanged
    | SchoolCalendarChanged
    | PolicyDecided
    | StatusChanged
    | TransferConfirmed
    | Forgetting
)


def parse(value: bytes) -> Fact:
    """Read one event; FactRefused says which rule it broke."""
    # One byte first: a fact without any escape, nearly every one, is done with it.
    if b"\\" in value and _UNSTORABLE.search(value):
        # PostgreSQL stores neither NUL nor half a surrogate pair, and one such value would fail its whole batch.
        raise FactRefused("an escape that no text may hold")
    try:
        fact = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FactRefused(_rule(error)) from None
    if isinstance(fact, _WITHOUT_A_DAY):
        return fact
    day = fact.entry_date if isinstance(fact, EnrollmentChanged) else fact.school_day
    if not FIRST_SCHOOL_DAY <= day <= LAST_SCHOOL_DAY:
        raise FactRefused(f"a date outside {FIRST_SCHOOL_DAY} to {LAST_SCHOOL_DAY}")
    return _roll(fact) if isinstance(fact, RollRecorded) else fact


def _roll(roll: RollRecorded) -> Roll:
    """Read the columns. Raises FactRefused unless each has a place for each student, and keys and letters in it."""
    marks = len(roll.students)
    try:
        digits = bytes.fromhex("".join(roll.students).replace("-", ""))
    except ValueError:
        raise FactRefused("a student who is no UUID") from None
    if (
        len(digits) != 16 * marks
        or " " in "".join(roll.students)
        or any(len(student) != _UUID_LENGTH or student[8:24:5] != _DASHES for student in roll.students)
    ):
        raise FactRefused("a student who is no UUID")
    codes = roll.categories.encode("latin-1", errors="replace").translate(_CODE_OF_LETTER)
    if _NO_CODE in codes:
        raise FactRefused("not one of the allowed values")
    versions = roll.versions if isinstance(roll.versions, list) else [roll.versions] * marks
    if not len(codes) == len(versions) == marks or (roll.parts is not None and len(roll.parts) != marks):
        raise FactRefused("a column with more or fewer places than students")
    if any(not 0 <= place < marks for places in (roll.receipts or {}).values() for place in places):
        raise FactRefused("a receipt of a place that is not there")
    if roll.landed and roll.landed.runs and sum([of_run for _, _, of_run in roll.landed.runs]) != marks:
        raise FactRefused("more or fewer landing places than students")
    students = [digits[at : at + 16] for at in range(0, len(digits), 16)]
    return Roll(
        roll.district, roll.school, roll.school_day, students, codes, versions, roll.parts, roll.receipts,
        roll.completed, roll.landed,
    )  # fmt: skip


def _rule(error: Exception) -> str:
    message = str(error)
    # msgspec quotes a value in one message only: an unknown tag or enum value.
    return "not one of the allowed values" if "Invalid" in message and "'" in message else message[:200]

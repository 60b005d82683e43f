"""What a district sends: the landing records, and the rules a well-formed one can still break. No I/O, no clock."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec

from contracts.calendar import first_day_of, last_day_of
from contracts.events import Category, Closing, Feed, FileVersions, Grade, RejectionReason

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
CODE_PATTERN = r"^\w(?:[\w .-]*[\w.-])?\Z"
"""What a district's own codes are made of: they stand in other people's spreadsheets, addresses and pages."""
School = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=CODE_PATTERN)]
Track = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=CODE_PATTERN)]
StoredSchool = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
"""Where a record only takes back what stands: codes that came before the pattern must not stand for ever."""
Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
SchoolYear = Annotated[int, msgspec.Meta(ge=2000, le=2200)]
PresentParts = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
DayParts = Annotated[int, msgspec.Meta(ge=1, le=100_000)]

CODE_RULE = (
    "not a code: letters, digits, underscore, and behind the first of them also hyphen, point and space. "
    "Send the code that your system has for it"
)
_CODE = re.compile(CODE_PATTERN)

FIRST_DAY = date(2000, 7, 1)
LAST_DAY = date(2101, 6, 30)
"""What everybody behind ingest can hold. An attendance day must also lie in the years that are open: `door.Door`."""

MAX_MARKS_OF_A_LANDED_ROLL = 2_000
"""A larger school sends a day as several rolls, the last one complete. Each bad mark goes back by itself: a bound."""


class Rejection(Exception):
    """A landed record can't become a fact. `detail` names the field and the rule it broke, never a value.

    Its bytes go back with it, unless they are not to be `kept` anywhere: of whom a family wants to be forgotten.
    """

    def __init__(self, reason: RejectionReason, detail: str, *, kept: bool = True) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.kept = kept


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
    # So that marks and retractions make the same columns.
    category: ClassVar[None] = None
    present_parts: ClassVar[None] = None
    day_parts: ClassVar[None] = None
    school: StoredSchool
    date: date
    version: Version
    student: Number | None = None
    state_student: Number | None = None
    district: str | None = None


STATES = "state:"
"""Before a state's number where a mark of a landed roll names a student by that."""


class RollMark(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One mark of a landed roll, an array: student, category, version, and where told present parts and day parts.

    The state's number is written `state:9001`, which is also what is hashed for it everywhere.
    """

    state_student: ClassVar[None] = None
    student: Number
    category: Category
    version: Version
    present_parts: PresentParts | None = None
    day_parts: DayParts | None = None


class RollHead(msgspec.Struct, tag_field="type", tag="roll", frozen=True, kw_only=True):
    """What a landed roll says beside its marks. `version` is its completion's."""

    school: School
    date: date
    feed: Feed | None = None
    complete: bool = False
    version: Version | None = None
    district: str | None = None


class Roll(RollHead, tag_field="type", tag="roll", frozen=True, kw_only=True):
    marks: Annotated[list[RollMark], msgspec.Meta(max_length=MAX_MARKS_OF_A_LANDED_ROLL)]


class RollInPieces(RollHead, tag_field="type", tag="roll", frozen=True, kw_only=True):
    """The same with its marks unread, to find the bad ones among them."""

    marks: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_MARKS_OF_A_LANDED_ROLL)]


class RefusedMark(NamedTuple):
    """A mark of a landed roll that goes back alone: its place, from 1, what is wrong, and its own bytes."""

    place: int
    rejection: Rejection
    original: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOfRoll:
    """A landed roll some of whose marks go back. `places` are those of the marks that go on, from 1."""

    roll: Roll
    places: Sequence[int]
    refused: Sequence[RefusedMark]

    @property
    def district(self) -> str | None:
        """The district that the roll names."""
        return self.roll.district


class CompletedRoll(msgspec.Struct, tag_field="type", tag="roll_completed", frozen=True, gc=False):
    school: School
    date: date
    feed: Feed
    version: Version | None = None
    district: str | None = None


class ReopenedRoll(msgspec.Struct, tag_field="type", tag="roll_reopened", frozen=True, gc=False):
    school: School
    date: date
    feed: Feed
    version: Version | None = None
    district: str | None = None


class DeclaredFeed(msgspec.Struct, tag_field="type", tag="feed", frozen=True, gc=False):
    feed: Feed
    school: School | None = None
    closing: Closing = Closing.COMPLETION
    rosters: bool = True
    file_versions: FileVersions = FileVersions.VERSIONS
    version: Version | None = None
    district: str | None = None


class Enrollment(msgspec.Struct, tag_field="type", tag="enrollment", frozen=True, gc=False):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    school: StoredSchool
    grade: Grade
    entry_date: date
    version: Version
    student: Number | None = None
    state_student: Number | None = None
    household: Number | None = None
    exit_date: date | None = None
    exit_day_counts: bool = False
    withdrawn: bool = False
    track: Track | None = None
    again: bool = False
    district: str | None = None


class Calendar(msgspec.Struct, tag_field="type", tag="calendar", frozen=True):
    school: School
    school_year: SchoolYear
    feed: Feed
    school_days: Annotated[list[date], msgspec.Meta(max_length=366)]
    version: Version
    track: Track | None = None
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
    again: bool = False
    district: str | None = None


Figures = Literal["kept", "erased"]


class ForgottenHousehold(msgspec.Struct, tag_field="type", tag="household_forgotten", frozen=True, gc=False):
    household: Number
    version: Version
    figures: Figures | None = None
    district: str | None = None


class ForgottenStudent(msgspec.Struct, tag_field="type", tag="student_forgotten", frozen=True, gc=False):
    version: Version
    student: Number | None = None
    state_student: Number | None = None
    figures: Figures | None = None
    district: str | None = None


Written = (
    Mark
    | Retraction
    | Roll
    | CompletedRoll
    | ReopenedRoll
    | DeclaredFeed
    | Enrollment
    | Calendar
    | Household
    | ForgottenHousehold
    | ForgottenStudent
)
"""What a record may be, told apart by `type`."""

Landed = Written | PartOfRoll

Mistake = tuple[RejectionReason, str]
"""Which rule a record breaks, and a detail without any value."""

_STATES_NUMBER: Mistake = (
    RejectionReason.OUT_OF_RANGE,
    f"student: a number that begins with {STATES} is the state's, and stands in state_student",
)
"""An enrolment may join the district's number and the state's, never two of the state's: one of them would be a child
whose days are another's."""
_NOBODY: Mistake = (RejectionReason.MISSING_FIELD, "student or state_student: one of them is needed")


def mistake_in_mark(mark: Mark) -> Mistake | None:
    """Name the rule a well-formed mark breaks, or None. Whether its day may come in is `door.Door`'s to say."""
    if mark.student is None and mark.state_student is None:
        return _NOBODY
    if mark.present_parts is None and mark.day_parts is None:
        return None
    return mistake_in_parts(mark.present_parts, mark.day_parts)


def mistake_in_parts(present_parts: int | None, day_parts: int | None) -> Mistake | None:
    """Name the rule that the two shares of a day break, or None."""
    if (present_parts is None) != (day_parts is None):
        return RejectionReason.MISSING_FIELD, "present_parts, day_parts: both or neither"
    if present_parts is not None and day_parts is not None and present_parts > day_parts:
        return RejectionReason.OUT_OF_RANGE, "present_parts: more than day_parts"
    return None


def mistake_in(record: Landed) -> Mistake | None:
    """Name the rule a well-formed record breaks by itself, on whatever day it lands, or None."""
    match record:
        case Mark():
            return mistake_in_mark(record)
        case Retraction() | ForgottenStudent():
            return _NOBODY if record.student is None and record.state_student is None else None
        case Roll():
            return _mistake_in_roll(record)
        case PartOfRoll():
            return _mistake_in_roll(record.roll)
        case DeclaredFeed():
            return _mistake_in_feed(record)
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


def _mistake_in_roll(roll: Roll) -> Mistake | None:
    if roll.complete and roll.feed is None:
        return RejectionReason.MISSING_FIELD, "feed: a complete roll says how its school reports"
    return None


def _mistake_in_feed(feed: DeclaredFeed) -> Mistake | None:
    if feed.feed is not Feed.FULL and (not feed.rosters or feed.closing is not Closing.COMPLETION):
        return RejectionReason.OUT_OF_RANGE, "feed: only a full one may come without rosters or without completions"
    return None


def _mistake_in_enrollment(enrollment: Enrollment) -> Mistake | None:
    if enrollment.student is None and enrollment.state_student is None:
        return _NOBODY
    if not enrollment.withdrawn and not _CODE.match(enrollment.school):
        return RejectionReason.OUT_OF_RANGE, f"school: {CODE_RULE}"
    # One that was taken in before this was refused may be withdrawn.
    if enrollment.student is not None and enrollment.student.startswith(STATES) and not enrollment.withdrawn:
        return _STATES_NUMBER
    if enrollment.exit_date is None:
        return None
    # An exit date foreseen for years ahead (graduation) is ordinary: only what nobody can hold goes back.
    if not FIRST_DAY <= enrollment.exit_date <= LAST_DAY:
        return RejectionReason.IMPOSSIBLE_DATE, f"exit_date: outside {FIRST_DAY} to {LAST_DAY}"
    if enrollment.exit_date < enrollment.entry_date:
        return RejectionReason.OUT_OF_RANGE, "exit_date: before entry_date"
    return None

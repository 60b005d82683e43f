"""What arrives by the thousand: just the fields that reporting uses, checked strictly, without pydantic.

Through pydantic a student's month cost more than its row in PostgreSQL.
"""

import re
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from contracts.events import DISTRICT_PATTERN
from services.runtime.delivery.subscription import Undecodable

District = Annotated[str, Meta(pattern=DISTRICT_PATTERN)]
School = Annotated[str, Meta(min_length=1, max_length=40)]
Version = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Days = Annotated[int, Meta(ge=0, le=366)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Grade = Literal["PK", "K", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]
Level = Literal["none", "at_risk", "chronically_absent", "severely_chronically_absent"]
Students = Annotated[list[UUID], Meta(min_length=1, max_length=1000)]


class StudentMonthsTallied(Struct, tag_field="event_type", tag="student-months.tallied.v1"):
    """A school's student months: one place in each column, one student."""

    district: District
    school: School
    month: date
    students: Students
    persons: list[UUID | None]
    grades: list[Grade | None]
    days_enrolled: list[Days]
    days_absent: list[Days]
    version: Version
    entered: list[date | None] | None = None
    missing_rolls: Count | None = None

    @property
    def columns(self) -> tuple[list[Any], ...]:
        """The columns, the students first."""
        entered = self.entered or [None] * len(self.students)
        return self.students, self.persons, self.grades, self.days_enrolled, self.days_absent, entered


class StudentMonthTallied(Struct, tag_field="event_type", tag="student-month.tallied.v1"):
    """One student's month, as months were told before they came by school; nobody was joined then."""

    district: District
    school: School
    month: date
    student_key: UUID
    days_enrolled: Days
    days_absent: Days
    version: Version
    grade: Grade | None = None
    missing_rolls: Count | None = None

    @property
    def columns(self) -> tuple[list[Any], ...]:
        """The columns of a school's months with one place."""
        return [self.student_key], [None], [self.grade], [self.days_enrolled], [self.days_absent], [None]


class FlagFiguresUpdated(Struct, tag_field="event_type", tag="absence-flag.figures-updated.v1"):
    """Where a school's flagged students stand: one place in each column, one student."""

    district: District
    school: School
    school_year: Annotated[int, Meta(ge=2000, le=2200)]
    as_of: date
    students: Students
    grades: list[Grade | None]
    levels: list[Level]
    versions: list[Version]

    @property
    def columns(self) -> tuple[list[Any], ...]:
        """The columns, the students first."""
        return self.students, self.versions, self.grades, self.levels


class SchoolDayTallied(Struct, tag_field="event_type", tag="school-day.tallied.v2"):
    """A whole school's day."""

    district: District
    school: School
    school_day: date
    students_counted: Count
    students_absent: Count
    version: Version


Months = StudentMonthsTallied | StudentMonthTallied
Fact = Months | FlagFiguresUpdated | SchoolDayTallied


class _Told(Struct):
    event_type: str


_READERS: dict[str, msgspec.json.Decoder[Fact]] = {
    str(fact.__struct_config__.tag): msgspec.json.Decoder(fact)
    for fact in (StudentMonthsTallied, StudentMonthTallied, FlagFiguresUpdated, SchoolDayTallied)
}
_told = msgspec.json.Decoder(_Told)


def read(value: bytes) -> Fact | None:
    """Read a fact that comes by the thousand; None where it is another one, or no event at all.

    Raises Undecodable: the rule that is broken, never the value.
    """
    try:
        reader = _READERS.get(_told.decode(value).event_type)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if reader is None:
        return None
    if b"\\u0000" in value:
        raise Undecodable("nul_character", "text can't hold a NUL character")
    try:
        fact = reader.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable("not_an_event", _rule(error)) from None
    if isinstance(fact, StudentMonthsTallied | FlagFiguresUpdated) and len({*map(len, fact.columns)}) > 1:
        raise Undecodable("not_an_event", "every column has as many places as students")
    return fact


def _rule(error: Exception) -> str:
    # msgspec quotes the value in some of its messages.
    return re.sub(r"'.*'", "...", str(error))[:200]

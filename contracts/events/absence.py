"""What flagging concluded: flags raised, changed and cleared; student months and school days tallied."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from contracts.events.attendance import Grade
from contracts.events.envelope import Contract, Days, Event, School, SchoolYear


class Level(StrEnum):
    """How far it has gone. `at_risk` is the programme's *begun to miss*; 10 % and 20 % are the other lines."""

    NONE = "none"
    AT_RISK = "at_risk"
    CHRONICALLY_ABSENT = "chronically_absent"
    SEVERELY_CHRONICALLY_ABSENT = "severely_chronically_absent"


class Accumulator(StrEnum):
    """Over which enrolments the days are counted (CGS 10-198c: school; the state's practice: district, state)."""

    SCHOOL = "school"
    DISTRICT = "district"
    STATE = "state"


StandardPolicy = Annotated[
    bool | None,
    Field(
        description="judged by the standard policy, for want of a decision of the district's: `policy_version` is 1, "
        "and so is the district's first; absent in what was told before"
    ),
]


class RecentDays(Contract):
    """The last days behind a flag, counted in the student's own counted days: how it has been going lately."""

    last_20_absent: int = Field(ge=0, le=20)
    last_20_counted: int = Field(ge=0, le=20)
    before_20_absent: int = Field(ge=0, le=20, description="of the twenty counted days before those")
    before_20_counted: int = Field(ge=0, le=20)
    spell: Days = Field(description="counted days missed in a row, up to the last one; 0 when the last was attended")


class _Flag(Event):
    school: School
    student_key: UUID
    household_key: UUID | None = None
    grade: Grade | None = None
    school_year: SchoolYear
    accumulator: Accumulator
    level: Level
    previous_level: Level
    days_absent: Days
    days_enrolled: Days
    as_of: date = Field(description="the last counted school day behind the figures")
    policy_version: int = Field(ge=1)
    standard_policy: StandardPolicy = None
    version: int = Field(ge=1, description="grows with each change of this student's flag in this school year")
    absent_days: tuple[date, ...] = Field(default=(), description="the days behind `days_absent`, oldest first")
    corrected_days: tuple[date, ...] = Field(
        default=(), description="days that stood behind the former version as absent and do no longer"
    )
    recent: RecentDays | None = None
    chronic_last_year: bool | None = None
    new_to_district: bool | None = Field(default=None, description="enrolled in another district before")
    first_reached: date | None = Field(
        default=None,
        description="school day on which the level was reached by today's facts, whenever they came; absent at `none`",
    )
    first_flagged: date | None = Field(
        default=None,
        description="school day of this year on which any level was reached first by today's facts; absent at `none`",
    )


class FlagRaised(_Flag):
    """A student without a flag has one now."""

    EVENT_TYPE: ClassVar[str] = "absence-flag.raised.v1"
    event_type: Literal["absence-flag.raised.v1"]


class FlagChanged(_Flag):
    """A flagged student crossed from one level to another, or belongs to another household than was told before."""

    EVENT_TYPE: ClassVar[str] = "absence-flag.changed.v1"
    event_type: Literal["absence-flag.changed.v1"]


class FlagCleared(_Flag):
    """A flagged student has no flag any more; `level` is `none`."""

    EVENT_TYPE: ClassVar[str] = "absence-flag.cleared.v1"
    event_type: Literal["absence-flag.cleared.v1"]


class FlagFiguresUpdated(Event):
    """Today's figures of a school's students who are flagged, or were at any time this year; no line was crossed.

    As columns: one place in each, one student. Told whenever a day of theirs closes or is corrected, so that a number
    on a screen is today's and not that of the last crossing. `versions` go on counting where the flag's events do.
    """

    EVENT_TYPE: ClassVar[str] = "absence-flag.figures-updated.v1"
    event_type: Literal["absence-flag.figures-updated.v1"]
    school: School
    school_year: SchoolYear
    as_of: date = Field(description="the last counted school day behind the figures of all of them")
    policy_version: int = Field(ge=1)
    standard_policy: StandardPolicy = None
    students: tuple[UUID, ...] = Field(min_length=1, max_length=1000)
    grades: tuple[Grade | None, ...]
    levels: tuple[Level, ...]
    versions: tuple[int, ...]
    days_absent: tuple[Days, ...]
    days_enrolled: tuple[Days, ...]
    absent_days: tuple[tuple[date, ...], ...] = Field(description="the days behind `days_absent`, oldest first")
    recent: tuple[RecentDays, ...]
    chronic_last_year: tuple[bool | None, ...]

    @model_validator(mode="after")
    def _one_place_one_student(self) -> Self:
        columns = (
            self.grades, self.levels, self.versions, self.days_absent, self.days_enrolled, self.absent_days,
            self.recent, self.chronic_last_year,
        )  # fmt: skip
        if any(len(column) != len(self.students) for column in columns):
            raise ValueError("every column has as many places as students")
        return self


class StudentMonthTallied(Event):
    """One student's month at one school; published when the month closes and again when corrected."""

    EVENT_TYPE: ClassVar[str] = "student-month.tallied.v1"
    event_type: Literal["student-month.tallied.v1"]
    school: School
    student_key: UUID
    grade: Grade | None = None
    month: date = Field(description="first day of the month")
    days_enrolled: Days
    days_absent: Days
    missing_rolls: int | None = Field(
        default=None,
        ge=0,
        description="school days of it without a complete roll; absent where no calendar is known",
    )
    version: int = Field(ge=1)


class SchoolDayTallied(Event):
    """One partition's part of a school's day; a reader adds the newest version of all parts."""

    EVENT_TYPE: ClassVar[str] = "school-day.tallied.v1"
    event_type: Literal["school-day.tallied.v1"]
    school: School
    school_day: date
    part: int = Field(ge=0)
    students_counted: int = Field(ge=0)
    students_absent: int = Field(ge=0)
    version: int = Field(ge=1)


class StudentMonthsTallied(Event):
    """A school's student months, published when its month closes; again, for those students alone, when corrected.

    As columns: one place in each, one student. A student's month at the school stands as the largest version says.
    """

    EVENT_TYPE: ClassVar[str] = "student-months.tallied.v1"
    event_type: Literal["student-months.tallied.v1"]
    school: School
    month: date = Field(description="first day of the month")
    students: tuple[UUID, ...] = Field(min_length=1, max_length=1000)
    persons: tuple[UUID | None, ...] = Field(description="joins a mover across districts; absent where no number did")
    grades: tuple[Grade | None, ...]
    days_enrolled: tuple[Days, ...]
    days_absent: tuple[Days, ...]
    entered: tuple[date | None, ...] | None = Field(
        default=None,
        description="the last day up to the month's end on which each entered this school: of two schools of the "
        "district a student counts at the one entered later; nothing where no enrolment stands",
    )
    missing_rolls: int | None = Field(
        default=None,
        ge=0,
        description="school days of it without a complete roll; absent where no calendar is known",
    )
    version: int = Field(ge=1)

    @model_validator(mode="after")
    def _one_place_one_student(self) -> Self:
        entered = self.students if self.entered is None else self.entered
        columns = (self.persons, self.grades, self.days_enrolled, self.days_absent, entered)
        if any(len(column) != len(self.students) for column in columns):
            raise ValueError("every column has as many places as students")
        return self


class SchoolDayTalliedV2(Event):
    """A whole school's day: what v1 told in parts. The largest version stands, and any v2 before every part of v1."""

    EVENT_TYPE: ClassVar[str] = "school-day.tallied.v2"
    event_type: Literal["school-day.tallied.v2"]
    school: School
    school_day: date
    students_counted: int = Field(ge=0)
    students_absent: int = Field(ge=0)
    version: int = Field(ge=1)

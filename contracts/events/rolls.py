"""The roll as one fact: the marks that a school sent for one school day, as columns, and that the day is complete."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from contracts.events.attendance import Category, Feed
from contracts.events.envelope import Contract, Event, School, SourceVersion

MAX_STUDENTS_OF_A_ROLL = 1_000
"""A larger roll is told as several records, its completion with the last: a record stays under 64 KB."""

TAKEN_BACK = "x"
"""The letter of a mark that its source took back."""

CATEGORY_LETTERS = dict(zip(Category, "abcdefghijkl", strict=True))
"""How a roll spells its categories, a letter for each mark; a letter keeps its meaning for ever."""

Parts = tuple[Annotated[int, Field(ge=0, le=100_000)], Annotated[int, Field(ge=1, le=100_000)]]


LandingPlace = Annotated[
    int,
    Field(
        ge=0,
        description="where the word landed, if it came without a version and has its moment for one: "
        "of two of the same moment the later stands",
    ),
]


class Completion(Contract):
    """The school's word that a roll is complete, and how it reports that day. The largest version stands."""

    feed: Feed
    version: SourceVersion
    landed: LandingPlace | None = None


Run = tuple[Annotated[int, Field(ge=0, lt=2**51)], Annotated[int, Field(ge=0, le=2_000)], Annotated[int, Field(ge=1)]]
"""Offset, place and number of marks. Place 0: so many records, one behind the other, each a mark. Else marks of the one
landed roll at that offset, from this place on, the first being 1."""


class LandingPlaces(Contract):
    """Where marks landed, in their order: who reads them counts each landing place once, however often it is told.

    `log` names the landing topic, its partition, and which of the logs that bore that name. No `runs`: these marks were
    counted before anybody noted where marks land, and count no more.
    """

    log: str = Field(min_length=1, max_length=200)
    runs: tuple[Run, ...]


class RollRecorded(Event):
    """Marks of one school on one school day, of each student and version any number: the largest version stands.

    As columns: one place in each, one mark. `versions` is one number where all marks agree; `parts` are (present, of
    the day) in the source's own units, absent where no mark has any; `receipts` name the uploads that marks came with,
    by place; `landed` says where they landed. With `completed` the day's roll is complete, behind every mark that
    landed before.
    """

    EVENT_TYPE: ClassVar[str] = "roll.recorded.v1"
    event_type: Literal["roll.recorded.v1"]
    school: School
    school_day: date
    students: tuple[UUID, ...] = Field(max_length=MAX_STUDENTS_OF_A_ROLL)
    categories: str = Field(pattern=f"^[a-l{TAKEN_BACK}]*$", description="a letter for each mark, `x`: taken back")
    versions: SourceVersion | tuple[SourceVersion, ...]
    parts: tuple[Parts | None, ...] | None = None
    receipts: dict[UUID, tuple[int, ...]] | None = None
    completed: Completion | None = None
    landed: LandingPlaces | None = None

    @model_validator(mode="after")
    def _one_place_one_mark(self) -> Self:
        marks = len(self.students)
        per_mark = [self.categories, *(each for each in (self.versions, self.parts) if isinstance(each, tuple))]
        if any(len(column) != marks for column in per_mark):
            raise ValueError("every column has as many places as students")
        if any(not 0 <= place < marks for places in (self.receipts or {}).values() for place in places):
            raise ValueError("a receipt names places of this roll")
        if self.landed and self.landed.runs and sum(of_run for _, _, of_run in self.landed.runs) != marks:
            raise ValueError("every mark landed somewhere")
        return self


class RollReopened(Event):
    """A school's day is not complete after all; the newest of completions and reopenings stands."""

    EVENT_TYPE: ClassVar[str] = "roll.reopened.v1"
    event_type: Literal["roll.reopened.v1"]
    school: School
    school_day: date
    feed: Feed
    version: SourceVersion
    landed: LandingPlace | None = None


class Closing(StrEnum):
    """How the rolls of a feed close: by the school's word, or, where none is sent, three school days later."""

    COMPLETION = "completion"
    THIRD_SCHOOL_DAY = "third_school_day"


class FileVersions(StrEnum):
    """How a feed's files speak of what came before: by versions, as snapshots of their days, or in order of arrival."""

    VERSIONS = "versions"
    SNAPSHOTS = "snapshots"
    ARRIVAL = "arrival"


class FeedDeclared(Event):
    """How a district reports, or one of its schools; what a roll says of itself comes before it, a calendar after.

    Without rosters a mark of a full feed enrols its student for its day.
    """

    EVENT_TYPE: ClassVar[str] = "feed.declared.v1"
    event_type: Literal["feed.declared.v1"]
    school: School | None = Field(default=None, description="absent: every school of the district")
    feed: Feed
    closing: Closing = Closing.COMPLETION
    rosters: bool = True
    file_versions: FileVersions = FileVersions.VERSIONS
    version: SourceVersion

    @model_validator(mode="after")
    def _full_where_it_must_be(self) -> Self:
        if self.feed is not Feed.FULL and (not self.rosters or self.closing is not Closing.COMPLETION):
            raise ValueError("only a full feed may come without rosters or without completions")
        return self

"""What is forgotten on request: of a family, of a child, of a district; and what keeps it forgotten.

The newest word on each stands on a compacted topic for ever, so that no older file, no restored backup and no table
that is made anew brings back what was to be gone. It names nobody: a key says nothing without the district's secret.
"""

from datetime import datetime
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

from pydantic import Field

from contracts.events.envelope import Event, Moment, SourceVersion

Figures = Literal["kept", "erased"]
"""What becomes of numbers under a pseudonym: kept (flags, requests and counts stand) or erased with the rest."""


class HouseholdForgotten(Event):
    """A family's data is to be gone: how to reach them, what was written of them, where they were sent from.

    Nothing of a version up to this one comes back, however often it is sent.
    """

    EVENT_TYPE: ClassVar[str] = "household.forgotten.v1"
    event_type: Literal["household.forgotten.v1"]
    household_key: UUID
    version: SourceVersion
    figures: Figures = "kept"


class StudentForgotten(Event):
    """A child's data is to be gone: the name wherever it stands, and where figures are erased, days and flags too."""

    EVENT_TYPE: ClassVar[str] = "student.forgotten.v1"
    event_type: Literal["student.forgotten.v1"]
    student_key: UUID
    version: SourceVersion
    figures: Figures = "kept"


class HouseholdKnownAgain(Event):
    """A district said of a forgotten family, in a later version and in so many words, that it knows them again."""

    EVENT_TYPE: ClassVar[str] = "household.known-again.v1"
    event_type: Literal["household.known-again.v1"]
    household_key: UUID
    version: SourceVersion
    forgotten_version: SourceVersion = Field(description="what was forgotten up to this one stays so")
    forgotten_at: Moment
    figures: Figures = "kept"


class StudentKnownAgain(Event):
    """A district enrolled a forgotten child again, in a later version and in so many words."""

    EVENT_TYPE: ClassVar[str] = "student.known-again.v1"
    event_type: Literal["student.known-again.v1"]
    student_key: UUID
    version: SourceVersion
    forgotten_version: SourceVersion = Field(description="what was forgotten up to this one stays so")
    forgotten_at: Moment
    figures: Figures = "kept"


class LandingCut(Event):
    """A landing log was cut behind the place up to which all had its effect: copies of forgotten data stood there."""

    EVENT_TYPE: ClassVar[str] = "landing.cut.v1"
    event_type: Literal["landing.cut.v1"]
    topic: str
    partition: int = Field(ge=0)
    log: int = Field(ge=0, description="which log of that name: when its first record was appended, in ms since 1970")
    before: int = Field(ge=0, description="the first offset that is left")


class DistrictEnded(Event):
    """A district's contract is over: everything of it is to be gone, wherever it is kept."""

    EVENT_TYPE: ClassVar[str] = "district.ended.v1"
    event_type: Literal["district.ended.v1"]


Forgetting = (
    HouseholdForgotten | StudentForgotten | HouseholdKnownAgain | StudentKnownAgain | LandingCut | DistrictEnded
)


Kind = Literal["household", "student"]


class Said(NamedTuple):
    """What an event says of somebody: up to which version they are forgotten, since which they are known again.

    `again` is -1 where no version said so.
    """

    kind: Kind
    key: UUID
    district: str
    version: int
    again: int
    figures: str
    forgotten_at: datetime


def said_of(event: Event) -> Said | None:
    """Read what an event says of somebody who is, or was, forgotten; None where it says something else."""
    match event:
        case HouseholdForgotten():
            return _forgotten("household", event.household_key, event)
        case StudentForgotten():
            return _forgotten("student", event.student_key, event)
        case HouseholdKnownAgain():
            return _known_again("household", event.household_key, event)
        case StudentKnownAgain():
            return _known_again("student", event.student_key, event)
    return None


def _forgotten(kind: Kind, key: UUID, said: HouseholdForgotten | StudentForgotten) -> Said:
    return Said(kind, key, said.district, said.version, -1, said.figures, said.occurred_at)


def _known_again(kind: Kind, key: UUID, said: HouseholdKnownAgain | StudentKnownAgain) -> Said:
    return Said(kind, key, said.district, said.forgotten_version, said.version, said.figures, said.forgotten_at)


def key_of(said: Forgetting) -> str:
    """Name of whom or of what it tells: the record's key, so that the newest word on each is kept."""
    match said:
        case HouseholdForgotten() | HouseholdKnownAgain():
            return f"household/{said.household_key}"
        case StudentForgotten() | StudentKnownAgain():
            return f"student/{said.student_key}"
        case LandingCut():
            return f"cut/{said.topic}/{said.partition}"
        case DistrictEnded():
            return f"district/{said.district}"

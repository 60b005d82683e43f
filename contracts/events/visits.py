"""What people agreed and did: requests, appointments, answers, visits, logs."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.events.absence import Level
from contracts.events.attendance import Grade
from contracts.events.envelope import Contract, Event, Moment, School

VisitorId = Annotated[str, Field(min_length=1, max_length=64, description="a visitor's code, never a name")]
Pair = Annotated[tuple[str, str], Field(description="two different visitors, by visitor id")]


class Place(StrEnum):
    """Where a LEAP visit may be."""

    HOME = "home"
    COMMUNITY = "community"


class FlaggedStudent(Contract):
    """A student of the household and what the flag said when the request was made."""

    student_key: UUID
    school: School
    grade: Grade | None = None
    level: Level
    days_absent: int = Field(ge=0, le=366)
    days_enrolled: int = Field(ge=0, le=366)


class _Request(Event):
    household_key: UUID
    request_id: UUID
    version: int = Field(ge=1, description="counts the changes of the request")


class VisitRequested(_Request):
    """A household now waits in the scheduling queue: one open request, however many siblings are flagged."""

    EVENT_TYPE: ClassVar[str] = "visit.requested.v1"
    event_type: Literal["visit.requested.v1"]
    school: School
    students: tuple[FlaggedStudent, ...] = Field(min_length=1)


class VisitRequestWithdrawn(_Request):
    """No flag stands behind the request any more, and nobody had acted on it."""

    EVENT_TYPE: ClassVar[str] = "visit-request.withdrawn.v1"
    event_type: Literal["visit-request.withdrawn.v1"]


class Stage(StrEnum):
    """Where a request stands between the flag and its end."""

    NEW = "new"
    CLAIMED = "claimed"
    CONTACTING = "contacting"
    AGREED = "agreed"
    PAIRED = "paired"
    CONFIRMED = "confirmed"
    VISITED = "visited"
    LOGGED = "logged"
    CLOSED = "closed"


class ClosingReason(StrEnum):
    """Why nothing more is to be done for a request."""

    DECLINED = "declined"
    NOT_REACHED = "not_reached"
    MOVED = "moved"
    NO_LONGER_FLAGGED = "no_longer_flagged"
    GOAL_MET = "goal_met"


class RequestStageChanged(_Request):
    """A request went from one stage to another, forwards or back."""

    EVENT_TYPE: ClassVar[str] = "visit-request.stage-changed.v1"
    event_type: Literal["visit-request.stage-changed.v1"]
    stage: Stage
    previous_stage: Stage
    closed_because: ClosingReason | None = None


class RequestReopened(_Request):
    """A closed request waits again, because the family or a coordinator wishes it."""

    EVENT_TYPE: ClassVar[str] = "visit-request.reopened.v1"
    event_type: Literal["visit-request.reopened.v1"]
    wished_by: Literal["family", "coordinator"]


class ContactAttempted(_Request):
    """Somebody tried to reach the family; what was said there stays with scheduling."""

    EVENT_TYPE: ClassVar[str] = "contact.attempted.v1"
    event_type: Literal["contact.attempted.v1"]
    way: Literal["call", "text", "letter", "in_person"]
    reached: bool


class VisitorChanged(Event):
    """A visitor's newest version: a person trained to visit, by code and never by name."""

    EVENT_TYPE: ClassVar[str] = "visitor.changed.v1"
    event_type: Literal["visitor.changed.v1"]
    visitor_id: VisitorId
    affiliation: Literal["school", "district", "agency"]
    languages: tuple[str, ...] = Field(min_length=1, description="BCP 47 tags")
    leap101_valid_from: date
    leap101_valid_until: date
    active: bool = True
    version: int = Field(ge=1)


class FamilyAgreed(_Request):
    """The family wishes a visit."""

    EVENT_TYPE: ClassVar[str] = "family.agreed.v1"
    event_type: Literal["family.agreed.v1"]


class FamilyDeclined(_Request):
    """The family does not wish a visit; no reason is asked and none is kept."""

    EVENT_TYPE: ClassVar[str] = "family.declined.v1"
    event_type: Literal["family.declined.v1"]


class _Appointment(_Request):
    visit_id: UUID
    starts_at: Moment
    place: Place
    language: str = "en"
    pair: Pair
    minutes: int = Field(default=60, ge=5, le=480, description="how long it is meant to be")
    interpreter: bool = False
    follow_up: bool = False


class VisitScheduled(_Appointment):
    """Time, place and pair are agreed."""

    EVENT_TYPE: ClassVar[str] = "visit.scheduled.v1"
    event_type: Literal["visit.scheduled.v1"]


class VisitRescheduled(_Appointment):
    """An agreed visit has another time, place or pair; the former one stays in the history."""

    EVENT_TYPE: ClassVar[str] = "visit.rescheduled.v1"
    event_type: Literal["visit.rescheduled.v1"]


class VisitCancelled(_Request):
    """An agreed visit will not be."""

    EVENT_TYPE: ClassVar[str] = "visit.cancelled.v1"
    event_type: Literal["visit.cancelled.v1"]
    visit_id: UUID


class Outcome(StrEnum):
    """What happened at the door."""

    TOOK_PLACE = "took_place"
    FAMILY_NOT_HOME = "family_not_home"
    RESCHEDULED_AT_THE_DOOR = "rescheduled_at_the_door"
    DECLINED_TODAY = "declined_today"
    UNSAFE_LEFT = "unsafe_left"


class _Log(Event):
    household_key: UUID
    visit_id: UUID
    log_id: UUID = Field(description="the client's own id of the log: a second delivery is the same log")


class Effort(Contract):
    """What one visitor's part in a visit took, for pay: time there, time and way on the road."""

    visitor_id: VisitorId
    minutes: int = Field(ge=0, le=1440)
    travel_minutes: int = Field(default=0, ge=0, le=1440)
    mileage_tenths: int = Field(default=0, ge=0, le=100_000, description="tenths of a mile")


class VisitCompleted(_Log):
    """A visit took place: in person, both visitors present."""

    EVENT_TYPE: ClassVar[str] = "visit.completed.v1"
    event_type: Literal["visit.completed.v1"]
    outcome: Literal[Outcome.TOOK_PLACE]
    started_at: Moment
    ended_at: Moment
    pair: Pair
    place: Place | None = None
    language: str | None = None
    efforts: tuple[Effort, ...] = ()


class VisitAttempted(_Log):
    """The visitors were there and no visit took place."""

    EVENT_TYPE: ClassVar[str] = "visit.attempted.v1"
    event_type: Literal["visit.attempted.v1"]
    outcome: Literal[
        Outcome.FAMILY_NOT_HOME, Outcome.RESCHEDULED_AT_THE_DOOR, Outcome.DECLINED_TODAY, Outcome.UNSAFE_LEFT
    ]
    started_at: Moment
    pair: Pair
    place: Place | None = None
    efforts: tuple[Effort, ...] = ()


class LogAmended(_Log):
    """Something was added to a log; what stood there stays."""

    EVENT_TYPE: ClassVar[str] = "visit-log.amended.v1"
    event_type: Literal["visit-log.amended.v1"]
    amendment: int = Field(ge=1)


class FollowUpPromised(_Log):
    """The next visit or call that a log promises."""

    EVENT_TYPE: ClassVar[str] = "follow-up.promised.v1"
    event_type: Literal["follow-up.promised.v1"]
    due: date
    kind: Literal["visit", "call"]


class ReferralMade(_Log):
    """A connection to a resource was offered."""

    EVENT_TYPE: ClassVar[str] = "referral.made.v1"
    event_type: Literal["referral.made.v1"]
    resource: str = Field(pattern=r"^[a-z_]{1,40}$", description="a code from the district's list, never free text")
    status: Literal["offered", "accepted", "handed_over", "connected", "closed"]
    referral_id: UUID | None = Field(default=None, description="the same through all of a referral's stages")

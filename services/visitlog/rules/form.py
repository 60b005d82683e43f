"""The home visitor log: what may stand in it, how long, and in which words. Strict: an unknown field is refused."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from contracts import events
from contracts.texts import seen_or_nothing

LONG_TEXT = 4000
SHORT_TEXT = 500
AMENDMENT_TEXT = 20_000
"""Room for a whole log that came second."""
MOST_PROMISES = 10
MOST_REFERRALS = 20
MOST_EXTRAS = 20
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
# Line feeds and tabs are typed by people; other control characters are not, and a database takes neither NUL nor half
# of a surrogate pair.
_UNTYPED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _typed(text: Any) -> Any:
    """Bring text to one spelling: browsers send line ends as CR LF, programs as LF. What nobody can see is nothing."""
    return seen_or_nothing(text.replace("\r\n", "\n").strip() if isinstance(text, str) else text)


def _without_control(text: str) -> str:
    if _UNTYPED.search(text):
        raise ValueError("control characters are not text")
    return text


def _in_our_time(moment: datetime) -> datetime:
    """Refuse moments that no visit can have had, before anything counts with them."""
    # The year first: the ends of the calendar can't be compared across time zones.
    if not _EARLIEST.year < moment.year < _LATEST.year:
        raise ValueError("a date in this century is needed")
    return moment.astimezone(UTC)


def _some_day(day: date) -> date:
    if not _EARLIEST.year < day.year < _LATEST.year:
        raise ValueError("a date in this century is needed")
    return day


_Text = (BeforeValidator(_typed), AfterValidator(_without_control))
LongText = Annotated[str, Field(min_length=1, max_length=LONG_TEXT), *_Text]
ShortText = Annotated[str, Field(min_length=1, max_length=SHORT_TEXT), *_Text]
AmendmentText = Annotated[str, Field(min_length=1, max_length=AMENDMENT_TEXT), *_Text]
Moment = Annotated[AwareDatetime, AfterValidator(_in_our_time)]
Day = Annotated[date, AfterValidator(_some_day)]
PersonId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Outcome(StrEnum):
    """What happened at the door."""

    TOOK_PLACE = "took_place"
    FAMILY_NOT_HOME = "family_not_home"
    RESCHEDULED_AT_THE_DOOR = "rescheduled_at_the_door"
    DECLINED_TODAY = "declined_today"
    UNSAFE_LEFT = "unsafe_left"


class Place(StrEnum):
    """Where a LEAP visit may be."""

    HOME = "home"
    COMMUNITY = "community"


# What other services are told: their lists are closed, so an outcome that they can't read yet is told as one they can.
OUTCOME_TOLD: Mapping[Outcome, events.Outcome] = {
    Outcome.TOOK_PLACE: events.Outcome.TOOK_PLACE,
    Outcome.FAMILY_NOT_HOME: events.Outcome.FAMILY_NOT_HOME,
    Outcome.RESCHEDULED_AT_THE_DOOR: events.Outcome.RESCHEDULED_AT_THE_DOOR,
    Outcome.DECLINED_TODAY: events.Outcome.DECLINED_TODAY,
    Outcome.UNSAFE_LEFT: events.Outcome.UNSAFE_LEFT,
}
PLACE_TOLD: Mapping[Place, events.Place] = {Place.HOME: events.Place.HOME, Place.COMMUNITY: events.Place.COMMUNITY}


class ReferralStatus(StrEnum):
    """How far a connection to a resource has come. Only forwards; closed may follow on each."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    HANDED_OVER = "handed_over"
    CONNECTED = "connected"
    CLOSED = "closed"


class Participant(StrEnum):
    """Who of the family took part: a role, never a name."""

    MOTHER = "mother"
    FATHER = "father"
    GUARDIAN = "guardian"
    GRANDPARENT = "grandparent"
    STUDENT = "student"
    SIBLING = "sibling"
    OTHER = "other"


class Obstacle(StrEnum):
    """What gets in the way of school, in the four kinds that the field knows."""

    BARRIERS = "barriers"  # health, transport, housing, safety
    AVERSION = "aversion"  # school hurts: fear, bullying, failing
    DISENGAGEMENT = "disengagement"  # school does not matter enough
    MISCONCEPTIONS = "misconceptions"  # excused days and early grades count too


class Left(StrEnum):
    """What the visitors left or did."""

    ATTENDANCE_TRACKER = "attendance_tracker"
    RESOURCE_LIST = "resource_list"
    HEALTH_INSURANCE = "health_insurance"
    SUPPLIES = "supplies"
    FORM_FILLED_IN = "form_filled_in"
    OTHER = "other"


class Whose(StrEnum):
    """Who takes the agreed small step, or keeps a promise."""

    FAMILY = "family"
    STUDENT = "student"
    SCHOOL = "school"
    VISITORS = "visitors"


class Part(BaseModel):
    """What is sent: a field that isn't known is refused, not dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Voice(Part):
    """What the family said, in their words as far as can be."""

    strengths: LongText | None = None
    hopes: LongText | None = None
    going_well: LongText | None = None
    in_the_way: LongText | None = None
    obstacles: Annotated[tuple[Obstacle, ...], Field(max_length=len(Obstacle))] = ()


class SmallStep(Part):
    """One small thing that was agreed, and whose it is."""

    what: ShortText
    whose: Whose = Whose.FAMILY


class Promise(Part):
    """Something that was promised, with its day."""

    what: ShortText
    due: Day
    whose: Whose = Whose.VISITORS


class FollowUp(Part):
    """The next visit or call that the visitors promised."""

    due: Day
    kind: Literal["visit", "call"]


class Referral(Part):
    """A connection to a resource, by the district's own code."""

    resource: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    status: ReferralStatus = ReferralStatus.OFFERED


class LoggedEffort(Part):
    """One visitor's part; `minutes` not said means the visit's own length."""

    visitor_id: PersonId
    minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    travel_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    mileage_tenths: Annotated[int, Field(ge=0, le=10_000)] = 0


class Log(Part):
    """The log, as a phone sends it. Only what stands before `voice` is for a visit that did not take place."""

    OF_A_VISIT: ClassVar = (
        "voice", "took_part", "language", "interpreter", "left", "left_note", "small_step", "promises", "extra",
    )  # fmt: skip

    visit_id: UUID
    outcome: Outcome
    started_at: Moment
    ended_at: Moment | None = None
    pair: Annotated[list[PersonId], Field(min_length=2, max_length=2)]
    place: Place | None = None
    efforts: Annotated[tuple[LoggedEffort, ...], Field(max_length=2)] = ()
    follow_up: FollowUp | None = None
    referrals: Annotated[list[Referral], Field(max_length=MOST_REFERRALS)] = []
    private_note: LongText | None = None
    written_at: Moment | None = None

    voice: Voice = Voice()
    took_part: Annotated[tuple[Participant, ...], Field(max_length=len(Participant))] = ()
    language: Language | None = None
    interpreter: Literal["none", "in_person", "by_phone"] | None = None
    left: Annotated[tuple[Left, ...], Field(max_length=len(Left))] = ()
    left_note: ShortText | None = None
    small_step: SmallStep | None = None
    promises: Annotated[tuple[Promise, ...], Field(max_length=MOST_PROMISES)] = ()
    extra: Annotated[dict[Code, ShortText], Field(max_length=MOST_EXTRAS)] = {}

    def in_one_spelling(self) -> str:
        """Give equal text for equal logs, however the client spelt times and defaults.

        `written_at` is the phone's own note of when; it makes no log another one.
        """
        return json.dumps(self.model_dump(mode="json", exclude={"written_at"}), sort_keys=True)

    def without_words(self) -> "Log":
        """Give what two people did, and none of what the family said or anybody wrote down of them."""
        emptied = dict.fromkeys(("private_note", "left_note", "small_step"))
        return self.model_copy(
            update={**emptied, "voice": Voice(), "promises": (), "extra": {}, "took_part": (), "left": ()}
        )

    def of_a_visit_only(self) -> bool:
        """Tell whether something stands here that only a visit that took place can have."""
        return any(getattr(self, name) != Log.model_fields[name].default for name in self.OF_A_VISIT)

    def texts(self) -> Iterator[str]:
        """Give every free text, for the check on texts that repeat. They go nowhere else."""
        voice = self.voice
        step = self.small_step.what if self.small_step else None
        for text in (voice.strengths, voice.hopes, voice.going_well, voice.in_the_way, self.left_note, step):
            if text:
                yield text


class AmendmentCommand(Part):
    """What is added to a log; with an id of the client's own it is added once, however often it is sent."""

    note: AmendmentText
    amendment_id: UUID | None = None


class ReferralCommand(Part):
    """How far a referral has come."""

    status: ReferralStatus


class SafetyMinutes(IntEnum):
    """After how long somebody who has not said that all is well is looked for."""

    HOUR = 60
    HOUR_AND_A_HALF = 90
    TWO_HOURS = 120
    THREE_HOURS = 180


class SafetyCommand(Part):
    """Within how many minutes a visitor will be out."""

    minutes: SafetyMinutes


class Nothing(Part):
    """What is sent with a command that says it all by itself."""


def efforts_of(log: Log) -> tuple[events.Effort, ...]:
    """Say what the visit took of each of the pair; who is not mentioned was there and did not travel."""
    length = log.ended_at - log.started_at if log.ended_at is not None else timedelta(0)
    minutes_there = max(0, min(1440, length // timedelta(minutes=1)))
    said = {effort.visitor_id: effort for effort in log.efforts}
    efforts = []
    for visitor_id in log.pair:
        effort = said.get(visitor_id, LoggedEffort(visitor_id=visitor_id))
        efforts.append(
            events.Effort(
                visitor_id=visitor_id,
                minutes=minutes_there if effort.minutes is None else effort.minutes,
                travel_minutes=effort.travel_minutes,
                mileage_tenths=effort.mileage_tenths,
            )
        )
    return tuple(efforts)


def referral_id_of(log_id: UUID, position: int) -> UUID:
    """Name a log's referral, from 0: the same through all of its stages, and when the log is sent again."""
    return uuid5(log_id, f"referral {position}")

"""The rules between a flag and a visit. No clock, no database: every rule is told what time it is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts import events
from contracts.calendar import local_day
from services.scheduling.rules.wording import N_, say

CLAIM_LEASE = timedelta(minutes=15)


class Stage(StrEnum):
    """Where a request stands. Claimed is also a lease: when it lapses, the request is free for anyone again."""

    NEW = "new"  # -> claimed, or closed when the flag clears
    CLAIMED = "claimed"  # -> contacting, agreed, closed; new when released
    CONTACTING = "contacting"  # -> agreed, closed
    AGREED = "agreed"  # -> paired, contacting, closed
    PAIRED = "paired"  # -> confirmed, visited, agreed (cancelled, attempted), contacting, closed
    CONFIRMED = "confirmed"  # -> visited, paired (moved), agreed (cancelled, attempted), contacting, closed
    VISITED = "visited"  # -> logged
    LOGGED = "logged"  # -> contacting on the day of the follow-up, paired again, closed
    CLOSED = "closed"  # -> reopened by family or coordinator: contacting


QUEUED = frozenset({Stage.NEW, Stage.CLAIMED, Stage.CONTACTING})
"""The stages of a request that waits for the family's word: what a scheduler takes up next."""

AHEAD = frozenset({Stage.PAIRED, Stage.CONFIRMED})
"""The stages of a request with a visit that lies ahead."""


class What(StrEnum):
    """What happened to a request, as its history says it."""

    OPENED = "opened"
    JOINED = "joined"
    FLAG_RAISED = "flag_raised"
    FLAG_CLEARED = "flag_cleared"
    WITHDRAWN = "withdrawn"
    CLAIMED = "claimed"
    TAKEN_OVER = "taken_over"
    RELEASED = "released"
    CONTACTED = "contacted"
    APPOINTED = "appointed"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    OFFERED = "offered"
    VISITED = "visited"
    LOGGED = "logged"
    VISIT_ATTEMPTED = "visit_attempted"
    FOLLOW_UP_DUE = "follow_up_due"
    CLOSED = "closed"
    REOPENED = "reopened"
    UNDONE = "undone"


class Way(StrEnum):
    """How somebody tried to reach a family."""

    CALL = "call"
    TEXT = "text"
    LETTER = "letter"
    IN_PERSON = "in_person"


class Answer(StrEnum):
    """What came of one contact with the family."""

    AGREED = "agreed"
    COMMUNITY = "community"  # agreed, in a community place
    LATER = "later"  # not now: ask again on a day they named
    PHONE = "phone"  # a call instead of a visit
    DECLINED = "declined"
    MOVED = "moved"
    NOT_REACHED = "not_reached"


class ClosingReason(StrEnum):
    """Why nothing more is to be done."""

    DECLINED = "declined"
    NOT_REACHED = "not_reached"
    MOVED = "moved"
    NO_LONGER_FLAGGED = "no_longer_flagged"
    GOAL_MET = "goal_met"
    YEAR_OVER = "year_over"


# What other services are told: their list is closed, so a reason that they can't read yet is told as one they can.
BECAUSE_TOLD: Mapping[ClosingReason, events.ClosingReason] = {
    ClosingReason.DECLINED: events.ClosingReason.DECLINED,
    ClosingReason.NOT_REACHED: events.ClosingReason.NOT_REACHED,
    ClosingReason.MOVED: events.ClosingReason.MOVED,
    ClosingReason.NO_LONGER_FLAGGED: events.ClosingReason.NO_LONGER_FLAGGED,
    ClosingReason.GOAL_MET: events.ClosingReason.GOAL_MET,
    ClosingReason.YEAR_OVER: events.ClosingReason.NO_LONGER_FLAGGED,
}


class TakeOverReason(StrEnum):
    """Why somebody takes a request from its holder. A closed list: free words could name a family."""

    HOLDER_AWAY = "holder_away"
    AGREED_WITH_HOLDER = "agreed_with_holder"
    FAMILY_WAITS = "family_waits"
    OTHER = "other"


class VisitState(StrEnum):
    """What became of an agreed visit. A completed one stays completed, whatever else is logged."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    ATTEMPTED = "attempted"
    COMPLETED = "completed"


class Refusal(Exception):
    """A change that can't be made. The message says what to do instead, and never names a family.

    `msgid` is English with named gaps for `values`, so that a page can say it in its reader's language; `code` stays.
    """

    code = "refused"

    def __init__(self, msgid: str, **values: Any) -> None:
        self.msgid = msgid
        self.values = values
        super().__init__(say(msgid, values))


class RequestUnknown(Refusal):
    """There is no request with this id in the districts of whoever asks."""

    code = "request_unknown"

    def __init__(self) -> None:
        super().__init__(N_("there is no request with this id in your districts; look for it in the queue"))


class NotAllowed(Refusal):
    """The person's role does not do this."""

    code = "not_allowed"

    def __init__(self) -> None:
        super().__init__(N_("your role may not do this; ask a scheduler or the coordinator of the district"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A household in the queue, as it stands."""

    request_id: UUID
    household_key: UUID
    district: str
    school: str
    stage: Stage
    closed_because: str | None
    version: int
    claimed_by: str | None
    claimed_until: datetime | None
    contact_again_on: date | None
    flags_cleared_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None = None
    points: int = 0
    pinned: bool = False
    promise_due: date | None = None
    wish: str | None = None
    contacted_at: datetime | None = None
    tries_from: datetime | None = None
    aged_from: date | None = None
    due_on: date | None = None
    waiting_on_family: tuple[tuple[date, date], ...] = ()
    follow_up_on: date | None = None
    respected_until: date | None = None

    def is_held(self, as_of: datetime) -> bool:
        """Tell whether somebody's lease runs."""
        return self.claimed_by is not None and self.claimed_until is not None and self.claimed_until > as_of


class StaleVersion(Refusal):
    """Somebody changed the request in between: read it again and decide anew. `request` is how it stands by now."""

    code = "stale_version"

    def __init__(self, *, request: Request, yours: int) -> None:
        self.request = request
        self.yours = yours
        super().__init__(
            N_("the request is at version %(current)s by now, you read %(yours)s; look at it again, then decide"),
            current=request.version,
            yours=yours,
        )


class HeldByAnother(Refusal):
    """Another scheduler holds the claim."""

    code = "held_by_another"

    def __init__(self, *, claimed_by: str, claimed_until: datetime, zone: tzinfo) -> None:
        self.claimed_by = claimed_by
        self.claimed_until = claimed_until
        super().__init__(
            N_("%(claimed_by)s holds this request until %(until)s; take the next one, or take it over with a reason"),
            claimed_by=claimed_by,
            until=claimed_until.astimezone(zone).strftime("%H:%M"),
        )


class NotPossible(Refusal):
    """The request's stage or the rules do not allow this; `code` says which rule."""

    def __init__(self, code: str, msgid: str, **values: Any) -> None:
        self.code = code
        super().__init__(msgid, **values)


def check_may_change(*, request: Request, actor: str, version: int, as_of: datetime, zone: tzinfo) -> None:
    """Raise HeldByAnother while somebody else's lease runs, and StaleVersion unless `version` is current.

    The holder comes first: a scheduler who came second should hear who was faster, not a number.
    """
    if request.is_held(as_of) and request.claimed_by != actor:
        assert request.claimed_by is not None
        assert request.claimed_until is not None
        raise HeldByAnother(claimed_by=request.claimed_by, claimed_until=request.claimed_until, zone=zone)
    if request.version != version:
        raise StaleVersion(request=request, yours=version)


def check_open(request: Request) -> None:
    """Raise NotPossible on a closed request."""
    if request.stage is Stage.CLOSED:
        raise NotPossible("closed", N_("the request is closed; the family or a coordinator can have it reopened"))


def stage_after_answer(*, stage: Stage, answer: Answer) -> Stage:
    """Say where the family's answer leads.

    A decline closes at every stage: the programme is voluntary to the end. "Not reached" takes no agreement away,
    and neither does "later" once a time is agreed: moving that visit is a change of its own.
    """
    if answer in (Answer.DECLINED, Answer.MOVED):
        return Stage.CLOSED
    if answer in (Answer.AGREED, Answer.COMMUNITY):
        return stage if stage in AHEAD else Stage.AGREED
    if answer is Answer.NOT_REACHED:
        return Stage.CONTACTING if stage in QUEUED else stage
    return stage if stage in AHEAD else Stage.CONTACTING


def check_contact_again(*, answer: Answer, contact_again_on: date | None, today: date) -> None:
    """Raise NotPossible unless "later" comes with a day that lies ahead, and nothing else comes with one."""
    if answer is not Answer.LATER:
        if contact_again_on is not None:
            raise NotPossible("date_without_later", N_("only the answer 'later' has a day; leave it out or answer so"))
        return
    if contact_again_on is None:
        raise NotPossible("later_needs_date", N_("ask the family when to get in touch again, and enter that day"))
    if not today < contact_again_on <= today + timedelta(days=366):
        raise NotPossible("later_in_past", N_("the day to get in touch again must lie within the year ahead"))


def check_not_reached(*, tries: Sequence[datetime], tries_needed: int, zone: tzinfo) -> None:
    """Raise NotPossible unless enough tries were made, on two days at least and at two times of day.

    Morning ends at noon, afternoon at five: a family that works days is not called only by day.
    """
    if len(tries) < tries_needed:
        raise NotPossible(
            "tries_missing",
            N_("%(tries)s of %(needed)s tries were made; try again, at another time of day"),
            tries=len(tries),
            needed=tries_needed,
        )
    if len({local_day(moment, zone=zone) for moment in tries}) < 2:
        raise NotPossible("tries_same_day", N_("all tries were on one day; try again on another"))
    if len({part_of_day(moment, zone=zone) for moment in tries}) < 2:
        raise NotPossible(
            "tries_same_hours", N_("all tries were at the same time of day; try a morning, an afternoon or an evening")
        )


def part_of_day(moment: datetime, *, zone: tzinfo) -> str:
    """Name the part of the local day: morning to noon, afternoon to five, evening."""
    hour = moment.astimezone(zone).hour
    return "morning" if hour < 12 else "afternoon" if hour < 17 else "evening"


def check_may_close(
    *,
    request: Request,
    because: ClosingReason,
    tries: Sequence[datetime],
    tries_needed: int,
    flags_stand: bool,
    zone: tzinfo,
) -> None:
    """Raise NotPossible unless the reason holds: enough varied tries, or no flag left."""
    check_open(request)
    if because is ClosingReason.DECLINED:
        raise NotPossible("decline_is_an_answer", N_("a decline is the family's answer; record the contact with it"))
    if because is ClosingReason.YEAR_OVER:
        raise NotPossible("year_closes", N_("the new year's first roll closes for this reason; choose another one"))
    if because is ClosingReason.NOT_REACHED:
        if request.stage not in QUEUED:
            raise NotPossible("family_was_reached", N_("the family was reached; choose another reason"))
        check_not_reached(tries=tries, tries_needed=tries_needed, zone=zone)
    if because is ClosingReason.NO_LONGER_FLAGGED and flags_stand:
        raise NotPossible("flags_stand", N_("a flag still stands behind this request; choose another reason"))


def check_may_reopen(*, request: Request, wished_by: str, role: str) -> None:
    """Raise NotPossible unless the request is closed and the family, or a coordinator, wishes it open."""
    if request.stage is not Stage.CLOSED:
        raise NotPossible("not_closed", N_("the request is open; there is nothing to reopen"))
    if wished_by == "coordinator" and role != "coordinator":
        raise NotPossible("reopen_coordinator", N_("only a coordinator may wish it; is it the family's wish?"))


def stage_after_visit(*, state: VisitState, declined_today: bool) -> Stage:
    """Say where a logged visit leads its request: an attempt goes back to the family or to a new date."""
    if state is VisitState.COMPLETED:
        return Stage.LOGGED
    return Stage.CONTACTING if declined_today else Stage.AGREED


def stage_on_follow_up_day(*, promised: bool, flagged: bool) -> Stage:
    """Say where a logged request goes on the day of its follow-up: back to the family, or to its end.

    A promise is kept whatever the figures say; without one, follow-ups go on while a flag stands.
    """
    return Stage.CONTACTING if promised or flagged else Stage.CLOSED


class PromiseDue(StrEnum):
    """What becomes of a promised visit or call on its day."""

    RETURNS = "returns"  # the open request goes back to the family, on top of the queue
    OPENED = "opened"  # the request is closed: another one opens
    KEPT = "kept"  # the family has agreed to the next visit already
    DROPPED = "dropped"  # the family has declined since, or nobody knows the household


def on_promise_due(*, request: Request | None, today: date) -> PromiseDue:
    """Say what a promise does on its day to the household's open, or newest, request."""
    if request is None:
        return PromiseDue.DROPPED
    if request.stage is Stage.CLOSED:
        respected = request.respected_until is not None and request.respected_until > today
        return PromiseDue.DROPPED if respected else PromiseDue.OPENED
    agreed = request.stage is Stage.AGREED or request.stage in AHEAD
    return PromiseDue.KEPT if agreed else PromiseDue.RETURNS


UNDOABLE = frozenset({What.CLAIMED, What.TAKEN_OVER, What.RELEASED, What.CONTACTED, What.CLOSED, What.REOPENED})
"""What a person did to a request alone. What was said to a family stays in the record; its effect can be undone."""


def check_may_undo(
    *, what: What, actor: str | None, person: str, at: datetime, undo_minutes: int, as_of: datetime
) -> None:
    """Raise NotPossible unless the last change is one's own, of a kind that can be undone, and recent.

    A contact itself stays in the record: what is undone is what was entered as its answer.
    """
    if what not in UNDOABLE or actor != person:
        raise NotPossible("nothing_to_undo", N_("the last change is not yours to undo; look at the history"))
    if as_of - at > timedelta(minutes=undo_minutes):
        raise NotPossible(
            "undo_too_late",
            N_("it is longer than %(minutes)s minutes ago; make a new change instead"),
            minutes=undo_minutes,
        )


def stage_after_undo(*, former: Stage, answer_cancelled_visit: bool) -> Stage:
    """Say where an undone change leads back to; a visit cancelled meanwhile has to be agreed anew."""
    return Stage.AGREED if answer_cancelled_visit and former in AHEAD else former


def may_act(role: str, allowed: Collection[str] = ("scheduler", "coordinator")) -> bool:
    """Tell whether the role works at the desk."""
    return role in allowed

"""What was told of a request, folded into how it stood: for a desk whose tables were put back to an earlier day.

Answers, wishes and offered times were never told, so they don't come back; neither does who did what.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Any
from uuid import UUID

from contracts import events
from contracts.calendar import local_day
from services.scheduling.rules.visits import (
    AHEAD,
    CLAIM_LEASE,
    Answer,
    Request,
    Stage,
    VisitState,
    What,
)

NOBODY = "taken-back"
"""Stands where the person's code was: it was not told."""
UNKNOWN_SCHOOL = "unknown"

Appointed = events.VisitScheduled | events.VisitRescheduled
Told = (
    events.VisitRequested
    | events.VisitRequestWithdrawn
    | events.RequestStageChanged
    | events.RequestReopened
    | events.ContactAttempted
    | events.FamilyAgreed
    | events.FamilyDeclined
    | events.VisitScheduled
    | events.VisitRescheduled
    | events.VisitCancelled
)


@dataclass(slots=True)
class TakenVisit:
    """A visit as it was told last. `agreed` is None where its table knows it and it was not moved since."""

    state: VisitState
    agreed: Appointed | None = None
    revisions: int = 0


@dataclass(slots=True, kw_only=True)
class Taken:
    """A request as it stood, and what hangs on it. `logged_at` and `declined_at`: from when its next dates count."""

    request: Request
    visits: dict[UUID, TakenVisit] = field(default_factory=dict)
    attempts: dict[int, tuple[events.ContactAttempted, Answer | None]] = field(default_factory=dict)
    history: dict[int, tuple[What, str | None, str, datetime]] = field(default_factory=dict)
    logged_at: datetime | None = None
    declined_at: datetime | None = None
    returned_at: list[datetime] = field(default_factory=list)
    ahead: UUID | None = None

    def change(self, **columns: Any) -> None:
        """Let the request stand otherwise."""
        self.request = replace(self.request, **columns)


def fold(told: Iterable[Told], *, standing: Request | None, ahead: UUID | None, zone: tzinfo) -> Taken:
    """Fold what was told of one request, oldest first, into how it stands; at least one event.

    `standing` is the request as its table knows it, and `ahead` the visit that lies ahead of it there.
    """
    in_order = list(told)
    taken = Taken(request=standing or _opened(in_order[0], zone), ahead=ahead)
    if ahead is not None:
        taken.visits[ahead] = TakenVisit(VisitState.SCHEDULED)
    for each in in_order:
        former = taken.request.stage
        what = _apply(taken, each, zone)
        taken.change(version=max(taken.request.version, each.version))
        # A stage is told before what it came by: the later word is the better one.
        since = taken.history[each.version][1] if each.version in taken.history else former.value
        taken.history[each.version] = (what, since, taken.request.stage.value, each.occurred_at)
    return taken


def _opened(first: Told, zone: tzinfo) -> Request:
    return Request(
        request_id=first.request_id,
        household_key=first.household_key,
        district=first.district,
        school=first.school if isinstance(first, events.VisitRequested) else UNKNOWN_SCHOOL,
        stage=Stage.NEW,
        closed_because=None,
        version=first.version,
        claimed_by=None,
        claimed_until=None,
        contact_again_on=None,
        flags_cleared_at=None,
        opened_at=first.occurred_at,
        tries_from=first.occurred_at,
        aged_from=local_day(first.occurred_at, zone=zone),
    )


def _apply(taken: Taken, each: Told, zone: tzinfo) -> What:
    match each:
        case events.VisitRequested():
            taken.returned_at.append(each.occurred_at)
            return What.OPENED
        case events.VisitRequestWithdrawn():
            taken.change(flags_cleared_at=each.occurred_at)
            return What.WITHDRAWN
        case events.RequestReopened():
            taken.declined_at = None
            taken.change(respected_until=None, closed_because=None, closed_at=None, **_anew(each.occurred_at, zone))
            return What.REOPENED
        case events.ContactAttempted():
            taken.attempts[each.version] = each, None if each.reached else Answer.NOT_REACHED
            taken.change(contacted_at=taken.request.contacted_at or each.occurred_at, pinned=False, promise_due=None)
            if taken.request.closed_because == "moved":
                _answered(taken, each.version, Answer.MOVED)
            return What.CONTACTED
        case events.FamilyAgreed():
            return _answered(taken, each.version, Answer.AGREED)
        case events.FamilyDeclined():
            taken.declined_at = each.occurred_at
            return _answered(taken, each.version, Answer.DECLINED)
        case events.VisitScheduled() | events.VisitRescheduled():
            visit = taken.visits.setdefault(each.visit_id, TakenVisit(VisitState.SCHEDULED))
            visit.state, visit.agreed, visit.revisions = VisitState.SCHEDULED, each, visit.revisions + 1
            taken.ahead = each.visit_id
            return What.APPOINTED if isinstance(each, events.VisitScheduled) else What.RESCHEDULED
        case events.VisitCancelled():
            taken.visits.setdefault(each.visit_id, TakenVisit(VisitState.CANCELLED)).state = VisitState.CANCELLED
            taken.ahead = None
            return What.CANCELLED
        case events.RequestStageChanged():
            return _moved(taken, each, zone)


def _answered(taken: Taken, version: int, answer: Answer) -> What:
    if version in taken.attempts:
        taken.attempts[version] = taken.attempts[version][0], answer
    return What.CONTACTED


def _moved(taken: Taken, each: events.RequestStageChanged, zone: tzinfo) -> What:
    stage, previous = Stage(each.stage.value), Stage(each.previous_stage.value)
    came = _came_of_visit(taken, stage, previous)
    taken.change(
        stage=stage,
        closed_because=each.closed_because.value if each.closed_because else None,
        closed_at=each.occurred_at if stage is Stage.CLOSED else None,
        # A lease is fifteen minutes: it has run out by the time that anybody reads this.
        claimed_by=NOBODY if stage is Stage.CLAIMED else None,
        claimed_until=each.occurred_at + CLAIM_LEASE if stage is Stage.CLAIMED else None,
    )
    taken.logged_at = each.occurred_at if stage is Stage.LOGGED else None
    if stage is Stage.CONTACTING and previous in (Stage.LOGGED, Stage.VISITED, *AHEAD, Stage.AGREED) and not came:
        taken.returned_at.append(each.occurred_at)
    if stage is Stage.CONTACTING and previous is Stage.LOGGED:
        taken.change(**_anew(each.occurred_at, zone))
        return What.FOLLOW_UP_DUE
    return came or _WHAT_OF_STAGE.get(stage, What.CONTACTED)


def _came_of_visit(taken: Taken, stage: Stage, previous: Stage) -> What | None:
    """Say what became of the visit ahead, where the stage tells it; a cancellation that follows says better."""
    if stage is Stage.VISITED:
        state, what = VisitState.COMPLETED, What.VISITED
    elif previous in AHEAD and stage in (Stage.AGREED, Stage.CONTACTING):
        state, what = VisitState.ATTEMPTED, What.VISIT_ATTEMPTED
    else:
        return None
    if taken.ahead is not None:
        taken.visits[taken.ahead].state, taken.ahead = state, None
    return what


def _anew(moment: datetime, zone: tzinfo) -> dict[str, Any]:
    return {
        "contacted_at": None,
        "tries_from": moment,
        "aged_from": local_day(moment, zone=zone),
        "waiting_on_family": (),
        "contact_again_on": None,
        "follow_up_on": None,
    }


_WHAT_OF_STAGE = {
    Stage.NEW: What.RELEASED,
    Stage.CLAIMED: What.CLAIMED,
    Stage.CONFIRMED: What.CONFIRMED,
    Stage.LOGGED: What.LOGGED,
    Stage.CLOSED: What.CLOSED,
}

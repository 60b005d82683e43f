"""What was told of a request, folded into how it stood: nothing that people did is forgotten or done twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts import events
from services.scheduling.rules.told import Taken, Told, fold
from services.scheduling.rules.visits import Answer, Request, Stage, VisitState, What
from tests.component.visit_events import MORNING, of_visit
from tests.zones import HERE

Said = tuple[type[events.Event], dict[str, Any]]
VISIT = UUID(int=0x0D << 120 | 1)


class Telling:
    """What a desk tells of one request, an hour apart, each under the next version."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.version = 0

    def at(self) -> datetime:
        return MORNING + timedelta(hours=self.version)

    def tells(self, *facts: Said) -> "Telling":
        """All of them under one version."""
        self.version += 1
        for model, fields in facts:
            told = of_visit(model, version=self.version, occurred_at=self.at(), **fields)
            assert isinstance(told, Told)
            self.told.append(told)
        return self

    def moves(
        self, previous: str, stage: str, *also: tuple[type[events.Event], dict[str, Any]], **fields: Any
    ) -> "Telling":
        """A stage, and what it came by."""
        moved = (events.RequestStageChanged, {"previous_stage": previous, "stage": stage, **fields})
        return self.tells(moved, *also)


def folded(telling: Telling, standing: Request | None = None, ahead: UUID | None = None) -> Taken:
    return fold(telling.told, standing=standing, ahead=ahead, zone=HERE)


def agreed() -> Telling:
    """Opened, claimed, one try in vain, then agreed on the phone, with a visit."""
    telling = Telling().tells((events.VisitRequested, {})).moves("new", "claimed")
    telling.moves("claimed", "contacting", (events.ContactAttempted, {"way": "call", "reached": False}))
    reached = (events.ContactAttempted, {"way": "text", "reached": True})
    telling.moves("contacting", "agreed", reached, (events.FamilyAgreed, {}))
    return telling.moves("agreed", "paired", (events.VisitScheduled, {}))


def test_a_request_stands_as_its_people_left_it() -> None:
    taken = folded(agreed())
    request = taken.request
    assert (request.stage, request.version, request.school) == (Stage.PAIRED, 5, "H01")
    assert (request.opened_at, request.contacted_at) == (MORNING + timedelta(hours=1), MORNING + timedelta(hours=3))
    assert (request.claimed_by, request.closed_because) == (None, None)
    assert [answer for _, answer in taken.attempts.values()] == [Answer.NOT_REACHED, Answer.AGREED]
    assert [what for what, *_ in taken.history.values()] == [
        What.OPENED, What.CLAIMED, What.CONTACTED, What.CONTACTED, What.APPOINTED,
    ]  # fmt: skip
    assert [stage for _, _, stage, _ in taken.history.values()] == ["new", "claimed", "contacting", "agreed", "paired"]
    (visit,) = taken.visits.values()
    assert (visit.state, visit.revisions) == (VisitState.SCHEDULED, 1)


def test_only_what_is_newer_is_folded_into_what_a_table_knows() -> None:
    whole = agreed()
    known = folded(whole)
    later = Telling()
    later.version = whole.version
    later.tells((events.VisitRescheduled, {"starts_at": MORNING + timedelta(days=9)})).moves("paired", "confirmed")
    taken = folded(later, standing=known.request, ahead=VISIT)
    assert taken.request == replace(known.request, stage=Stage.CONFIRMED, version=7)
    assert taken.visits[VISIT].revisions == 1
    assert sorted(taken.history) == [6, 7]


def test_a_visit_is_over_once_and_a_cancelled_one_was_never_tried() -> None:
    logged = agreed().moves("paired", "visited").moves("visited", "logged")
    taken = folded(logged)
    assert (taken.visits[VISIT].state, taken.logged_at) == (VisitState.COMPLETED, MORNING + timedelta(hours=7))
    attempted = folded(agreed().moves("paired", "agreed"))
    assert attempted.visits[VISIT].state is VisitState.ATTEMPTED
    cancelled = folded(agreed().moves("paired", "agreed", (events.VisitCancelled, {})))
    assert cancelled.visits[VISIT].state is VisitState.CANCELLED
    assert cancelled.history[6][0] is What.CANCELLED

    known = folded(agreed())
    later = Telling()
    later.version = 5
    later.moves("paired", "contacting")
    assert folded(later, standing=known.request, ahead=VISIT).visits[VISIT].state is VisitState.ATTEMPTED


def test_a_decline_closes_and_is_respected_until_the_family_wishes_it_otherwise() -> None:
    said: tuple[Said, ...] = (events.ContactAttempted, {"way": "call", "reached": True}), (events.FamilyDeclined, {})
    telling = agreed().moves("paired", "closed", *said, closed_because="declined")
    taken = folded(telling)
    assert (taken.request.stage, taken.request.closed_because) == (Stage.CLOSED, "declined")
    assert taken.declined_at == taken.request.closed_at == MORNING + timedelta(hours=6)
    assert taken.attempts[6][1] is Answer.DECLINED

    telling.moves("closed", "contacting", (events.RequestReopened, {"wished_by": "family"}))
    taken = folded(telling)
    assert (taken.request.stage, taken.request.closed_because, taken.declined_at) == (Stage.CONTACTING, None, None)
    assert (taken.request.contacted_at, taken.request.tries_from) == (None, MORNING + timedelta(hours=7))


def test_a_family_that_moved_is_known_by_how_its_request_was_closed() -> None:
    said = (events.ContactAttempted, {"way": "call", "reached": True})
    taken = folded(Telling().tells((events.VisitRequested, {})).moves("new", "closed", said, closed_because="moved"))
    assert taken.attempts[2][1] is Answer.MOVED


def test_a_follow_up_begins_a_new_round() -> None:
    telling = agreed().moves("paired", "visited").moves("visited", "logged").moves("logged", "contacting")
    taken = folded(telling)
    assert (taken.request.stage, taken.request.contacted_at) == (Stage.CONTACTING, None)
    assert taken.returned_at[-1] == taken.request.tries_from == MORNING + timedelta(hours=8)
    assert taken.history[8][0] is What.FOLLOW_UP_DUE


def test_a_claim_is_nobodys_by_the_time_it_is_read() -> None:
    taken = folded(Telling().tells((events.VisitRequested, {})).moves("new", "claimed"))
    assert taken.request.is_held(MORNING + timedelta(hours=2, minutes=14))
    assert not taken.request.is_held(MORNING + timedelta(hours=2, minutes=15))

"""What a program is shown of requests, visits, visitors and policies. No family is named in it."""

from collections.abc import Callable
from typing import Any

from contracts.events import DistrictPolicy
from services.scheduling.handlers.appointments import Agreed
from services.scheduling.handlers.visitors import Saved
from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import Reason, Visitor
from services.scheduling.rules.priority import Clause
from services.scheduling.rules.proposals import Proposals
from services.scheduling.rules.visits import Request
from services.scheduling.rules.week import Week, WeekPlan
from services.scheduling.rules.wording import say
from services.scheduling.store.appointments import Appointment
from services.scheduling.store.day_sheet import SheetVisit
from services.scheduling.store.districts import Declared
from services.scheduling.store.transfers import Transfer

_OF_A_REQUEST = (
    "request_id", "household_key", "district", "school", "stage", "closed_because", "version", "claimed_by",
    "claimed_until", "contact_again_on", "wish", "flags_cleared_at", "opened_at", "closed_at", "points", "pinned",
    "promise_due", "due_on", "follow_up_on", "respected_until",
)  # fmt: skip
_OF_AN_APPOINTMENT = (
    "visit_id", "state", "revision", "starts_at", "minutes", "place", "language", "interpreter", "pair",
)  # fmt: skip
# Whom they are not to visit is a number only.
_OF_A_VISITOR = (
    "visitor_id", "district", "affiliation", "school", "languages", "leap101_valid_from", "leap101_valid_until",
    "windows", "away", "weekly_cap", "active", "version",
)  # fmt: skip

Done = Request | Agreed | Saved | DistrictPolicy | Declared | Transfer


def shown(done: Done) -> dict[str, Any]:
    """Show what stands after a command."""
    match done:
        case Request():
            return request_shown(done)
        case Agreed():
            return agreed_shown(done)
        case Saved():
            return saved_shown(done)
        case DistrictPolicy() as policy:
            return policy.model_dump()
        case Declared() | Transfer():
            return done._asdict()


def request_shown(request: Request) -> dict[str, Any]:
    """Show a request as it stands."""
    return {name: getattr(request, name) for name in _OF_A_REQUEST}


def agreed_shown(agreed: Agreed) -> dict[str, Any]:
    """Show the request with what was agreed."""
    return {
        **request_shown(agreed.request),
        "visit_id": agreed.visit_id,
        "revision": agreed.revision,
        "starts_at": agreed.terms.starts_at,
        "ends_at": agreed.ends_at,
        "language": agreed.terms.language,
        "interpreter": agreed.terms.interpreter,
        "pair": agreed.terms.pair,
    }


def visits_shown(revisions: list[Appointment]) -> list[dict[str, Any]]:
    """Show each visit by its newest revision; they come oldest first."""
    newest = {each.visit_id: each for each in revisions}
    return [{name: getattr(each, name) for name in _OF_AN_APPOINTMENT} for each in newest.values()]


def visit_shown(visit: SheetVisit) -> dict[str, Any]:
    """Show a visit with how to reach the family, to whom the look was recorded of."""
    return {name: getattr(visit, name) for name in SheetVisit.__slots__}


def visitor_shown(visitor: Visitor) -> dict[str, Any]:
    """Show a visitor with their hours."""
    known = {name: getattr(visitor, name) for name in _OF_A_VISITOR}
    return known | {"exclusions": len(visitor.excluded_households)}


def saved_shown(saved: Saved) -> dict[str, Any]:
    """Show a visitor with the agreed visits that somebody has to look at."""
    affected = [
        {"visit_id": each.visit_id, "starts_at": each.starts_at, "reason": reason_shown(each.reason)}
        for each in saved.affected
    ]
    return {**visitor_shown(saved.visitor), "affected_visits": affected}


def reason_shown(reason: Reason) -> dict[str, Any]:
    """Show a reason as its code, its values and its English sentence."""
    return {"code": reason.code, "values": dict(reason.values), "says": pairing.say(reason), "points": reason.points}


def proposals_shown(found: Proposals) -> dict[str, Any]:
    """Show the pairs that could make a visit, and who can't."""
    return {
        "pairs": [
            {
                "pair": each.pair,
                "starts_at": each.starts_at,
                "interpreter": each.interpreter,
                "points": each.points,
                "reasons": [reason_shown(reason) for reason in each.reasons],
            }
            for each in found.pairs
        ],
        "hindered": [{"visitor_id": each.visitor_id, "reason": reason_shown(each.reason)} for each in found.hindered],
        "why_none": found.why_none and reason_shown(found.why_none),
    }


def week_shown(asked: Week, found: WeekPlan) -> dict[str, Any]:
    """Show the visits that are proposed for a week, and what finds no place and why."""
    return {
        "monday": asked.monday,
        "value": found.value,
        "planned": [
            {
                "request_id": each.request_id,
                "starts_at": each.starts_at,
                "ends_at": each.ends_at,
                "pair": each.pair,
                "interpreter": each.interpreter,
                "reasons": [reason_shown(reason) for reason in each.reasons],
            }
            for each in found.planned
        ],
        "unscheduled": [
            {"request_id": each.request_id, "reason": reason_shown(each.reason)} for each in found.unscheduled
        ],
    }


def clause_shown(clause: Clause, translate: Callable[[str], str]) -> dict[str, Any]:
    """Show one part of the sentence, in the reader's language, with the days it speaks of."""
    return {
        "code": clause.code,
        "says": say(translate(clause.msgid), clause.params),
        "days": clause.days,
        "student_key": clause.student_key,
        "points": clause.points,
    }

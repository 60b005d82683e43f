"""The district's policy: everybody at the desk reads it, the coordinator decides."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.forms import read_form
from services.runtime.web.languages import N_
from services.runtime.web.people import Person
from services.scheduling.handlers.policies import DistrictUnknown, StalePolicy, current_policy, save_policy
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here
from services.scheduling.pages.forms import Typed
from services.scheduling.pages.request import NOTHING_TRIED, Attempt
from services.scheduling.rules import visits
from services.scheduling.rules.policy import DEFAULT, Policy

# Name, words, least, most: the bounds are those of the programme's own rules.
NUMBERS: Sequence[tuple[str, str, int, int]] = (
    ("first_contact_days", N_("First contact, within school days"), 1, 60),
    ("agreed_days", N_("Visit agreed, within school days"), 1, 180),
    ("tries", N_('Tries before "not reached"'), 3, 20),
    ("decline_days", N_("A decline is respected for days"), 1, 730),
    ("follow_up_days", N_("Follow-up after days"), 1, 365),
    ("undo_minutes", N_("Undo is possible for minutes"), 0, 240),
    ("min_notice_hours", N_("A visit is agreed ahead by hours"), 0, 336),
    ("visit_minutes", N_("Length of a visit in minutes"), 5, 480),
    ("travel_minutes", N_("Travel between visits in minutes"), 0, 480),
    ("weekly_cap", N_("Visits of a visitor a week"), 1, 60),
    ("earliest_hour", N_("Visits begin at, hour"), 0, 23),
    ("latest_hour", N_("Visits end by, hour"), 1, 24),
)
WEIGHTS: Sequence[tuple[str, str]] = (
    ("rate", N_("for each tenth of a percent of days missed")),
    ("recent", N_("for each absence of the last 20 days")),
    ("worsening", N_("for each absence more than in the 20 days before")),
    ("spell", N_("for each day missed in a row up to now")),
    ("chronic_last_year", N_("chronically absent last year")),
    ("transition", N_("kindergarten, grade 6 or 9, or new to the district")),
    ("sibling", N_("for each further flagged child of the family")),
    ("waiting", N_("for each school day beyond the target")),
)
HEAVIEST = 1000


def router(desk: Desk) -> APIRouter:
    """Offer the policy's page."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/policy")
    async def show_policy(request: Request, person: AtTheDesk) -> Response:
        """Show the standing policy of a district."""
        return await _page(desk, request, person, _district(desk, request.query_params.get("district"), person))

    @routes.post("/policy")
    async def change_policy(request: Request, person: AtTheDesk) -> Response:
        """Make the next version of the policy."""
        typed = Typed(await read_form(request))
        district = _district(desk, typed.text("district", longest=48), person)
        version = typed.number("version", least=0, most=2**31 - 1)
        numbers = {name: typed.number(name, least=least, most=most) for name, _, least, most in NUMBERS}
        weights = {name: typed.number(f"weight_{name}", least=0, most=HEAVIEST) for name, _ in WEIGHTS}
        attempt, status = Attempt(form="policy", kept=typed.kept, faults=typed.faults), 422
        if version is not None and not typed.faults:
            try:
                async with desk.context.begin() as tx:
                    standing = await current_policy(tx, district=district, person=person)
                    decided = _with(standing, numbers, weights)
                    await save_policy(
                        tx, district=district, version=version, policy=decided, person=person, as_of=desk.now()
                    )
                return RedirectResponse(f"/policy?district={district}&said=saved", status_code=303)
            except StalePolicy as stale:
                both = _both(stale.current, _with(stale.current, numbers, weights))
                refusal = desk.say(request, stale)
                attempt = Attempt(form="policy", kept=typed.kept, stale=True, both=both, refusal=refusal)
                status = 409
            except visits.NotAllowed as refused:
                attempt, status = Attempt(form="policy", refusal=desk.say(request, refused)), 403
            except visits.Refusal as refused:
                attempt = Attempt(form="policy", kept=typed.kept, refusal=desk.say(request, refused))
        return await _page(desk, request, person, district, attempt=attempt, status=status)

    return routes


def _district(desk: Desk, asked: str | None, person: Person) -> str:
    districts = desk.districts_of(person) or ()
    district = asked or (districts[0] if districts else "")
    if not district or not person.may_see(district):
        raise nothing_here()
    return district


def _with(standing: Policy, numbers: Mapping[str, int | None], weights: Mapping[str, int | None]) -> Policy:
    known: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
    weighed: dict[str, Any] = {name: number for name, number in weights.items() if number is not None}
    return replace(standing, weights=replace(standing.weights, **weighed), **known)


def _both(standing: Policy, typed: Policy) -> list[tuple[str, str, str]]:
    numbers = [(text, str(getattr(standing, name)), str(getattr(typed, name))) for name, text, _, _ in NUMBERS]
    weights = [
        (text, str(getattr(standing.weights, name)), str(getattr(typed.weights, name))) for name, text in WEIGHTS
    ]
    return [row for row in (*numbers, *weights) if row[1] != row[2]]


async def _page(
    desk: Desk,
    request: Request,
    person: Person,
    district: str,
    *,
    attempt: Attempt = NOTHING_TRIED,
    status: int = 200,
) -> Response:
    async with desk.context.begin() as tx:
        try:
            policy = await current_policy(tx, district=district, person=person)
        except DistrictUnknown:
            raise nothing_here() from None
    return desk.render(
        request,
        "policy.html",
        {
            "policy": policy,
            "default": DEFAULT,
            "district": district,
            "districts": desk.districts_of(person) or (),
            "attempt": attempt,
            "numbers": [(*each, attempt.kept.get(each[0], getattr(policy, each[0]))) for each in NUMBERS],
            "weights": [
                (*each, attempt.kept.get(f"weight_{each[0]}", getattr(policy.weights, each[0]))) for each in WEIGHTS
            ],
            "heaviest": HEAVIEST,
            "may_decide": person.role == "coordinator",
        },
        status,
    )

"""The district's policy: everybody at the desk reads it, the coordinator decides."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.forms import bounds_of, read_form
from services.runtime.web.people import Person
from services.scheduling.commands import carry_out
from services.scheduling.handlers.policies import (
    DecidePolicy,
    DistrictUnknown,
    StalePolicy,
    current_policy,
    decide_policy,
)
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here
from services.scheduling.pages.forms import NOTHING_TRIED, Attempt, kept, read, typed
from services.scheduling.rules import visits
from services.scheduling.rules.policy import DEFAULT, Policy, Weights
from services.scheduling.rules.wording import N_

NUMBERS: Sequence[tuple[str, str]] = (
    ("first_contact_days", N_("First contact, within school days")),
    ("agreed_days", N_("Visit agreed, within school days")),
    ("tries", N_('Tries before "not reached"')),
    ("decline_days", N_("A decline is respected for days")),
    ("follow_up_days", N_("Follow-up after days")),
    ("undo_minutes", N_("Undo is possible for minutes")),
    ("min_notice_hours", N_("A visit is agreed ahead by hours")),
    ("visit_minutes", N_("Length of a visit in minutes")),
    ("travel_minutes", N_("Travel between visits in minutes")),
    ("weekly_cap", N_("Visits of a visitor a week")),
    ("earliest_hour", N_("Visits begin at, hour")),
    ("latest_hour", N_("Visits end by, hour")),
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
WEIGHT = "weight_"
"""What the form's name of a weight begins with."""


def routes(desk: Desk) -> APIRouter:
    """Offer the policy's page."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/policy")
    async def show_policy(request: Request, person: AtTheDesk) -> Response:
        """Show the standing policy of a district."""
        return await _page(desk, request, person, _district(desk, request.query_params.get("district"), person))

    @router.post("/policy")
    async def change_policy(request: Request, person: AtTheDesk) -> Response:
        """Make the next version of the policy."""
        form = await read_form(request)
        district = _district(desk, form.get("district").strip(), person)
        weights = {name: form.get(WEIGHT + name).strip() for name, _ in WEIGHTS}
        reading = read(
            DecidePolicy,
            form,
            names={f"weights.{name}": WEIGHT + name for name, _ in WEIGHTS},
            given={**typed(form, *(name for name, _ in NUMBERS)), "weights": weights},
        )
        attempt, status = Attempt(form="policy", kept=kept(form), faults=reading.faults), 422
        if reading.value is not None:
            try:
                await carry_out(desk.context, person, decide_policy, district, reading.value)
                return RedirectResponse(f"/policy?district={district}&said=saved", status_code=303)
            except visits.Refusal as refusal:
                attempt, status = _failed(desk, request, refusal, attempt, reading.value)
        return await _page(desk, request, person, district, attempt=attempt, status=status)

    return router


def _district(desk: Desk, asked: str | None, person: Person) -> str:
    districts = desk.districts_of(person) or ()
    district = asked or (districts[0] if districts else "")
    if not district or not person.may_see(district):
        raise nothing_here()
    return district


def _failed(
    desk: Desk, request: Request, refusal: visits.Refusal, attempt: Attempt, decided: DecidePolicy
) -> tuple[Attempt, int]:
    said = desk.say(request, refusal)
    if isinstance(refusal, visits.NotAllowed):
        return Attempt(form="policy", refusal=said), 403
    if isinstance(refusal, StalePolicy):
        return replace(attempt, refusal=said, stale=True, both=_both(refusal.current, decided)), 409
    return replace(attempt, refusal=said), 422


def _both(standing: Policy, decided: Policy) -> list[tuple[str, str, str]]:
    numbers = [(text, getattr(standing, name), getattr(decided, name)) for name, text in NUMBERS]
    weights = [(text, getattr(standing.weights, name), getattr(decided.weights, name)) for name, text in WEIGHTS]
    return [(text, str(now), str(yours)) for text, now, yours in (*numbers, *weights) if now != yours]


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
            "numbers": _shown(NUMBERS, policy, attempt.kept),
            "weights": _shown(WEIGHTS, policy.weights, attempt.kept, WEIGHT),
            "may_decide": person.role == "coordinator",
        },
        status,
    )


def _shown(
    fields: Sequence[tuple[str, str]], standing: Policy | Weights, kept: Mapping[str, Any], prefix: str = ""
) -> list[dict[str, Any]]:
    return [
        {
            "name": prefix + name,
            "text": text,
            "value": kept.get(prefix + name, getattr(standing, name)),
            **bounds_of(type(standing), (name,)),
        }
        for name, text in fields
    ]

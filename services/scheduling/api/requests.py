"""The HTTP of requests: the queue, one request, the next of them, and what is counted."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from contracts.calendar import business_days_between, local_day
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context
from services.runtime.web.disclosing import disclose
from services.runtime.web.pages import language_of
from services.runtime.web.people import Person
from services.scheduling.api.asking import InAnyDistrict, Who, districts_of
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.api.shown import clause_shown, request_shown, visits_shown
from services.scheduling.handlers import disclosing
from services.scheduling.handlers import requests as handlers
from services.scheduling.rules import ageing, priority, visits
from services.scheduling.rules.visits import Stage
from services.scheduling.rules.wording import N_
from services.scheduling.store import appointments, calendars, changes, desk, logs, policies


def routes(context: Context) -> APIRouter:
    """Offer the requests under /v1/requests."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.get("/requests")
    async def list_requests(
        who: Who,
        district: InAnyDistrict = None,
        stage: Stage | None = None,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """List requests, most urgent first; `after` takes the last request_id of a page."""
        async with context.begin() as tx:
            last = None if after is None else await _find(tx, after, who)
            found = await desk.list_requests(
                tx.connection,
                districts=districts_of(who, district),
                stage=stage and stage.value,
                after=last,
                limit=limit,
            )
        next_after = found[-1].request_id if len(found) == limit else None
        return {"requests": [request_shown(request) for request in found], "next_after": next_after}

    @router.get("/requests/{request_id}")
    async def show_request(request_id: UUID, who: Who, asked: Request) -> dict[str, Any]:
        """Show a request: why it is here, its students, visits, contacts and history."""
        async with context.begin() as tx:
            request = await _find(tx, request_id, who)
            shown = await _in_full(tx, request, language_of(asked).gettext)
            of = disclosing.household_of(request, disclosing.children_of(None, shown["students"]))
            await disclose(tx.connection, who, of, disclosing.DAYS, as_of=clock.now())
            return shown

    @router.post("/requests/{request_id}/contact-disclosure")
    async def disclose_contact(request_id: UUID, who: Who) -> dict[str, Any]:
        """Show how to reach the family, and record to whom it was shown."""
        async with context.begin() as tx:
            contact = await handlers.disclose_contact(tx, request_id=request_id, person=who, as_of=clock.now())
        return {"contact": contact}

    @router.post("/requests/next/claim", response_model=None)
    async def claim_next(who: Who, district: InAnyDistrict = None) -> dict[str, Any] | Response:
        """Lease the most urgent request that nobody holds; 204 when nothing waits.

        Somebody with several districts says which.
        """
        async with context.begin() as tx:
            claimed = await handlers.claim_next(
                tx, district=district or _only_district(who), person=who, as_of=clock.now()
            )
        return request_shown(claimed) if claimed else Response(status_code=204)

    @router.get("/missing-logs")
    async def missing_logs(who: Who, district: InAnyDistrict = None) -> dict[str, Any]:
        """List visits whose time is over and of which nobody has said anything."""
        as_of = clock.now()
        async with context.begin() as tx:
            rows = await logs.missing_logs(tx.connection, districts=districts_of(who, district), as_of=as_of)
            today = local_day(as_of, zone=tx.zone)
        days = [business_days_between(after=local_day(row["starts_at"], zone=tx.zone), until=today) for row in rows]
        return {"missing": [{**row, "business_days": passed} for row, passed in zip(rows, days, strict=True)]}

    @router.get("/counts")
    async def counts(who: Who, district: InAnyDistrict = None) -> dict[str, Any]:
        """Count requests by district and stage."""
        async with context.begin() as tx:
            rows = await desk.count_requests(tx.connection, districts=districts_of(who, district))
        return {"requests": [dict(row) for row in rows], "total": sum(row["requests"] for row in rows)}

    return router


async def _find(tx: Transaction, request_id: UUID, who: Person) -> visits.Request:
    request = await changes.find_request(tx.connection, request_id)
    if request is None or not who.may_see(request.district):
        raise visits.RequestUnknown
    return request


def _only_district(who: Person) -> str:
    if who.sees_everything or len(who.scopes) != 1:
        raise visits.NotPossible("district_needed", N_("you work for several districts; say for which one: ?district="))
    (district,) = who.scopes
    return district


async def _in_full(tx: Transaction, request: visits.Request, translate: Callable[[str], str]) -> dict[str, Any]:
    connection, request_id, today = tx.connection, request.request_id, local_day(clock.now(), zone=tx.zone)
    priced, days_beyond = await desk.reasons(connection, request_id)
    policy = await policies.current(connection, request.district, day=today)
    students = await desk.students(connection, request.household_key)
    inputs = None if priced is None else priority.from_json(priced, days_beyond_target=days_beyond)
    why_here = [] if inputs is None else priority.why(inputs, policy.weights)
    why_gone = priority.why_gone(priority.corrections_of(students)) if request.flags_cleared_at else []
    assert request.aged_from is not None
    return {
        **request_shown(request),
        "students": students,
        "visits": visits_shown(await appointments.appointments_of(connection, request_id)),
        "contacts": await desk.attempts(connection, request_id),
        "history": await changes.history(connection, request_id),
        "priority": priced,
        "why": [clause_shown(each, translate) for each in why_here],
        "why_gone": [clause_shown(each, translate) for each in why_gone],
        "age_school_days": ageing.age(
            since=request.aged_from,
            today=today,
            pauses=request.waiting_on_family,
            calendar=await calendars.of_district(connection, request.district),
        ),
        "days_beyond_target": days_beyond,
    }

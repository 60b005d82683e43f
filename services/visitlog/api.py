"""Visit log's HTTP for programs: logs, what is added to them, and what the coordinator works with."""

from collections.abc import Callable, Coroutine
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from contracts.calendar import local_day
from contracts.events import DISTRICT_PATTERN
from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.languages import N_
from services.runtime.web.pages import signed_in
from services.runtime.web.people import Person
from services.runtime.web.problems import problem_of
from services.visitlog.handlers import access, logs, office
from services.visitlog.rules import outcomes
from services.visitlog.rules.form import AmendmentText, Day, Log, ReferralStatus
from services.visitlog.rules.outcomes import Due
from services.visitlog.rules.pay import Rate
from services.visitlog.rules.policy import LogPolicy
from services.visitlog.store import logs as stored_logs
from services.visitlog.store import office as stored_office
from services.visitlog.store import visits as stored_visits

LARGEST_BODY = 256 * 1024
MOST_ROWS = 500
LONGEST_PERIOD = timedelta(days=400)
_READ_EXPECTED = {"coordinator", "scheduler", "district", "resc", "state", "auditor"}
_READ_DISCLOSURES = {"coordinator", "auditor"}

_STATUS_BY_REFUSAL: dict[type[outcomes.Refusal], int] = {
    outcomes.VisitUnknown: 404,
    outcomes.LogUnknown: 404,
    office.NotYours: 404,
    outcomes.LogDiffers: 409,
    outcomes.VisitLogged: 409,
    outcomes.ReferralBackwards: 409,
    office.ChangedMeanwhile: 409,
    outcomes.LogInvalid: 422,
}


def explained(request: Request, refusal: outcomes.Refusal) -> Response:
    """Answer a refusal in the reader's language; a conflict shows both sides."""
    more: dict[str, Any] = {"error": type(refusal).__name__}
    if isinstance(refusal, outcomes.LogDiffers):
        more |= {"standing": refusal.standing, "sent": refusal.sent}
    if isinstance(refusal, outcomes.VisitLogged):
        more |= {"log_id": str(refusal.log_id)}
    return problem_of(request, _STATUS_BY_REFUSAL[type(refusal)], str(refusal), **more)


class ExplainingRoute(APIRoute):
    """A route whose 4xx say what to do, and never repeat what was sent: it may name a family."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route: refusals become sentences, and nobody sends more than a log can hold."""
        inner = super().get_route_handler()

        async def explain(request: Request) -> Response:
            length = request.headers.get("content-length", "0")
            if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > LARGEST_BODY:
                raise HTTPException(413, N_("this is longer than any log; send less"))
            try:
                return await inner(request)
            except outcomes.Refusal as refusal:
                return explained(request, refusal)

        return explain


class Command(BaseModel):
    """What is sent with a change. A field that isn't known is refused, not dropped."""

    model_config = ConfigDict(extra="forbid")


class AmendmentCommand(Command):
    """What is added to a log; with an id of the client's own it is added once, however often it is sent."""

    note: AmendmentText
    amendment_id: UUID | None = None


class ReferralCommand(Command):
    """How far a referral has come."""

    status: ReferralStatus


class PolicyCommand(Command):
    """A district's wishes; `version` is the one that was read, 0 if none was set."""

    version: Annotated[int, Field(ge=0, lt=2**31)]
    policy: LogPolicy


_Cents = Annotated[int, Field(ge=0, le=100_000)]


class RateCommand(Command):
    """What is paid from a day on."""

    district: Annotated[str, Field(pattern=DISTRICT_PATTERN)]
    effective_from: Day
    hourly_cents: _Cents
    travel_hourly_cents: _Cents
    mile_tenth_cents: _Cents
    show_up_cents: _Cents


Who = Annotated[Person, Depends(signed_in)]
From = Annotated[Day | None, Query(alias="from", description="first local day; 30 days before `until` unless said")]
Until = Annotated[Day | None, Query(description="last local day; today unless said")]


def _period(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    last = last or today
    first = first or last - timedelta(days=30)
    if not timedelta(0) <= last - first <= LONGEST_PERIOD:
        raise HTTPException(422, N_("choose a period of at most 400 days, its first day before its last"))
    return first, last


def _coordinated(person: Person) -> list[str] | None:
    if person.role != access.COORDINATOR:
        raise office.NotYours
    return office.districts_of(person)


def routes(context: Context) -> APIRouter:
    """Offer logs to the people who were there, and the office's lists to the coordinator, under /v1."""
    router = APIRouter(prefix="/v1", route_class=ExplainingRoute)
    zone = context.settings.zone

    @router.put("/visit-logs/{client_id}")
    async def put_log(client_id: UUID, log: Log, person: Who, response: Response) -> dict[str, Any]:
        """Write the log: 201 the first time, 200 for the same log again, 409 for another one."""
        async with context.begin() as tx:
            first = await logs.write_log(tx, log_id=client_id, log=log, person=person, as_of=clock.now())
        response.status_code = 201 if first else 200
        return {"log_id": client_id, "visit_id": log.visit_id}

    @router.get("/visit-logs/{client_id}")
    async def show_log(client_id: UUID, person: Who) -> dict[str, Any]:
        """Show a log as it was written, its referrals as they stand, and what was added to it."""
        async with context.begin() as tx:
            log = await access.log_of(tx.connection, client_id, person)
            amendments = await stored_logs.list_amendments(tx.connection, client_id)
            referrals = await stored_logs.list_referrals(tx.connection, client_id)
        return {
            **logs.readable_body(log, person),
            "log_id": client_id,
            "logged_by": log["logged_by"],
            "logged_at": log["logged_at"],
            "referrals": [dict(row) for row in referrals],
            "amendments": [dict(row) for row in amendments],
        }

    @router.post("/visit-logs/{client_id}/amendments", status_code=201)
    async def amend(client_id: UUID, command: AmendmentCommand, person: Who, response: Response) -> dict[str, Any]:
        """Add to a log; what stood there stays."""
        async with context.begin() as tx:
            number, is_new = await logs.amend_log(
                tx,
                log_id=client_id,
                amendment_id=command.amendment_id,
                note=command.note,
                person=person,
                as_of=clock.now(),
            )
        response.status_code = 201 if is_new else 200
        return {"log_id": client_id, "amendment": number}

    @router.post("/visit-logs/{client_id}/referrals/{referral_id}")
    async def move_referral(
        client_id: UUID, referral_id: UUID, command: ReferralCommand, person: Who
    ) -> dict[str, Any]:
        """Move a referral on: offered, accepted, handed over, connected, closed."""
        async with context.begin() as tx:
            moved = await logs.move_referral(
                tx, log_id=client_id, referral_id=referral_id, status=command.status, person=person, as_of=clock.now()
            )
        return {"referral_id": referral_id, "status": command.status, "changed": moved}

    @router.get("/expected-logs")
    async def expected_logs(
        person: Who,
        due: Annotated[list[Due] | None, Query()] = None,
        first: From = None,
        until: Until = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
        after_start: datetime | None = None,
        after_visit: UUID | None = None,
    ) -> dict[str, Any]:
        """List agreed visits by how their logs stand: a missing log is not a visit that did not happen."""
        as_of = clock.now()
        is_visitor = person.role == access.VISITOR
        if not is_visitor and person.role not in _READ_EXPECTED:
            raise office.NotYours
        first, until = _period(first, until, local_day(as_of, zone=zone))
        starts_from, starts_before = office.days_between(first, until, zone=zone)
        after = None
        if after_start is not None and after_visit is not None and 2000 < after_start.year < 2200:
            after = (after_start if after_start.tzinfo else after_start.replace(tzinfo=zone), after_visit)
        async with context.begin() as tx:
            rows = await office.list_expected(
                tx,
                districts=office.districts_of(person),
                visitor_id=person.name if is_visitor else None,
                due=[each.value for each in due or Due],
                starts_from=starts_from,
                starts_before=starts_before,
                as_of=as_of,
                limit=limit,
                after=after,
            )
        more = {"after_start": rows[-1]["starts_at"], "after_visit": rows[-1]["visit_id"]} if rows else None
        return {"as_of": as_of, "visits": [dict(row) for row in rows], "next": more if len(rows) == limit else None}

    _offer_office(router, context)
    return router


def _offer_office(router: APIRouter, context: Context) -> None:
    zone = context.settings.zone

    @router.get("/integrity")
    async def integrity(person: Who, first: From = None, until: Until = None) -> dict[str, Any]:
        """List what in the logs deserves a question, for the coordinator and nobody else."""
        as_of = clock.now()
        districts = _coordinated(person)
        first, until = _period(first, until, local_day(as_of, zone=zone))
        async with context.begin() as tx:
            found = await office.quiet_findings(tx, districts=districts, first=first, last=until)
        return {
            "as_of": as_of,
            "findings": [
                {"check": each.check, "log_ids": each.log_ids, "visitor_id": each.visitor_id} for each in found
            ],
        }

    @router.get("/payroll.csv")
    async def payroll_csv(person: Who, first: From = None, until: Until = None) -> Response:
        """Export what each visit pays each visitor, for payroll."""
        districts = _coordinated(person)
        first, until = _period(first, until, local_day(clock.now(), zone=zone))
        async with context.begin() as tx:
            lines = await office.payroll(tx, districts=districts, first=first, last=until)
        headers = {
            "Content-Disposition": f'attachment; filename="payroll-{first}-{until}.csv"',
            "Cache-Control": "no-store",
        }
        return PlainTextResponse(office.payroll_csv(lines), media_type="text/csv", headers=headers)

    @router.get("/pay-rates")
    async def list_rates(person: Who) -> dict[str, Any]:
        """List every rate that was ever set."""
        districts = _coordinated(person)
        async with context.begin() as tx:
            rates = await stored_office.list_rates(tx.connection, districts)
        return {"rates": [_as_json(rate) for rate in rates]}

    @router.post("/pay-rates", status_code=201)
    async def set_rate(command: RateCommand, person: Who) -> dict[str, Any]:
        """Set what is paid from a day on; the rates before stay."""
        if not access.is_office(person, command.district):
            raise office.NotYours
        async with context.begin() as tx:
            rate = await office.set_rate(
                tx, rate=Rate(revision=1, **command.model_dump()), person=person, as_of=clock.now()
            )
        return _as_json(rate)

    @router.get("/log-policies/{district}")
    async def show_policy(district: str, person: Who) -> dict[str, Any]:
        """Show the district's wishes for its logs."""
        if not person.may_see(district):
            raise office.NotYours
        async with context.begin() as tx:
            version = await stored_office.policy_version(tx.connection, district)
            policy = (await stored_office.list_policies(tx.connection, district))[0]
        return {"district": district, "version": version, "policy": policy}

    @router.put("/log-policies/{district}")
    async def set_policy(district: str, command: PolicyCommand, person: Who) -> dict[str, Any]:
        """Set the district's wishes; 409 unless `version` is the one that stands."""
        if not access.is_office(person, district):
            raise office.NotYours
        async with context.begin() as tx:
            version = await office.set_policy(
                tx,
                district=district,
                version=command.version,
                policy=command.policy,
                person=person,
                as_of=clock.now(),
            )
        return {"district": district, "version": version, "policy": command.policy}

    @router.get("/disclosures")
    async def disclosures(
        person: Who,
        household_key: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    ) -> dict[str, Any]:
        """List who saw how to reach which household, and why."""
        if person.role not in _READ_DISCLOSURES:
            raise office.NotYours
        async with context.begin() as tx:
            rows = await stored_visits.list_disclosures(
                tx.connection, districts=office.districts_of(person), household_key=household_key, limit=limit
            )
        return {"disclosures": [dict(row) for row in rows]}

    @router.get("/counts")
    async def counts(person: Who) -> dict[str, Any]:
        """Count logs by district and outcome."""
        async with context.begin() as tx:
            rows = await stored_office.count_logs(tx.connection, office.districts_of(person))
        return {"logs": [dict(row) for row in rows], "total": sum(row["logs"] for row in rows)}


def _as_json(rate: Rate) -> dict[str, Any]:
    return {name: getattr(rate, name) for name in rate.__slots__}

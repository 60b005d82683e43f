"""Scheduling's HTTP: the queue, the claim, the family's answer, the appointment. Who may, and what; no rules here."""

from collections.abc import Callable, Coroutine
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.events import Place
from services.runtime.service import Context
from services.scheduling import handlers, visits
from services.scheduling.store import desk
from services.scheduling.visits import Answer, Stage

_PERSON = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_DISTRICT = r"^[a-z0-9][a-z0-9-]{0,47}$"
PersonId = Annotated[str, Field(pattern=_PERSON)]
District = Annotated[str, Field(pattern=_DISTRICT)]
Version = Annotated[int, Field(ge=1, lt=2**31, description="the version you read; another one is answered with 409")]


class ActorMissing(visits.Refusal):
    """Nobody says who makes the change."""

    def __init__(self) -> None:
        super().__init__("say who you are: send your person id in the header X-Leap-Actor")


class VisitorChanged(visits.Refusal):
    """The visitor is registered already, or another change came first."""

    def __init__(self) -> None:
        super().__init__("the visitor is registered, at another version; send the current one (0 registers a new one)")


_STATUS_BY_REFUSAL: dict[type[visits.Refusal], int] = {
    ActorMissing: 401,
    visits.RequestUnknown: 404,
    visits.StaleVersion: 409,
    visits.HeldByAnother: 409,
    VisitorChanged: 409,
    visits.NotPossible: 422,
}


def _explained(refusal: visits.Refusal) -> JSONResponse:
    body: dict[str, Any] = {"error": type(refusal).__name__, "message": str(refusal)}
    if isinstance(refusal, visits.HeldByAnother):
        body |= {"claimed_by": refusal.claimed_by, "claimed_until": refusal.claimed_until.isoformat()}
    if isinstance(refusal, visits.StaleVersion):
        body |= {"current_version": refusal.current}
    return JSONResponse(body, status_code=_STATUS_BY_REFUSAL[type(refusal)])


class ExplainingRoute(APIRoute):
    """A route whose 4xx say what to do, and never repeat what was sent: it may name a family."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """This will wrap the route: refusals and invalid input become JSON."""
        inner = super().get_route_handler()

        async def explain(request: Request) -> Response:
            try:
                return await inner(request)
            except visits.Refusal as refusal:
                return _explained(refusal)
            except RequestValidationError as error:
                faults = [{"where": ".".join(map(str, f["loc"])), "message": f["msg"]} for f in error.errors()]
                message = "correct the fields listed and send again"
                return JSONResponse({"error": "Invalid", "message": message, "fields": faults}, status_code=422)

        return explain


class Command(BaseModel):
    """What every change of a request says."""

    model_config = ConfigDict(extra="forbid")

    version: Version


class AnswerCommand(Command):
    """What came of one contact with the family. A decline needs no reason, so none can be sent."""

    answer: Answer
    contact_again_on: date | None = None


class AppointmentCommand(Command):
    """The time, place and pair agreed with the family. Language: the household's own where none is sent."""

    starts_at: AwareDatetime
    place: Place
    pair: Annotated[list[PersonId], Field(min_length=2, max_length=2)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] | None = None


class VisitorCommand(BaseModel):
    """A person trained to visit. Version 0 registers; a renewed LEAP 101 sends the version it replaces."""

    model_config = ConfigDict(extra="forbid")

    visitor_id: PersonId
    district: District
    languages: Annotated[list[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]], Field(max_length=20)] = [
        "en"
    ]
    leap101_valid_from: date
    leap101_valid_until: date
    version: int = Field(default=0, ge=0, lt=2**31)


def _actor(x_leap_actor: Annotated[str | None, Header(pattern=_PERSON)] = None) -> str:
    if x_leap_actor is None:
        raise ActorMissing
    return x_leap_actor


Actor = Annotated[str, Depends(_actor)]


def _shown(request: visits.Request) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "household_key": request.household_key,
        "district": request.district,
        "school": request.school,
        "stage": request.stage,
        "closed_because": request.closed_because,
        "version": request.version,
        "claimed_by": request.claimed_by,
        "claimed_until": request.claimed_until,
        "contact_again_on": request.contact_again_on,
        "flags_cleared_at": request.flags_cleared_at,
        "opened_at": request.opened_at,
    }


def routes(context: Context) -> APIRouter:
    """This will offer the queue and its commands under /v1."""
    router = APIRouter(prefix="/v1", route_class=ExplainingRoute)

    @router.get("/requests")
    async def list_requests(
        district: Annotated[str | None, Query(pattern=_DISTRICT)] = None,
        stage: Stage | None = None,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """This will list open requests, longest waiting first; `after` takes the last request_id of a page."""
        async with context.begin() as tx:
            found = await desk.list_requests(
                tx.connection, district=district, stage=stage and stage.value, after=after, limit=limit
            )
        return {
            "requests": [_shown(request) for request in found],
            "next_after": found[-1].request_id if len(found) == limit else None,
        }

    @router.get("/requests/{request_id}")
    async def show_request(
        request_id: UUID, x_leap_actor: Annotated[str | None, Header(pattern=_PERSON)] = None
    ) -> dict[str, Any]:
        """This will show a request with its students and visits; to a named actor also how to reach the family."""
        async with context.begin() as tx:
            request = await desk.find_request(tx.connection, request_id)
            if request is None:
                raise visits.RequestUnknown
            students, agreed_visits = await desk.students_and_visits(tx.connection, request)
            shown = {**_shown(request), "students": students, "visits": agreed_visits}
            if x_leap_actor is not None:
                shown["contact"] = await desk.disclose_contact(
                    tx.connection, request=request, actor=x_leap_actor, as_of=handlers.now()
                )
        return shown

    @router.post("/requests/next/claim", response_model=None)
    async def claim_next(
        actor: Actor, district: Annotated[str | None, Query(pattern=_DISTRICT)] = None
    ) -> dict[str, Any] | Response:
        """This will lease the longest waiting request that nobody holds; 204 when nothing waits."""
        async with context.begin() as tx:
            claimed = await handlers.claim_next_request(tx, district=district, actor=actor, as_of=handlers.now())
        return _shown(claimed) if claimed else Response(status_code=204)

    @router.post("/requests/{request_id}/claim")
    async def claim(request_id: UUID, command: Command, actor: Actor) -> dict[str, Any]:
        """This will lease the request for 15 minutes; 409 says who holds it."""
        async with context.begin() as tx:
            claimed = await handlers.claim_request(
                tx, request_id=request_id, version=command.version, actor=actor, as_of=handlers.now()
            )
        return _shown(claimed)

    @router.post("/requests/{request_id}/answer")
    async def answer(request_id: UUID, command: AnswerCommand, actor: Actor) -> dict[str, Any]:
        """This will record what came of one contact with the family."""
        async with context.begin() as tx:
            saved = await handlers.record_answer(
                tx,
                request_id=request_id,
                version=command.version,
                answer=command.answer,
                contact_again_on=command.contact_again_on,
                actor=actor,
                as_of=handlers.now(),
            )
        return _shown(saved)

    @router.post("/requests/{request_id}/appointment")
    async def appoint(request_id: UUID, command: AppointmentCommand, actor: Actor) -> dict[str, Any]:
        """This will agree a visit, or move the one that lies ahead; the answer's `visit_id` is the visitors' key."""
        async with context.begin() as tx:
            saved, visit_id = await handlers.appoint(
                tx,
                request_id=request_id,
                version=command.version,
                starts_at=command.starts_at,
                place=command.place,
                pair=(command.pair[0], command.pair[1]),
                language=command.language,
                actor=actor,
                as_of=handlers.now(),
            )
        return {**_shown(saved), "visit_id": visit_id}

    @router.post("/requests/{request_id}/cancellation")
    async def cancel(request_id: UUID, command: Command, actor: Actor) -> dict[str, Any]:
        """This will cancel the visit that lies ahead; the family's consent stands."""
        async with context.begin() as tx:
            saved = await handlers.cancel_visit(
                tx, request_id=request_id, version=command.version, actor=actor, as_of=handlers.now()
            )
        return _shown(saved)

    @router.post("/visitors")
    async def register_visitor(command: VisitorCommand, actor: Actor, response: Response) -> dict[str, Any]:
        """This will register a visitor (201) or renew one (200)."""
        if command.leap101_valid_from > command.leap101_valid_until:
            raise visits.NotPossible("leap101_valid_from must not be later than leap101_valid_until")
        async with context.begin() as tx:
            version = await desk.save_visitor(
                tx.connection,
                visitor_id=command.visitor_id,
                district=command.district,
                languages=command.languages,
                valid_from=command.leap101_valid_from,
                valid_until=command.leap101_valid_until,
                version=command.version,
            )
        if version is None:
            raise VisitorChanged
        response.status_code = 201 if version == 1 else 200
        return {"visitor_id": command.visitor_id, "version": version}

    @router.get("/counts")
    async def counts() -> dict[str, Any]:
        """This will count requests by district and stage."""
        async with context.begin() as tx:
            rows = await desk.count_requests(tx.connection)
        return {"requests": [dict(row) for row in rows], "total": sum(row["requests"] for row in rows)}

    return router

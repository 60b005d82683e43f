"""Visit log's HTTP: one log per client id, and what is added to it later."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from services.runtime.service import Context
from services.visitlog import handlers, outcomes, store
from services.visitlog.handlers import Log

_PERSON = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class ActorMissing(outcomes.Refusal):
    """Nobody says who makes the change."""

    def __init__(self) -> None:
        super().__init__("say who you are: send your person id in the header X-Leap-Actor")


_STATUS_BY_REFUSAL: dict[type[outcomes.Refusal], int] = {
    ActorMissing: 401,
    outcomes.VisitUnknown: 404,
    outcomes.LogUnknown: 404,
    outcomes.LogDiffers: 409,
    outcomes.LogInvalid: 422,
}


class ExplainingRoute(APIRoute):
    """A route whose 4xx say what to do, and never repeat what was sent: it may name a family."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """This will wrap the route: refusals and invalid input become JSON."""
        inner = super().get_route_handler()

        async def explain(request: Request) -> Response:
            try:
                return await inner(request)
            except outcomes.Refusal as refusal:
                body = {"error": type(refusal).__name__, "message": str(refusal)}
                return JSONResponse(body, status_code=_STATUS_BY_REFUSAL[type(refusal)])
            except RequestValidationError as error:
                faults = [{"where": ".".join(map(str, f["loc"])), "message": f["msg"]} for f in error.errors()]
                message = "correct the fields listed and send again"
                return JSONResponse({"error": "Invalid", "message": message, "fields": faults}, status_code=422)

        return explain


class AmendmentCommand(BaseModel):
    """What is added to a log."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]


def _actor(x_leap_actor: Annotated[str | None, Header(pattern=_PERSON)] = None) -> str:
    if x_leap_actor is None:
        raise ActorMissing
    return x_leap_actor


Actor = Annotated[str, Depends(_actor)]


def routes(context: Context) -> APIRouter:
    """This will offer the log and its amendments under /v1."""
    router = APIRouter(prefix="/v1", route_class=ExplainingRoute)

    @router.put("/visit-logs/{client_id}")
    async def put_log(client_id: UUID, log: Log, actor: Actor, response: Response) -> dict[str, Any]:
        """This will write the log: 201 the first time, 200 for the same log again, 409 for another one."""
        async with context.begin() as tx:
            first = await handlers.write_log(tx, log_id=client_id, log=log, actor=actor, as_of=handlers.now())
        response.status_code = 201 if first else 200
        return {"log_id": client_id, "visit_id": log.visit_id}

    @router.get("/visit-logs/{client_id}")
    async def show_log(client_id: UUID) -> dict[str, Any]:
        """This will show a log as it was written, and how often something was added to it."""
        async with context.begin() as tx:
            log = await store.find_log(tx.connection, client_id)
            if log is None:
                raise outcomes.LogUnknown
            amendments = await store.list_amendments(tx.connection, client_id)
        return {
            **json.loads(log["body"]),
            "log_id": client_id,
            "logged_by": log["logged_by"],
            "logged_at": log["logged_at"],
            "amendments": [dict(row) for row in amendments],
        }

    @router.post("/visit-logs/{client_id}/amendments", status_code=201)
    async def amend(client_id: UUID, command: AmendmentCommand, actor: Actor) -> dict[str, Any]:
        """This will add to a log; what stood there stays."""
        async with context.begin() as tx:
            number = await handlers.amend_log(
                tx, log_id=client_id, note=command.note, actor=actor, as_of=handlers.now()
            )
        return {"log_id": client_id, "amendment": number}

    @router.get("/counts")
    async def counts() -> dict[str, Any]:
        """This will count logs by district and outcome."""
        async with context.begin() as tx:
            rows = await store.count_logs(tx.connection)
        return {"logs": [dict(row) for row in rows], "total": sum(row["logs"] for row in rows)}

    return router

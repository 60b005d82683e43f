"""Visit log's HTTP for programs, under /v1: logs, what is added to them, and what the coordinator works with."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from services.runtime.web.context import Context
from services.visitlog import commands
from services.visitlog.api import logs, office
from services.visitlog.api.refusals import ExplainingRoute, Who
from services.visitlog.commands import Command


def routes(context: Context) -> APIRouter:
    """Offer logs to the people who were there, and the office's lists to the coordinator."""
    router = APIRouter(prefix="/v1", route_class=ExplainingRoute)
    for command in commands.COMMANDS:
        if command.at:
            _offer(router, context, command)
    router.include_router(logs.routes(context))
    router.include_router(office.routes(context))
    return router


def _offer(router: APIRouter, context: Context, command: Command[Any]) -> None:
    async def give(
        of: Annotated[Any, Depends(command.of)], sent: Any, person: Who, response: Response
    ) -> dict[str, Any]:
        done = await commands.carry_out(context, person, command, sent, **of)
        if command.makes:
            response.status_code = 201 if done.is_new else 200
        return dict(done.told)

    # The route's body is the command's model: FastAPI reads it here.
    give.__annotations__["sent"] = command.model
    method, path = command.at.split()
    router.add_api_route(
        path,
        give,
        methods=[method],
        name=command.name,
        description=command.says,
        status_code=201 if command.makes and method == "POST" else 200,
    )

"""The programs' door: every command of the table under /v1, each by the same few lines."""

from typing import Any

from fastapi import APIRouter, Response

from services.runtime.web.context import Context
from services.scheduling.api.asking import SUBJECTS, Who
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.api.shown import shown
from services.scheduling.commands import COMMANDS, Command, carry_out


def routes(context: Context) -> APIRouter:
    """Offer the table's commands."""
    router = APIRouter(route_class=ExplainingRoute)
    for command in COMMANDS:
        _offer(router, context, command)
    return router


def _offer(router: APIRouter, context: Context, command: Command) -> None:
    async def give(subject: Any, sent: Any, who: Who, response: Response) -> dict[str, Any]:
        done = await carry_out(context, who, command.handler, subject, sent)
        response.status_code = 201 if command.makes and sent.version == 0 else 200
        return shown(done)

    # From here FastAPI learns what the address and the body hold.
    give.__annotations__ |= {"subject": SUBJECTS[command.subject], "sent": command.model}
    method, path = command.at.split()
    router.add_api_route(path, give, methods=[method], name=command.handler.__name__, description=command.says)

"""The programs' door: every command of the table under /v1, each by the same few lines."""

from typing import Any

from fastapi import APIRouter, Response

from services.runtime.web.context import Context
from services.visitlog.api.asking import SUBJECTS, Who
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.commands import COMMANDS, Command, carry_out


def routes(context: Context) -> APIRouter:
    """Offer the table's commands, as far as programs may give them."""
    router = APIRouter(route_class=ExplainingRoute)
    for command in COMMANDS:
        if command.at:
            _offer(router, context, command)
    return router


def _offer(router: APIRouter, context: Context, command: Command) -> None:
    async def give(subject: Any, sent: Any, person: Who, response: Response) -> dict[str, Any]:
        done = await carry_out(context, person, command.handler, subject, sent)
        if command.makes:
            response.status_code = 201 if done.is_new else 200
        return dict(done.told)

    # From here FastAPI learns what the address and the body hold.
    give.__annotations__ |= {"subject": SUBJECTS[command.subject], "sent": command.model}
    method, path = command.at.split()
    router.add_api_route(
        path,
        give,
        methods=[method],
        name=command.handler.__name__,
        description=command.says,
        status_code=201 if command.makes and method == "POST" else 200,
    )

"""The people's door: every command that has a form on a request's page, each a plain POST that ends in a redirect.

A form that can't be done comes back with all that was typed: 422 where something needs correcting, 409 where
somebody was faster, with both values.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.forms import Form, read_form
from services.scheduling.commands import COMMANDS, Command, carry_out
from services.scheduling.handlers.requests import claim_next
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, request_id_of, to_request
from services.scheduling.pages.forms import Attempt, kept, read, typed
from services.scheduling.pages.request import request_page
from services.scheduling.rules import visits
from services.scheduling.rules.visits import Answer, What


def routes(desk: Desk) -> APIRouter:
    """Offer what can be done with a request."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.post("/requests/next")
    async def take_next(person: AtTheDesk) -> Response:
        """Claim the most urgent request that nobody holds, and open it."""
        for district in desk.districts_of(person) or ():
            async with desk.context.begin() as tx:
                claimed = await claim_next(tx, district=district, person=person, as_of=desk.now())
            if claimed is not None:
                return to_request(claimed.request_id, What.CLAIMED)
        return RedirectResponse("/queue?none=yes", status_code=303)

    for command in COMMANDS:
        if command.form:
            _offer(router, desk, command)
    return router


def _offer(router: APIRouter, desk: Desk, command: Command) -> None:
    async def send(request: Request, request_id: str, person: AtTheDesk) -> Response:
        key = request_id_of(request_id)
        form = await read_form(request)
        reading = read(command.model, form, given=_given(command, form))
        attempt, status = Attempt(form=command.form, done=command.done, kept=kept(form), faults=reading.faults), 422
        if reading.value is not None:
            try:
                await carry_out(desk.context, person, command.handler, key, reading.value)
                return to_request(key, command.done)
            except visits.Refusal as refusal:
                attempt, status = desk.failed(request, refusal, attempt)
        return await request_page(desk, request, request_id=key, person=person, attempt=attempt, status=status)

    router.add_api_route(f"/requests/{{request_id}}/{command.form}", send, methods=["POST"])


def _given(command: Command, form: Form) -> dict[str, Any]:
    if command.done is not What.CONTACTED:
        return {}
    # The day belongs to "later" alone; beside another button it was only left standing.
    later = form.get("answer") == Answer.LATER
    return typed(form, "way", "contact_again_on") if later else {**typed(form, "way"), "contact_again_on": None}

"""What people do with a request: every form of its page, each a plain POST that ends in a redirect.

A form that can't be done comes back with all that was typed: 422 where something needs correcting, 409 where
somebody was faster, with both values.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.delivery.transaction import Transaction
from services.runtime.web.forms import read_form
from services.runtime.web.people import Person
from services.scheduling.handlers import appointments as visit_commands
from services.scheduling.handlers import requests as commands
from services.scheduling.pages import past
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, request_id_of
from services.scheduling.pages.forms import Typed
from services.scheduling.pages.request import Attempt, request_page
from services.scheduling.rules import visits
from services.scheduling.rules.visits import Answer, ClosingReason, TakeOverReason, Way

Command = Callable[[Transaction, int, datetime], Awaitable[Any]]


def router(desk: Desk) -> APIRouter:
    """Offer the actions on a request."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.post("/requests/next")
    async def claim_next(person: AtTheDesk) -> Response:
        """Claim the most urgent request that nobody holds, and open it."""
        for district in desk.districts_of(person) or ():
            async with desk.context.begin() as tx:
                claimed = await commands.claim_next(tx, district=district, person=person, as_of=desk.now())
            if claimed is not None:
                return _to(claimed.request_id, "claimed")
        return RedirectResponse("/queue?none=yes", status_code=303)

    @routes.post("/requests/{request_id}/claim")
    async def claim(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Take the request for 15 minutes."""
        return await _act(
            desk, request, request_id, person, "claim", "claimed",
            lambda typed, key: lambda tx, version, as_of: commands.claim(
                tx, request_id=key, version=version, person=person, as_of=as_of
            ),
        )  # fmt: skip

    @routes.post("/requests/{request_id}/release")
    async def release(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Give the request back to the queue."""
        return await _act(
            desk, request, request_id, person, "release", "released",
            lambda typed, key: lambda tx, version, as_of: commands.release(
                tx, request_id=key, version=version, person=person, as_of=as_of
            ),
        )  # fmt: skip

    @routes.post("/requests/{request_id}/take-over")
    async def take_over(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Take the request from its holder, for a stated reason."""

        def read(typed: Typed, key: UUID) -> Command:
            reason = typed.choice("reason", past.TAKE_OVER_REASONS)
            return lambda tx, version, as_of: commands.take_over(
                tx,
                request_id=key,
                version=version,
                reason=TakeOverReason(cast(str, reason)),
                person=person,
                as_of=as_of,
            )

        return await _act(desk, request, request_id, person, "take-over", "taken_over", read)

    @routes.post("/requests/{request_id}/contact")
    async def contact(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Record one contact with the family and what came of it."""

        def read(typed: Typed, key: UUID) -> Command:
            way = typed.choice("way", [each.value for each in Way])
            answer = typed.choice("answer", [each.value for each in Answer])
            # The day belongs to "later" alone; beside another button it was only left standing.
            again = typed.day("contact_again_on") if answer == Answer.LATER else None
            return lambda tx, version, as_of: commands.record_attempt(
                tx,
                request_id=key,
                version=version,
                way=Way(cast(str, way)),
                answer=Answer(cast(str, answer)),
                contact_again_on=again,
                person=person,
                as_of=as_of,
            )

        return await _act(desk, request, request_id, person, "contact", "contacted", read)

    @routes.post("/requests/{request_id}/close")
    async def close(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Close the request for a reason that holds."""

        def read(typed: Typed, key: UUID) -> Command:
            because = typed.choice("because", [each.value for each in ClosingReason])
            return lambda tx, version, as_of: commands.close(
                tx,
                request_id=key,
                version=version,
                because=ClosingReason(cast(str, because)),
                person=person,
                as_of=as_of,
            )

        return await _act(desk, request, request_id, person, "close", "closed", read)

    @routes.post("/requests/{request_id}/reopening")
    async def reopen(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Let a closed request wait again, by the family's or the coordinator's wish."""

        def read(typed: Typed, key: UUID) -> Command:
            wished_by = typed.choice("wished_by", past.WISHED_BY)
            return lambda tx, version, as_of: commands.reopen(
                tx,
                request_id=key,
                version=version,
                wished_by=cast(Literal["family", "coordinator"], wished_by),
                person=person,
                as_of=as_of,
            )

        return await _act(desk, request, request_id, person, "reopening", "reopened", read)

    @routes.post("/requests/{request_id}/undo")
    async def undo(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Take the person's last change back."""
        return await _act(
            desk, request, request_id, person, "undo", "undone",
            lambda typed, key: lambda tx, version, as_of: commands.undo(
                tx, request_id=key, version=version, person=person, as_of=as_of
            ),
        )  # fmt: skip

    @routes.post("/requests/{request_id}/confirmation")
    async def confirm(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Note that family and pair know of the visit."""
        return await _act(
            desk, request, request_id, person, "confirmation", "confirmed",
            lambda typed, key: lambda tx, version, as_of: visit_commands.confirm_visit(
                tx, request_id=key, version=version, person=person, as_of=as_of
            ),
        )  # fmt: skip

    @routes.post("/requests/{request_id}/cancellation")
    async def cancel(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Cancel the visit that lies ahead; the family's consent stands."""
        return await _act(
            desk, request, request_id, person, "cancellation", "cancelled",
            lambda typed, key: lambda tx, version, as_of: visit_commands.cancel_visit(
                tx, request_id=key, version=version, person=person, as_of=as_of
            ),
        )  # fmt: skip

    return routes


async def _act(
    desk: Desk,
    request: Request,
    request_id: str,
    person: Person,
    form: str,
    said: str,
    read: Callable[[Typed, UUID], Command],
) -> Response:
    """Read the form, do it, and lead back to the request; or show the page with the form as it was typed."""
    key = request_id_of(request_id)
    typed = Typed(await read_form(request))
    version = typed.version()
    command = read(typed, key)
    attempt = Attempt(form=form, kept=typed.kept, faults=typed.faults)
    status = 422
    if version is not None and not typed.faults:
        try:
            async with desk.context.begin() as tx:
                await command(tx, version, desk.now())
            return _to(key, said)
        except visits.Refusal as refusal:
            attempt, status = failed(desk, request, refusal, form=form, typed=typed)
    return await request_page(desk, request, request_id=key, person=person, attempt=attempt, status=status)


def failed(desk: Desk, request: Request, refusal: visits.Refusal, *, form: str, typed: Typed) -> tuple[Attempt, int]:
    """Say what a refused form becomes, and with which status. What is not there for this person raises."""
    if isinstance(refusal, visits.RequestUnknown | visits.NotAllowed):
        raise refusal
    stale = isinstance(refusal, visits.StaleVersion)
    held = isinstance(refusal, visits.HeldByAnother)
    attempt = Attempt(
        form=form,
        kept=typed.kept,
        refusal=desk.say(request, refusal),
        stale=stale,
        held_by=refusal.claimed_by if isinstance(refusal, visits.HeldByAnother) else None,
    )
    return attempt, 409 if stale or held else 422


def _to(request_id: UUID, said: str) -> Response:
    return RedirectResponse(f"/requests/{request_id}?said={said}", status_code=303)

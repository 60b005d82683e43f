"""A visitor's own pages: my visits, one visit, and the safety timer. All of it works without JavaScript."""

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.context import Context
from services.runtime.web.forms import WORDS, read_form, read_into
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.visitlog.api.asking import Who
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.commands import carry_out
from services.visitlog.handlers import access, safety
from services.visitlog.handlers.acts import acting
from services.visitlog.pages import view
from services.visitlog.pages.fields import id_in
from services.visitlog.pages.words import language_names, page_words
from services.visitlog.rules.form import Nothing, SafetyCommand, SafetyMinutes
from services.visitlog.store import visits as stored_visits


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer a visitor's visits."""
    router = APIRouter(route_class=ExplainingRoute, include_in_schema=False)

    @router.get("/")
    async def my_visits(request: Request, person: Who) -> Response:
        """Show the visits that wait for a log, today's, and those to come."""
        if person.role == access.COORDINATOR:
            return RedirectResponse("/office", status_code=303)
        if person.role != access.VISITOR:
            raise HTTPException(404, N_("The visit log is for visitors and their coordinator."))
        async with acting(context, person) as act:
            board = await view.board_of(act, pages)
        values = {**page_words(person, "visits"), "board": board, "as_of": act.as_of}
        return pages.render(request, "visits.html", values)

    @router.get("/visits/{visit}")
    async def one_visit(request: Request, visit: str, person: Who) -> Response:
        """Show one visit: when, where, whom, and what was agreed last time."""
        visit_id = id_in(visit)
        async with acting(context, person) as act:
            agreed = await access.visit_of(act, visit_id)
            card = await view.card_of(act, pages, agreed)
            before = await view.last_time(act, agreed)
            timers = await stored_visits.list_safety_timers(act.connection, visit_id=visit_id)
        shown = {
            "card": card,
            "before": before,
            "timer": next((each for each in timers if each["person"] == person.name), None),
            "safety_minutes": [each.value for each in SafetyMinutes],
            "language_names": language_names(pages, request, card.language),
        }
        return pages.render(request, "visit.html", {**page_words(person, "visits"), **shown})

    @router.post("/visits/{visit}/safety")
    async def look_after_me(request: Request, visit: str, person: Who) -> Response:
        """Start a timer: not back by then, and the coordinator sees it."""
        visit_id = id_in(visit)
        read = read_into(SafetyCommand, await read_form(request))
        if read.value is None:
            raise HTTPException(422, WORDS["enum"])
        await carry_out(context, person, safety.start_timer, visit_id, read.value)
        return RedirectResponse(f"/visits/{visit_id}", status_code=303)

    @router.post("/visits/{visit}/safe")
    async def all_well(visit: str, person: Who) -> Response:
        """End the timer."""
        visit_id = id_in(visit)
        await carry_out(context, person, safety.end_timer, visit_id, Nothing())
        return RedirectResponse(f"/visits/{visit_id}", status_code=303)

    return router

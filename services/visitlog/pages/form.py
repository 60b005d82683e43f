"""The form of a log: asked, written once, or shown again with all that was typed beside what is to be corrected."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.forms import Form, read_form
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.runtime.web.problems import wants_page
from services.visitlog.api.asking import Who
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.handlers import access, disclosing, logs
from services.visitlog.handlers.acts import Act, acting
from services.visitlog.pages import fields, view
from services.visitlog.pages.fields import Shown, id_in
from services.visitlog.pages.words import language_names, page_words
from services.visitlog.rules import outcomes
from services.visitlog.rules.form import Log
from services.visitlog.store import logs as stored_logs
from services.visitlog.store import office as stored_office
from services.visitlog.store import visits as stored_visits

LARGEST_FORM = 200 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom the form asks, of which visit, under which id of the log to be."""

    request: Request
    person: Person
    visit_id: UUID
    log_id: UUID


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer the form to the two who were there, and to their coordinator."""
    router = APIRouter(route_class=ExplainingRoute, include_in_schema=False)

    @router.get("/visits/{visit}/log")
    async def ask(request: Request, visit: str, person: Who) -> Response:
        """Ask what happened; a visit that took place and is logged shows its log instead."""
        asked = Asked(request=request, person=person, visit_id=id_in(visit), log_id=fields.uuid7(clock.now()))
        async with acting(context, person) as act:
            await access.visit_of(act, asked.visit_id)
            for log in await stored_logs.logs_of_visit(act.connection, asked.visit_id):
                if log["outcome"] == outcomes.TOOK_PLACE:
                    return RedirectResponse(f"/logs/{log['log_id']}", status_code=303)
            return await _form_page(act, pages, asked)

    @router.post("/visits/{visit}/logs/{client}")
    @router.put("/visits/{visit}/logs/{client}")
    async def write(request: Request, visit: str, client: str, person: Who) -> Response:
        """Write the log of a form, sent by a page (POST) or by a phone's outbox (PUT), once."""
        asked = Asked(request=request, person=person, visit_id=id_in(visit), log_id=id_in(client))
        form = await read_form(request, max_bytes=LARGEST_FORM)
        # A page that one person left open must not write under the name of whoever signed in after them.
        if form.get("written_by", person.name) != person.name:
            raise HTTPException(403, N_("somebody else began this log here; it is sent when they sign in again"))
        read = fields.read_log(form, visit_id=asked.visit_id, zone=context.settings.zone)
        if read.value is None:
            return await _to_correct(context, pages, asked, form, errors=read.said(pages.language(request)))
        try:
            async with acting(context, person) as act:
                done = await logs.put_log(act, read.value, asked.log_id)
                await stored_visits.end_safety_timer(
                    act.connection, visit_id=asked.visit_id, person=person.name, as_of=act.as_of
                )
        except outcomes.LogInvalid as invalid:
            return await _to_correct(context, pages, asked, form, problem=str(invalid))
        except (outcomes.LogDiffers, outcomes.VisitLogged) as conflict:
            if not wants_page(request):
                if isinstance(conflict, outcomes.LogDiffers):
                    await disclosing.note_conflict(context, person, asked.log_id, conflict)
                raise
            return await _both_logs(context, pages, asked, read.value, conflict)
        if wants_page(request):
            return RedirectResponse(f"/logs/{asked.log_id}?settled={asked.log_id}", status_code=303)
        return JSONResponse({"log_id": str(asked.log_id), "first": done.is_new}, 201 if done.is_new else 200)

    return router


async def _form_page(
    act: Act, pages: Pages, asked: Asked, *, shown: Shown | None = None, problem: str = "", status: int = 200
) -> Response:
    visit = await access.visit_of(act, asked.visit_id)
    card = await view.card_of(act, pages, visit)
    policy = (await stored_office.list_policies(act.connection, visit["district"], day=act.today))[0]
    earlier = await stored_logs.last_log_of_household(
        act.connection, household_key=visit["household_key"], before=act.as_of
    )
    colleagues = {*visit["pair"], *await stored_logs.list_visitors(act.connection, visit["district"])}
    values = {
        "card": card,
        "client_id": asked.log_id,
        "f": shown or fields.prefilled(visit, zone=act.zone),
        "problem": problem,
        "short": policy.short_first_visit and earlier is None,
        "policy": policy,
        "pair": list(visit["pair"]) or ["", ""],
        "colleagues": {name: view.display_name(pages, name) for name in sorted(colleagues)},
        "referral_rows": fields.REFERRAL_ROWS,
        "promise_rows": fields.PROMISE_ROWS,
        "today": act.today,
        "language_names": language_names(pages, asked.request, visit["language"]),
    }
    return pages.render(asked.request, "form.html", {**page_words(act.person, "visits"), **values}, status)


async def _to_correct(
    context: Context,
    pages: Pages,
    asked: Asked,
    form: Form,
    *,
    errors: Mapping[str, str] | None = None,
    problem: str = "",
) -> Response:
    language, errors = pages.language(asked.request), dict(errors or {})
    problem = language.gettext(problem) if problem else ""
    if not wants_page(asked.request):
        title = language.gettext(N_("Something needs correcting"))
        return pages.problem(asked.request, 422, title, problem, fields=errors)
    async with acting(context, asked.person) as act:
        shown = Shown(form, errors)
        return await _form_page(act, pages, asked, shown=shown, problem=problem, status=422)


async def _both_logs(
    context: Context, pages: Pages, asked: Asked, log: Log, conflict: outcomes.LogDiffers | outcomes.VisitLogged
) -> Response:
    log_id = conflict.log_id if isinstance(conflict, outcomes.VisitLogged) else asked.log_id
    sent = json.loads(log.in_one_spelling())
    async with acting(context, asked.person) as act:
        standing = await access.log_of(act, log_id)
        body = logs.readable_body(standing, act.person)
        await disclosing.note_log(act, standing, body)
    values = {
        "log_id": log_id,
        "client_id": asked.log_id,
        "standing": fields.as_text(body),
        "standing_by": view.display_name(pages, standing["logged_by"]),
        "standing_at": standing["logged_at"],
        "sent": fields.as_text(sent, with_private_note=True),
        # An amendment is read by both of the pair: the private note goes into it only by the writer's own hand.
        "addition": fields.as_text(sent),
        "problem": pages.language(asked.request).gettext(str(conflict)),
    }
    return pages.render(asked.request, "conflict.html", {**page_words(act.person, "visits"), **values}, 409)

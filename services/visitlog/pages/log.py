"""A log as it is read: with what was added to it, and how far its referrals have come."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.context import Context
from services.runtime.web.forms import WORDS, Layout, read_form, read_into
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.visitlog.api.asking import Who
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.commands import carry_out
from services.visitlog.handlers import access, disclosing, logs
from services.visitlog.handlers.acts import Act, acting
from services.visitlog.pages import fields, view
from services.visitlog.pages.fields import id_in
from services.visitlog.pages.words import language_names, page_words
from services.visitlog.rules.form import AmendmentCommand, ReferralCommand
from services.visitlog.rules.outcomes import REFERRAL_ORDER
from services.visitlog.store import logs as stored_logs
from services.visitlog.store import office as stored_office

_LAYOUT = Layout(words={"note": N_("Write something, at most 20,000 letters.")})


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer a log to those who were there, to be read and added to."""
    router = APIRouter(route_class=ExplainingRoute, include_in_schema=False)

    async def shown(request: Request, person: Person, log_id: UUID, status: int = 200, **more: Any) -> Response:
        async with acting(context, person) as act:
            values = await _log_shown(act, pages, log_id)
        values |= {"note": "", "error": "", "settled": "", "language_names": language_names(pages, request)}
        return pages.render(request, "log.html", {**page_words(person, "visits"), **values, **more}, status)

    @router.get("/logs/{log}")
    async def show(request: Request, log: str, person: Who, settled: str = "") -> Response:
        """Show a log, and offer to add to it."""
        return await shown(request, person, id_in(log), settled=str(id_in(settled)) if settled else "")

    @router.post("/logs/{log}/amendments")
    async def amend(request: Request, log: str, person: Who) -> Response:
        """Add to a log."""
        log_id, form = id_in(log), await read_form(request)
        settled, amendment = form.get("settled"), form.get("amendment_id")
        given = {"amendment_id": id_in(amendment) if amendment else None}
        read = read_into(AmendmentCommand, form, layout=_LAYOUT, given=given)
        if read.value is None:
            said = {"note": form.get("note"), "error": read.said(pages.language(request))["note"]}
            return await shown(request, person, log_id, 422, **said)
        await carry_out(context, person, logs.amend, log_id, read.value)
        after = f"?settled={id_in(settled)}" if settled else ""
        return RedirectResponse(f"/logs/{log_id}{after}#added", status_code=303)

    @router.post("/logs/{log}/referrals/{referral}")
    async def move(request: Request, log: str, referral: str, person: Who) -> Response:
        """Move a referral on."""
        of = id_in(log), id_in(referral)
        read = read_into(ReferralCommand, await read_form(request))
        if read.value is None:
            raise HTTPException(422, WORDS["enum"])
        await carry_out(context, person, logs.move_referral, of, read.value)
        return RedirectResponse(f"/logs/{of[0]}#referrals", status_code=303)

    return router


async def _log_shown(act: Act, pages: Pages, log_id: UUID) -> dict[str, Any]:
    log = await access.log_of(act, log_id)
    body = logs.readable_body(log, act.person)
    await disclosing.note_log(act, log, body)
    policies = await stored_office.list_policies(act.connection, log["district"], day=act.today)
    amendments = await stored_logs.list_amendments(act.connection, log_id)
    referrals = await stored_logs.list_referrals(act.connection, log_id)
    return {
        "log": log,
        "body": body,
        "visit": await stored_logs.find_visit(act.connection, log["visit_id"]),
        "pair": [view.display_name(pages, name) for name in log["pair"]],
        "name_of": {name: view.display_name(pages, name) for name in (*log["pair"], log["logged_by"])},
        "amendments": [{**dict(row), "by": view.display_name(pages, row["made_by"])} for row in amendments],
        "referrals": [{**dict(row), "next": _next_statuses(row["status"])} for row in referrals],
        "extra_fields": {field.code: field for policy in reversed(policies) for field in policy.extra_fields},
        "amendment_id": fields.uuid7(act.as_of),
    }


def _next_statuses(status: str) -> tuple[str, ...]:
    return () if status == REFERRAL_ORDER[-1] else REFERRAL_ORDER[REFERRAL_ORDER.index(status) + 1 :]

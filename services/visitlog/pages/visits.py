"""A visitor's pages: my visits, one visit, its form, its log. Every one works as a plain form without JavaScript."""

import json
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context
from services.runtime.web.forms import Form, read_form
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages, signed_in
from services.runtime.web.people import Person
from services.runtime.web.problems import wants_page
from services.visitlog.api import ExplainingRoute
from services.visitlog.handlers import access, logs
from services.visitlog.pages import fields, view, words
from services.visitlog.pages.fields import FormFaulty, Shown
from services.visitlog.rules import outcomes
from services.visitlog.rules.form import AmendmentText, ReferralStatus
from services.visitlog.rules.outcomes import REFERRAL_ORDER
from services.visitlog.store import logs as stored_logs
from services.visitlog.store import office as stored_office
from services.visitlog.store import visits as stored_visits

LARGEST_FORM = 200 * 1024
SAFETY_MINUTES = (60, 90, 120, 180)
_NOTE: TypeAdapter[str] = TypeAdapter(AmendmentText)
Who = Annotated[Person, Depends(signed_in)]


def there(text: str) -> UUID:
    """Read an id from an address; what is none leads nowhere."""
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(404) from None


def common(pages: Pages, person: Person, current: str) -> dict[str, Any]:
    """Give what every page of ours knows."""
    return {
        "words": words.ALL,
        "of_code": words.of_code,
        "as_date": date.fromisoformat,
        "role": person.role,
        "current": current,
    }


def _language_names(pages: Pages, request: Request, *more: str | None) -> dict[str, str]:
    """Name the languages that families here speak, in the reader's own, and `more`."""
    locale = pages.language(request).locale
    codes = {*words.LANGUAGES, *(code for code in more if code)}
    names = {
        code: locale.languages.get(code.replace("-", "_")) or locale.languages.get(code[:2]) or code for code in codes
    }
    return dict(sorted(names.items(), key=lambda named: named[1].casefold()))


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer the visitor's pages."""
    router = APIRouter(route_class=ExplainingRoute, include_in_schema=False)

    @router.get("/")
    async def my_visits(request: Request, person: Who) -> Response:
        """Show the visits that wait for a log, today's, and those to come."""
        if person.role == access.COORDINATOR:
            return RedirectResponse("/office", status_code=303)
        if person.role != access.VISITOR:
            raise HTTPException(404, N_("The visit log is for visitors and their coordinator."))
        as_of = clock.now()
        async with context.begin() as tx:
            board = await view.board_of(tx, pages, person, as_of)
        return pages.render(request, "visits.html", {**common(pages, person, "visits"), "board": board, "as_of": as_of})

    @router.get("/visits/{visit}")
    async def one_visit(request: Request, visit: str, person: Who) -> Response:
        """Show one visit: when, where, whom, and what was agreed last time."""
        visit_id, as_of = there(visit), clock.now()
        async with context.begin() as tx:
            card = await view.card_of(tx, pages, visit_id, person, as_of)
            row = await access.visit_of(tx.connection, visit_id, person)
            before = await view.last_time(tx.connection, row, as_of)
            timers = await stored_visits.list_safety_timers(tx.connection, visit_id=visit_id)
        timer = next((each for each in timers if each["person"] == person.name), None)
        shown = {
            "card": card,
            "before": before,
            "timer": timer,
            "safety_minutes": SAFETY_MINUTES,
            "language_names": _language_names(pages, request, card.language),
        }
        return pages.render(request, "visit.html", {**common(pages, person, "visits"), **shown})

    @router.post("/visits/{visit}/safety")
    async def look_after_me(request: Request, visit: str, person: Who) -> Response:
        """Start a timer: not back by then, and the coordinator sees it."""
        visit_id, form, as_of = there(visit), await read_form(request), clock.now()
        if form.get("minutes") not in {str(minutes) for minutes in SAFETY_MINUTES}:
            raise HTTPException(422, N_("Choose one of these."))
        back_by = as_of + timedelta(minutes=int(form.get("minutes")))
        async with context.begin() as tx:
            await access.visit_of(tx.connection, visit_id, person)
            await stored_visits.start_safety_timer(
                tx.connection, visit_id=visit_id, person=person.name, back_by=back_by, as_of=as_of
            )
        return RedirectResponse(f"/visits/{visit_id}", status_code=303)

    @router.post("/visits/{visit}/safe")
    async def all_well(visit: str, person: Who) -> Response:
        """End the timer."""
        visit_id = there(visit)
        async with context.begin() as tx:
            await access.visit_of(tx.connection, visit_id, person)
            await stored_visits.end_safety_timer(
                tx.connection, visit_id=visit_id, person=person.name, as_of=clock.now()
            )
        return RedirectResponse(f"/visits/{visit_id}", status_code=303)

    _offer_form(router, context, pages)
    _offer_log(router, context, pages)
    return router


async def _form_page(
    tx: Transaction,
    pages: Pages,
    request: Request,
    person: Person,
    *,
    visit_id: UUID,
    client_id: UUID,
    shown: Shown | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    as_of = clock.now()
    card = await view.card_of(tx, pages, visit_id, person, as_of)
    visit = await access.visit_of(tx.connection, visit_id, person)
    policy = (await stored_office.list_policies(tx.connection, visit["district"]))[0]
    earlier = await stored_logs.last_log_of_household(tx.connection, household_key=visit["household_key"], before=as_of)
    colleagues = {*visit["pair"], *await stored_logs.list_visitors(tx.connection, visit["district"])}
    values = {
        "card": card,
        "client_id": client_id,
        "f": shown or fields.prefilled(visit, tx.zone),
        "problem": problem,
        "short": policy.short_first_visit and earlier is None,
        "policy": policy,
        "pair": list(visit["pair"]) or ["", ""],
        "colleagues": {name: view.display_name(pages, name) for name in sorted(colleagues)},
        "referral_rows": fields.REFERRAL_ROWS,
        "promise_rows": fields.PROMISE_ROWS,
        "today": local_day(as_of, zone=tx.zone),
        "language_names": _language_names(pages, request, visit["language"]),
    }
    return pages.render(request, "form.html", {**common(pages, person, "visits"), **values}, status)


def _offer_form(router: APIRouter, context: Context, pages: Pages) -> None:
    @router.get("/visits/{visit}/log")
    async def ask(request: Request, visit: str, person: Who) -> Response:
        """Ask what happened; a visit that took place and is logged shows its log instead."""
        visit_id = there(visit)
        async with context.begin() as tx:
            await access.visit_of(tx.connection, visit_id, person)
            for log in await stored_logs.logs_of_visit(tx.connection, visit_id):
                if log["outcome"] == outcomes.TOOK_PLACE:
                    return RedirectResponse(f"/logs/{log['log_id']}", status_code=303)
            client_id = fields.uuid7(clock.now())
            return await _form_page(tx, pages, request, person, visit_id=visit_id, client_id=client_id)

    @router.post("/visits/{visit}/logs/{client}")
    @router.put("/visits/{visit}/logs/{client}")
    async def write(request: Request, visit: str, client: str, person: Who) -> Response:
        """Write the log of a form, sent by a page (POST) or by a phone's outbox (PUT), once."""
        visit_id, client_id = there(visit), there(client)
        form = await read_form(request, max_bytes=LARGEST_FORM)
        try:
            async with context.begin() as tx:
                log = fields.log_of_form(form, visit_id=visit_id, zone=tx.zone)
                as_of = clock.now()
                first = await logs.write_log(tx, log_id=client_id, log=log, person=person, as_of=as_of)
                await stored_visits.end_safety_timer(tx.connection, visit_id=visit_id, person=person.name, as_of=as_of)
        except FormFaulty as faulty:
            return await _again(request, person, form, visit_id, client_id, faulty.errors, "")
        except outcomes.LogInvalid as invalid:
            return await _again(request, person, form, visit_id, client_id, {}, str(invalid))
        except (outcomes.LogDiffers, outcomes.VisitLogged) as conflict:
            if not wants_page(request):
                raise
            return await _both(request, person, form, visit_id, client_id, conflict)
        if wants_page(request):
            return RedirectResponse(f"/logs/{client_id}?settled={client_id}", status_code=303)
        return JSONResponse({"log_id": str(client_id), "first": first}, status_code=201 if first else 200)

    async def _again(
        request: Request,
        person: Person,
        form: Form,
        visit_id: UUID,
        client_id: UUID,
        errors: dict[str, str],
        problem: str,
    ) -> Response:
        language = pages.language(request)
        said = {field: language.gettext(message) for field, message in errors.items()}
        if not wants_page(request):
            title = language.gettext(N_("Something needs correcting"))
            return pages.problem(request, 422, title, language.gettext(problem) if problem else "", fields=said)
        async with context.begin() as tx:
            return await _form_page(
                tx,
                pages,
                request,
                person,
                visit_id=visit_id,
                client_id=client_id,
                shown=fields.typed(form, said),
                problem=language.gettext(problem) if problem else "",
                status=422,
            )

    async def _both(
        request: Request,
        person: Person,
        form: Form,
        visit_id: UUID,
        client_id: UUID,
        conflict: outcomes.LogDiffers | outcomes.VisitLogged,
    ) -> Response:
        log_id = conflict.log_id if isinstance(conflict, outcomes.VisitLogged) else client_id
        sent = json.loads(fields.log_of_form(form, visit_id=visit_id, zone=pages.zone).in_one_spelling())
        async with context.begin() as tx:
            standing = await access.log_of(tx.connection, log_id, person)
        values = {
            "log_id": log_id,
            "client_id": client_id,
            "standing": fields.as_text(logs.readable_body(standing, person)),
            "standing_by": view.display_name(pages, standing["logged_by"]),
            "standing_at": standing["logged_at"],
            "sent": fields.as_text(sent, with_private_note=True),
            # An amendment is read by both of the pair: the private note goes into it only by the writer's own hand.
            "addition": fields.as_text(sent),
            "problem": pages.language(request).gettext(str(conflict)),
        }
        return pages.render(request, "conflict.html", {**common(pages, person, "visits"), **values}, 409)


def _offer_log(router: APIRouter, context: Context, pages: Pages) -> None:
    async def _shown(request: Request, person: Person, log_id: UUID, status: int = 200, **more: Any) -> Response:
        as_of = clock.now()
        async with context.begin() as tx:
            log = await access.log_of(tx.connection, log_id, person)
            await _note_reading(tx, log, person, as_of)
            visit = await stored_logs.find_visit(tx.connection, log["visit_id"])
            policies = await stored_office.list_policies(tx.connection, log["district"])
            values = {
                "log": log,
                "body": logs.readable_body(log, person),
                "visit": visit,
                "pair": [view.display_name(pages, name) for name in log["pair"]],
                "name_of": {name: view.display_name(pages, name) for name in (*log["pair"], log["logged_by"])},
                "amendments": [
                    {**dict(row), "by": view.display_name(pages, row["made_by"])}
                    for row in await stored_logs.list_amendments(tx.connection, log_id)
                ],
                "referrals": [
                    {**dict(row), "next": _next_statuses(row["status"])}
                    for row in await stored_logs.list_referrals(tx.connection, log_id)
                ],
                "extra_fields": {field.code: field for policy in reversed(policies) for field in policy.extra_fields},
                "amendment_id": fields.uuid7(as_of),
                "note": "",
                "error": "",
                "settled": "",
                "language_names": _language_names(pages, request),
            }
        return pages.render(request, "log.html", {**common(pages, person, "visits"), **values, **more}, status)

    @router.get("/logs/{log}")
    async def show(request: Request, log: str, person: Who, settled: str = "") -> Response:
        """Show a log, and offer to add to it."""
        return await _shown(request, person, there(log), settled=str(there(settled)) if settled else "")

    @router.post("/logs/{log}/amendments")
    async def amend(request: Request, log: str, person: Who) -> Response:
        """Add to a log."""
        log_id, form = there(log), await read_form(request)
        settled, amendment = form.get("settled"), form.get("amendment_id")
        try:
            note = _NOTE.validate_python(form.get("note"))
        except ValidationError:
            message = N_("Write something, at most 20,000 letters.")
            said = {"note": form.get("note"), "error": pages.language(request).gettext(message)}
            return await _shown(request, person, log_id, 422, **said)
        async with context.begin() as tx:
            await logs.amend_log(
                tx,
                log_id=log_id,
                amendment_id=there(amendment) if amendment else None,
                note=note,
                person=person,
                as_of=clock.now(),
            )
        after = f"?settled={there(settled)}" if settled else ""
        return RedirectResponse(f"/logs/{log_id}{after}#added", status_code=303)

    @router.post("/logs/{log}/referrals/{referral}")
    async def move(request: Request, log: str, referral: str, person: Who) -> Response:
        """Move a referral on."""
        log_id, referral_id, form = there(log), there(referral), await read_form(request)
        if form.get("status") not in REFERRAL_ORDER:
            raise HTTPException(422, N_("Choose one of these."))
        async with context.begin() as tx:
            await logs.move_referral(
                tx,
                log_id=log_id,
                referral_id=referral_id,
                status=ReferralStatus(form.get("status")),
                person=person,
                as_of=clock.now(),
            )
        return RedirectResponse(f"/logs/{log_id}#referrals", status_code=303)


def _next_statuses(status: str) -> tuple[str, ...]:
    return () if status == REFERRAL_ORDER[-1] else REFERRAL_ORDER[REFERRAL_ORDER.index(status) + 1 :]


async def _note_reading(tx: Transaction, log: asyncpg.Record, person: Person, as_of: datetime) -> None:
    await stored_visits.record_disclosures(
        tx.connection,
        households=[log["household_key"]],
        district_by_household={log["household_key"]: log["district"]},
        person=person.name,
        purpose="coordination" if person.role == access.COORDINATOR else "own_visit",
        what="log",
        seen_on=local_day(as_of, zone=tx.zone),
        as_of=as_of,
    )

"""The coordinator's page: missing logs, questions, notes, pay, and who is still out."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from contracts.disclosures import What
from services.runtime.web.context import Context
from services.runtime.web.forms import Form, read_form, read_into
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages
from services.runtime.web.people import Person
from services.visitlog.api.asking import Who
from services.visitlog.api.refusals import ExplainingRoute
from services.visitlog.commands import carry_out
from services.visitlog.handlers import access, disclosing, office
from services.visitlog.handlers.access import NotYours
from services.visitlog.handlers.acts import Act, acting
from services.visitlog.pages import view
from services.visitlog.pages.fields import scaled
from services.visitlog.pages.words import page_words
from services.visitlog.rules.outcomes import Due
from services.visitlog.rules.pay import Rate, RateCommand, dollars
from services.visitlog.store import office as stored_office
from services.visitlog.store import visits as stored_visits
from services.visitlog.store.visits import Listed

VIEWS = {
    "missing": N_("Missing logs"),
    "questions": N_("Questions"),
    "notes": N_("Notes"),
    "pay": N_("Pay"),
}
LOOK_BACK = timedelta(days=30)
MOST_MISSING = 200
# An amount's field, what it is in the command, and how many places it may have.
_AMOUNTS = (
    ("hourly", "hourly_cents", 2),
    ("travel_hourly", "travel_hourly_cents", 2),
    ("mile", "mile_tenth_cents", 1),
    ("show_up", "show_up_cents", 2),
)
_RATE_FIELDS = ("effective_from", *(name for name, _, _ in _AMOUNTS))
_RATE_PROBLEM = N_("Write a day, and amounts like 28.50.")


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer the coordinator's page."""
    router = APIRouter(route_class=ExplainingRoute, include_in_schema=False)

    async def shown(request: Request, person: Person, chosen: str, *, typed: Form | None = None) -> Response:
        access.check_coordinates(person)
        problem = pages.language(request).gettext(_RATE_PROBLEM) if typed is not None else ""
        async with acting(context, person) as act:
            values = await _lists(act, pages, chosen if chosen in VIEWS else "missing")
        values |= {
            "typed": {name: typed.get(name) if typed is not None else "" for name in _RATE_FIELDS},
            "rate_problem": problem,
        }
        return pages.render(request, "office.html", {**page_words(person, "office"), **values}, 422 if problem else 200)

    @router.get("/office")
    async def show(request: Request, person: Who, view: str = "missing") -> Response:
        """Show one of the views."""
        return await shown(request, person, view)

    @router.post("/office/rates")
    async def set_rate(request: Request, person: Who) -> Response:
        """Set what is paid from a day on."""
        form = await read_form(request)
        if not access.is_office(person, form.get("district")):
            raise NotYours
        read = read_into(RateCommand, form, given={field: scaled(form.get(name), n) for name, field, n in _AMOUNTS})
        if read.value is None:
            return await shown(request, person, "pay", typed=form)
        await carry_out(context, person, office.set_rate, None, read.value)
        return RedirectResponse("/office?view=pay", status_code=303)

    return router


async def _lists(act: Act, pages: Pages, chosen: str) -> dict[str, Any]:
    today = act.today
    listed = Listed(
        districts=act.districts,
        due=(Due.OVERDUE, Due.EXPECTED),
        starts_from=act.as_of - view.LOOK_BACK,
        starts_before=act.as_of,
        limit=MOST_MISSING,
    )
    missing = await office.list_expected(act, listed)
    found = await office.quiet_findings(act, first=today - LOOK_BACK, last=today)
    notes = await stored_office.list_private_notes(
        act.connection, districts=act.districts, since=act.as_of - LOOK_BACK, limit=100
    )
    if chosen == "notes":
        await disclosing.note(act, [(row["district"], row["household_key"]) for row in notes], What.NOTE)
    timers = await stored_visits.list_safety_timers(act.connection, districts=act.districts)
    rates = await stored_office.list_rates(act.connection, act.districts)

    def name(visitor: str | None) -> str:
        return view.display_name(pages, visitor) if visitor else ""

    rows_by_view: dict[str, list[dict[str, Any]]] = {
        "missing": [{**dict(row), "names": [name(visitor) for visitor in row["pair"]]} for row in missing],
        "questions": [{"check": each.check, "log_ids": each.log_ids, "name": name(each.visitor_id)} for each in found],
        "notes": [{**dict(row), "name": name(row["logged_by"])} for row in notes],
    }
    return {
        "views": VIEWS,
        "chosen": chosen,
        "counts": {each: len(rows) for each, rows in rows_by_view.items()},
        "rows": rows_by_view.get(chosen, []),
        "timers": [{**dict(row), "name": name(row["person"]), "late": row["back_by"] < act.as_of} for row in timers],
        "rates": [_rate_shown(rate) for rate in reversed(rates)],
        "districts": act.districts or sorted({rate.district for rate in rates}) or [""],
        "first": today.replace(day=1),
        "last": today,
    }


def _rate_shown(rate: Rate) -> dict[str, Any]:
    return {
        "district": rate.district,
        "effective_from": rate.effective_from,
        "hourly": dollars(rate.hourly_cents),
        "travel_hourly": dollars(rate.travel_hourly_cents),
        "mile": f"{rate.mile_tenth_cents // 10}.{rate.mile_tenth_cents % 10} ¢",
        "show_up": dollars(rate.show_up_cents),
    }

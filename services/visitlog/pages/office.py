"""The coordinator's page: missing logs, questions, notes, pay, and who is still out."""

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.forms import Form, read_form
from services.runtime.web.languages import N_
from services.runtime.web.pages import Pages, signed_in
from services.runtime.web.people import Person
from services.visitlog.api import ExplainingRoute
from services.visitlog.handlers import access, office
from services.visitlog.pages import view
from services.visitlog.pages.visits import common
from services.visitlog.rules.outcomes import Due
from services.visitlog.rules.pay import Rate, dollars
from services.visitlog.store import office as stored_office
from services.visitlog.store import visits as stored_visits

VIEWS = {
    "missing": N_("Missing logs"),
    "questions": N_("Questions"),
    "notes": N_("Notes"),
    "pay": N_("Pay"),
}
LOOK_BACK = timedelta(days=30)
MOST_MISSING = 200
_RATE_FIELDS = ("effective_from", "hourly", "travel_hourly", "mile", "show_up")
_HIGHEST_CENTS = 100_000
Who = Annotated[Person, Depends(signed_in)]


class RateFaulty(Exception):
    """The typed rate is none."""


def routes(context: Context, pages: Pages) -> APIRouter:
    """Offer the coordinator's page."""
    router = APIRouter(route_class=ExplainingRoute, include_in_schema=False)

    @router.get("/office")
    async def show(request: Request, person: Who, view: str = "missing") -> Response:
        """Show one of the views."""
        return await _shown(request, person, view if view in VIEWS else "missing")

    @router.post("/office/rates")
    async def set_rate(request: Request, person: Who) -> Response:
        """Set what is paid from a day on."""
        form = await read_form(request)
        if not access.is_office(person, form.get("district")):
            raise office.NotYours
        try:
            rate = _rate(form)
        except RateFaulty:
            problem = pages.language(request).gettext(N_("Write a day, and amounts like 28.50."))
            return await _shown(request, person, "pay", form=form, problem=problem)
        async with context.begin() as tx:
            await office.set_rate(tx, rate=rate, person=person, as_of=clock.now())
        return RedirectResponse("/office?view=pay", status_code=303)

    async def _shown(
        request: Request, person: Person, chosen: str, *, form: Form | None = None, problem: str = ""
    ) -> Response:
        if person.role != access.COORDINATOR:
            raise office.NotYours
        as_of = clock.now()
        districts = office.districts_of(person)
        today = local_day(as_of, zone=pages.zone)
        async with context.begin() as tx:
            missing = await office.list_expected(
                tx,
                districts=districts,
                visitor_id=None,
                due=(Due.OVERDUE, Due.EXPECTED),
                starts_from=as_of - view.LOOK_BACK,
                starts_before=as_of,
                as_of=as_of,
                limit=MOST_MISSING,
            )
            found = await office.quiet_findings(tx, districts=districts, first=today - LOOK_BACK, last=today)
            notes = await stored_office.list_private_notes(
                tx.connection, districts=districts, since=as_of - LOOK_BACK, limit=100
            )
            timers = await stored_visits.list_safety_timers(tx.connection, districts=districts)
            rates = await stored_office.list_rates(tx.connection, districts)
        counts = {"missing": len(missing), "questions": len(found), "notes": len(notes)}
        rows: list[dict[str, Any]] = []
        if chosen == "missing":
            rows = [{**dict(row), "names": [_name(pages, name) for name in row["pair"]]} for row in missing]
        elif chosen == "questions":
            rows = [
                {"check": each.check, "log_ids": each.log_ids, "name": _name(pages, each.visitor_id)} for each in found
            ]
        elif chosen == "notes":
            rows = [{**dict(row), "name": _name(pages, row["logged_by"])} for row in notes]
        values = {
            "views": VIEWS,
            "chosen": chosen,
            "counts": counts,
            "rows": rows,
            "timers": [
                {**dict(row), "name": _name(pages, row["person"]), "late": row["back_by"] < as_of} for row in timers
            ],
            "rates": [_shown_rate(rate) for rate in reversed(rates)],
            "districts": districts or sorted({rate.district for rate in rates}) or [""],
            "first": today.replace(day=1),
            "last": today,
            "typed": {name: form.get(name) if form is not None else "" for name in _RATE_FIELDS},
            "rate_problem": problem,
        }
        page = {**common(pages, person, "office"), **values}
        return pages.render(request, "office.html", page, 422 if problem else 200)

    return router


def _name(pages: Pages, name: str | None) -> str:
    return view.display_name(pages, name) if name else ""


def _shown_rate(rate: Rate) -> dict[str, Any]:
    return {
        "district": rate.district,
        "effective_from": rate.effective_from,
        "hourly": dollars(rate.hourly_cents),
        "travel_hourly": dollars(rate.travel_hourly_cents),
        "mile": f"{rate.mile_tenth_cents // 10}.{rate.mile_tenth_cents % 10} ¢",
        "show_up": dollars(rate.show_up_cents),
    }


def _rate(form: Form) -> Rate:
    try:
        day = date.fromisoformat(form.get("effective_from"))
    except ValueError:
        raise RateFaulty from None
    if not 2000 < day.year < 2200:
        raise RateFaulty
    return Rate(
        district=form.get("district"),
        effective_from=day,
        revision=1,
        hourly_cents=_scaled(form.get("hourly"), 2),
        travel_hourly_cents=_scaled(form.get("travel_hourly"), 2),
        mile_tenth_cents=_scaled(form.get("mile"), 1),
        show_up_cents=_scaled(form.get("show_up"), 2),
    )


def _scaled(text: str, places: int) -> int:
    """Read a decimal number as whole units of its last place, exactly."""
    whole, _, part = text.strip().replace(",", ".").partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(whole) > 5 or len(part) > places:
        raise RateFaulty
    amount: int = int(whole or "0") * 10**places + int(part.ljust(places, "0") or "0")
    if amount > _HIGHEST_CENTS:
        raise RateFaulty
    return amount

"""The visitors of a district: who is trained, which languages they speak, and when they can."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.forms import Fault, Form, Reading, read_form
from services.runtime.web.people import NAME, Person
from services.scheduling.commands import carry_out
from services.scheduling.handlers import visitors as handlers
from services.scheduling.handlers.visitors import SaveVisitor, VisitorChanged, VisitorUnknown
from services.scheduling.pages import words
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here
from services.scheduling.pages.forms import NOTHING_TRIED, ONE_OF_THESE, WORDS, Attempt, kept, read, typed
from services.scheduling.rules import visits
from services.scheduling.rules.pairing import Visitor
from services.scheduling.rules.wording import N_
from services.scheduling.store import queue
from services.scheduling.store import visitors as visitor_reads

SOON_DAYS = 30
"""A training that ends within so many days is worth saying."""

_CODE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
# Where it is said what is wrong: a table's row has no name of its own.
_NAMES = {
    "languages.*": "languages",
    "windows": "window_begins",
    "windows.*.weekday": "window_weekday",
    "windows.*.begins": "window_begins",
    "windows.*.ends": "window_begins",
    "away": "away_first",
    "away.*.first_day": "away_first",
    "away.*.last_day": "away_first",
}


def routes(desk: Desk) -> APIRouter:
    """Offer the list of visitors and the form of each."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/visitors")
    async def list_visitors(request: Request, person: AtTheDesk) -> Response:
        """List the visitors of the person's districts."""
        async with desk.context.begin() as tx:
            found = [
                visitor
                for district in desk.districts_of(person) or (None,)
                for visitor in await visitor_reads.list_visitors(tx.connection, district=district)
            ]
        return desk.render(
            request,
            "visitors.html",
            {"visitors": found, "today": desk.today(desk.now()), "soon_days": SOON_DAYS},
        )

    @router.get("/visitors/new")
    async def show_new(request: Request, person: AtTheDesk) -> Response:
        """Show the form by which a visitor is registered."""
        return await _page(desk, request, person, None)

    @router.get("/visitors/{visitor_id}")
    async def show_visitor(request: Request, visitor_id: str, person: AtTheDesk) -> Response:
        """Show a visitor with the form that changes them."""
        return await _page(desk, request, person, await _find(desk, visitor_id, person))

    @router.post("/visitors")
    async def save_visitor(request: Request, person: AtTheDesk) -> Response:
        """Register a visitor, or write new facts over those of the version that was read."""
        form = await read_form(request)
        reading = _read(desk, form, person)
        attempt, status = Attempt(form="visitor", kept=kept(form), faults=reading.faults), 422
        if reading.value is not None:
            try:
                saved = await carry_out(desk.context, person, handlers.save_visitor, None, reading.value)
                said = "affected" if saved.affected else "saved"
                return RedirectResponse(f"/visitors/{saved.visitor.visitor_id}?said={said}", status_code=303)
            except VisitorUnknown:
                raise nothing_here() from None
            except VisitorChanged as changed:
                both = _both(changed.visitor, reading.value) if changed.visitor else ()
                attempt = replace(attempt, stale=True, refusal=desk.say(request, changed), both=both)
                return await _page(desk, request, person, changed.visitor, attempt=attempt, status=409)
            except visits.NotPossible as refusal:
                attempt = replace(attempt, refusal=desk.say(request, refusal))
        registered = re.fullmatch("[1-9][0-9]{0,18}", form.get("version").strip())
        standing = await _find(desk, form.get("visitor_id"), person) if registered else None
        return await _page(desk, request, person, standing, attempt=attempt, status=status)

    return router


async def _find(desk: Desk, visitor_id: str, person: Person) -> Visitor:
    async with desk.context.begin() as tx:
        visitor = await visitor_reads.find_visitor(tx.connection, visitor_id[:64].replace("\x00", ""))
    if visitor is None or not person.may_see(visitor.district):
        raise nothing_here()
    return visitor


def _read(desk: Desk, form: Form, person: Person) -> Reading[SaveVisitor]:
    """Read the form; what it does not hold (whom not to visit) stays as it stands."""
    faults: list[Fault] = []
    # People sign in by this code, so it is narrower than a program may name one.
    if not re.fullmatch(NAME, form.get("visitor_id").strip()):
        faults.append(Fault("visitor_id", WORDS["visitor_id"]))
    districts = desk.districts_of(person) or ()
    district = districts[0] if len(districts) == 1 else form.get("district")
    if district not in districts:
        faults.append(Fault("district", ONE_OF_THESE))
    chosen = [code.strip() for code in form.all("languages") if code.strip()]
    typed_in = [_spelt(code) for code in form.get("more_languages").split(",") if code.strip()]
    readable = all(map(_CODE.fullmatch, typed_in))
    if not readable:
        faults.append(Fault("more_languages", WORDS["more_languages"]))
    windows = _rows(form, ("window_weekday", "window_begins", "window_ends"), faults)
    away = _rows(form, ("away_first", "away_last"), faults)
    given = {
        **typed(form, "version", "affiliation", "weekly_cap"),
        "district": district,
        "languages": [*chosen, *typed_in] if readable else None,
        "windows": [
            {"weekday": day, "begins": begins, "ends": ends} for day, begins, ends in windows if begins or ends
        ],
        "away": [{"first_day": first, "last_day": last or first} for first, last in away],
    }
    return read(SaveVisitor, form, names=_NAMES, given=given, faults=faults)


def _rows(form: Form, names: Sequence[str], faults: list[Fault]) -> list[tuple[str, ...]]:
    """Read fields that come once per row of a table; a row with nothing in it is left out."""
    columns = [form.all(name) for name in names]
    if len({len(column) for column in columns}) > 1:
        faults.append(Fault(names[-1], N_("Part of this table is missing; load the page again.")))
        return []
    rows = [tuple(each.strip() for each in row) for row in zip(*columns, strict=True)]
    return [row for row in rows if any(row)]


def _both(standing: Visitor, decided: SaveVisitor) -> Sequence[tuple[str, str, str]]:
    """Every field in which the visitor as they stand and the form differ."""

    def shown(visitor: Visitor | SaveVisitor) -> dict[str, str]:
        return {
            N_("Affiliation"): visitor.affiliation,
            N_("School"): visitor.school or "",
            N_("Languages"): ", ".join(visitor.languages),
            N_("LEAP 101 valid from"): visitor.leap101_valid_from.isoformat(),
            N_("LEAP 101 valid until"): visitor.leap101_valid_until.isoformat(),
            N_("Visits a week at most"): str(visitor.weekly_cap),
            N_("Hours"): "; ".join(f"{w.weekday}: {w.begins:%H:%M}-{w.ends:%H:%M}" for w in visitor.windows or ()),
            N_("Away"): "; ".join(f"{a.first_day} - {a.last_day}" for a in visitor.away or ()),
            N_("Visits now"): "✓" if visitor.active else "–",
        }

    now, yours = shown(standing), shown(decided)
    return [(name, now[name], yours[name]) for name in now if now[name] != yours[name]]


async def _page(
    desk: Desk,
    request: Request,
    person: Person,
    visitor: Visitor | None,
    *,
    attempt: Attempt = NOTHING_TRIED,
    status: int = 200,
) -> Response:
    districts = desk.districts_of(person) or ()
    async with desk.context.begin() as tx:
        schools = await queue.schools_of(tx.connection, districts)
    filled = {**_filled(visitor, desk.today(desk.now())), **attempt.kept}
    if attempt.kept:
        filled["active"] = attempt.kept.get("active", "")
    return desk.render(
        request,
        "visitor.html",
        {
            "visitor": visitor,
            "attempt": attempt,
            "filled": filled,
            "several": lambda name: [filled[name]] if isinstance(filled.get(name), str) else filled.get(name, []),
            "districts": districts,
            "schools": schools,
        },
        status,
    )


def _filled(visitor: Visitor | None, today: date) -> Mapping[str, Any]:
    empty_windows, empty_away = [""] * 3, [""] * 2
    if visitor is None:
        return {
            "affiliation": "school",
            "languages": ["en"],
            "leap101_valid_from": today.isoformat(),
            "leap101_valid_until": today.replace(year=today.year + 2, day=min(today.day, 28)).isoformat(),
            "weekly_cap": "6",
            "active": "yes",
            "window_weekday": empty_windows,
            "window_begins": empty_windows,
            "window_ends": empty_windows,
            "away_first": empty_away,
            "away_last": empty_away,
        }
    return {
        "visitor_id": visitor.visitor_id,
        "district": visitor.district,
        "affiliation": visitor.affiliation,
        "school": visitor.school or "",
        "languages": [code for code in visitor.languages if code in words.LANGUAGES],
        "more_languages": ", ".join(code for code in visitor.languages if code not in words.LANGUAGES),
        "leap101_valid_from": visitor.leap101_valid_from.isoformat(),
        "leap101_valid_until": visitor.leap101_valid_until.isoformat(),
        "weekly_cap": str(visitor.weekly_cap),
        "active": "yes" if visitor.active else "",
        "window_weekday": [*(str(window.weekday) for window in visitor.windows), *empty_windows],
        "window_begins": [*(window.begins.strftime("%H:%M") for window in visitor.windows), *empty_windows],
        "window_ends": [*(window.ends.strftime("%H:%M") for window in visitor.windows), *empty_windows],
        "away_first": [*(away.first_day.isoformat() for away in visitor.away), *empty_away],
        "away_last": [*(away.last_day.isoformat() for away in visitor.away), *empty_away],
    }


def _spelt(code: str) -> str:
    """Spell a language code as it is kept: `Vi` is vi, `pt-br` pt-BR."""
    language, dash, country = code.strip().partition("-")
    return language.lower() + dash + country.upper()

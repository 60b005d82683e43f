"""The visitors of a district: who is trained, which languages they speak, and when they can."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.runtime.web.forms import read_form
from services.runtime.web.languages import N_
from services.runtime.web.people import NAME, Person
from services.scheduling.handlers import visitors as commands
from services.scheduling.handlers.visitors import Facts
from services.scheduling.pages import words
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here
from services.scheduling.pages.forms import Typed
from services.scheduling.pages.request import NOTHING_TRIED, Attempt
from services.scheduling.rules import visits
from services.scheduling.rules.pairing import Away, Visitor, Window
from services.scheduling.store import queue
from services.scheduling.store import visitors as visitor_reads

VISITOR_ID = NAME
SOON_DAYS = 30
"""A training that ends within so many days is worth saying."""


def router(desk: Desk) -> APIRouter:
    """Offer the list of visitors and the form of each."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/visitors")
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

    @routes.get("/visitors/new")
    async def show_new(request: Request, person: AtTheDesk) -> Response:
        """Show the form by which a visitor is registered."""
        return await _page(desk, request, person, None)

    @routes.get("/visitors/{visitor_id}")
    async def show_visitor(request: Request, visitor_id: str, person: AtTheDesk) -> Response:
        """Show a visitor with the form that changes them."""
        return await _page(desk, request, person, await _find(desk, visitor_id, person))

    @routes.post("/visitors")
    async def save_visitor(request: Request, person: AtTheDesk) -> Response:
        """Register a visitor, or write new facts over those of the version that was read."""
        typed = Typed(await read_form(request))
        version = typed.number("version", least=0, most=2**31 - 1)
        facts = _read(desk, typed, person)
        attempt, status = Attempt(form="visitor", kept=typed.kept, faults=typed.faults), 422
        if facts is not None and version is not None and not typed.faults:
            try:
                async with desk.context.begin() as tx:
                    saved = await commands.save_visitor(
                        tx, facts=facts, version=version, person=person, as_of=desk.now()
                    )
                said = "affected" if saved.affected else "saved"
                return RedirectResponse(f"/visitors/{saved.visitor.visitor_id}?said={said}", status_code=303)
            except commands.VisitorUnknown:
                raise nothing_here() from None
            except commands.VisitorChanged as changed:
                attempt = Attempt(
                    form="visitor",
                    kept=typed.kept,
                    stale=True,
                    refusal=desk.say(request, changed),
                    both=_both(changed.visitor, facts) if changed.visitor else (),
                )
                return await _page(desk, request, person, changed.visitor, attempt=attempt, status=409)
            except visits.NotPossible as refusal:
                attempt = Attempt(form="visitor", kept=typed.kept, refusal=desk.say(request, refusal))
        standing = await _find(desk, typed.kept.get("visitor_id", ""), person) if version else None
        return await _page(desk, request, person, standing, attempt=attempt, status=status)

    return routes


async def _find(desk: Desk, visitor_id: str, person: Person) -> Visitor:
    async with desk.context.begin() as tx:
        visitor = await visitor_reads.find_visitor(tx.connection, visitor_id[:64].replace("\x00", ""))
    if visitor is None or not person.may_see(visitor.district):
        raise nothing_here()
    return visitor


def _read(desk: Desk, typed: Typed, person: Person) -> Facts | None:
    """The facts of the form; what the form does not hold (whom not to visit) stays as it stands."""
    visitor_id = typed.matching("visitor_id", VISITOR_ID)
    districts = desk.districts_of(person) or ()
    district = typed.choice("district", districts) if len(districts) != 1 else districts[0]
    affiliation = typed.choice("affiliation", words.AFFILIATIONS)
    school = typed.text("school", longest=40)
    languages = [*typed.several("languages", longest=6), *_codes(typed)]
    valid_from, valid_until = typed.day("leap101_valid_from"), typed.day("leap101_valid_until")
    weekly_cap = typed.number("weekly_cap", least=0, most=60)
    windows = [_window(typed, *row) for row in typed.rows("window_weekday", "window_begins", "window_ends")]
    away = [_away(typed, *row) for row in typed.rows("away_first", "away_last")]
    if typed.faults or not (visitor_id and district and affiliation and valid_from and valid_until):
        return None
    return Facts(
        visitor_id=visitor_id,
        district=district,
        affiliation=affiliation,
        school=school,
        languages=tuple(dict.fromkeys(languages)),
        leap101_valid_from=valid_from,
        leap101_valid_until=valid_until,
        windows=tuple(window for window in windows if window),
        away=tuple(days for days in away if days),
        weekly_cap=weekly_cap if weekly_cap is not None else 0,
        active=typed.ticked("active"),
    )


def _codes(typed: Typed) -> list[str]:
    codes = [code.strip().lower() for code in (typed.text("more_languages", longest=80) or "").split(",")]
    if any(code and not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3) for code in codes):
        typed.fault("more_languages", N_("Give language codes, such as %(example)s."), example="vi, so")
    return [code for code in codes if code]


def _window(typed: Typed, weekday: str, begins: str, ends: str) -> Window | None:
    if not begins and not ends:
        return None
    first, last = typed.time_in(begins, "window_begins"), typed.time_in(ends, "window_begins")
    if weekday not in [str(number) for number in words.WEEKDAYS]:
        typed.fault("window_begins", N_("Choose the weekday of each window."))
        return None
    return Window(weekday=int(weekday), begins=first, ends=last) if first and last else None


def _away(typed: Typed, first: str, last: str) -> Away | None:
    first_day, last_day = typed.day_in(first, "away_first"), typed.day_in(last or first, "away_first")
    return Away(first_day=first_day, last_day=last_day) if first_day and last_day else None


def _both(standing: Visitor, typed: Facts) -> Sequence[tuple[str, str, str]]:
    """Every field in which the visitor as they stand and the form differ."""

    def shown(visitor: Visitor | Facts) -> dict[str, str]:
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

    now, yours = shown(standing), shown(typed)
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

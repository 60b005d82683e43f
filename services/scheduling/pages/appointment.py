"""Agreeing a visit: when, where, in which language, and who goes. The engine proposes, people decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from contracts.calendar import is_business_day, local_day
from contracts.events import Place
from services.runtime.web.forms import read_form
from services.runtime.web.languages import N_
from services.runtime.web.people import Person
from services.scheduling.handlers import appointments as commands
from services.scheduling.handlers import pairs
from services.scheduling.pages import words
from services.scheduling.pages.actions import failed
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here, request_id_of
from services.scheduling.pages.forms import Typed
from services.scheduling.pages.request import NOTHING_TRIED, Attempt
from services.scheduling.pages.rows import line_of
from services.scheduling.rules import visits
from services.scheduling.rules.proposals import Proposals
from services.scheduling.store import appointments, calendars, policies, queue
from services.scheduling.store import visitors as visitor_reads

LATEST_WINDOW = time(20, 0)
INTERPRETER = {"": None, "yes": True, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the form asks for, read and checked as far as a form can."""

    starts_at: datetime | None
    ends_at: datetime | None
    minutes: int | None
    place: Place | None
    place_text: str | None
    language: str | None
    interpreter: bool | None


def router(desk: Desk) -> APIRouter:
    """Offer the page on which a visit is agreed or moved."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/requests/{request_id}/appointment")
    async def show_form(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Show the form, filled in with what stands agreed or what the family wished."""
        return await _page(desk, request, request_id_of(request_id), person)

    @routes.post("/requests/{request_id}/pairs")
    async def propose(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Propose pairs for the window; nothing is booked by it."""
        key = request_id_of(request_id)
        typed = Typed(await read_form(request))
        wish = _read(desk, typed)
        if wish.starts_at and wish.ends_at and wish.ends_at <= wish.starts_at:
            typed.fault("until", N_("The window ends after it begins."))
        if typed.faults or wish.starts_at is None or wish.ends_at is None:
            attempt = Attempt(form="appointment", kept=typed.kept, faults=typed.faults)
            return await _page(desk, request, key, person, attempt=attempt, status=422)
        try:
            async with desk.context.begin() as tx:
                proposed = await pairs.propose_pairs(
                    tx,
                    request_id=key,
                    begins_at=wish.starts_at,
                    ends_at=wish.ends_at,
                    minutes=wish.minutes,
                    language=wish.language,
                    interpreter=wish.interpreter,
                    person=person,
                    as_of=desk.now(),
                )
        except visits.Refusal as refusal:
            attempt, status = failed(desk, request, refusal, form="appointment", typed=typed)
            return await _page(desk, request, key, person, attempt=attempt, status=status)
        attempt = Attempt(form="appointment", kept=typed.kept)
        return await _page(desk, request, key, person, attempt=attempt, proposed=proposed)

    @routes.post("/requests/{request_id}/appointment")
    async def appoint(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Agree the visit, or move the one that lies ahead."""
        key = request_id_of(request_id)
        typed = Typed(await read_form(request))
        version = typed.version()
        pair, starts_at = _chosen(typed)
        wish = _read(desk, typed, window=False)
        starts_at = starts_at or wish.starts_at
        if pair is None:
            pair = (typed.text("first", longest=64, required=True) or "", typed.text("second", longest=64) or "")
            if not typed.faults and (not pair[1] or pair[0] == pair[1]):
                typed.fault("second", N_("Visits are made in pairs: choose two different visitors."))
        attempt, status = Attempt(form="appointment", kept=typed.kept, faults=typed.faults), 422
        if version is not None and starts_at is not None and wish.place is not None and not typed.faults:
            try:
                async with desk.context.begin() as tx:
                    await commands.appoint(
                        tx,
                        request_id=key,
                        version=version,
                        starts_at=starts_at,
                        place=wish.place,
                        pair=pair,
                        person=person,
                        as_of=desk.now(),
                        minutes=wish.minutes,
                        language=wish.language,
                        interpreter=wish.interpreter,
                        place_text=wish.place_text if wish.place is Place.COMMUNITY else None,
                    )
                return RedirectResponse(f"/requests/{key}?said=appointed", status_code=303)
            except visits.Refusal as refusal:
                attempt, status = failed(desk, request, refusal, form="appointment", typed=typed)
        return await _page(desk, request, key, person, attempt=attempt, status=status)

    return routes


def _read(desk: Desk, typed: Typed, *, window: bool = True) -> Wish:
    starts_at = typed.moment("day", "time", desk.pages.zone)
    ends_at = typed.moment("day", "until", desk.pages.zone) if window and starts_at else None
    language = typed.text("language", longest=6)
    if language and not (language.replace("-", "").isalpha() and language.isascii()):
        typed.fault("language", N_("Choose from the list."))
    interpreter = typed.choice("interpreter", INTERPRETER, required=False) or ""
    place = typed.choice("place", words.PLACES)
    return Wish(
        starts_at=starts_at,
        ends_at=ends_at,
        minutes=typed.number("minutes", least=5, most=480, required=False),
        place=Place(place) if place else None,
        place_text=typed.text("place_text", longest=200),
        language=language,
        interpreter=INTERPRETER.get(interpreter),
    )


def _chosen(typed: Typed) -> tuple[tuple[str, str] | None, datetime | None]:
    """The pair and start of the proposal whose button was pressed."""
    first, _, rest = (typed.text("choice", longest=200) or "").partition(" ")
    second, _, start = rest.partition(" ")
    if not first:
        return None, None
    try:
        starts_at = datetime.fromisoformat(start)
    except ValueError:
        starts_at = None
    if starts_at is None or starts_at.tzinfo is None or not second:
        typed.fault("choice", N_("Choose one of the proposed pairs."))
        return None, None
    return (first, second), starts_at


async def _page(
    desk: Desk,
    request: Request,
    request_id: UUID,
    person: Person,
    *,
    attempt: Attempt = NOTHING_TRIED,
    proposed: Proposals | None = None,
    status: int = 200,
) -> Response:
    as_of = desk.now()
    async with desk.context.begin() as tx:
        row = await queue.read_row(tx.connection, request_id=request_id, districts=desk.districts_of(person))
        if row is None:
            raise nothing_here()
        policy = await policies.current(tx.connection, row.district)
        calendar = await calendars.of_district(tx.connection, row.district)
        standing = await appointments.scheduled_appointment(tx.connection, request_id)
        offered = await appointments.offered_times(tx.connection, request_id)
        visitors = await visitor_reads.list_visitors(tx.connection, district=row.district, active_only=True)
    zone = desk.pages.zone
    filled: Mapping[str, Any] = attempt.kept or {
        "day": (local_day(standing.starts_at, zone=zone) if standing else _next_day(desk.today(as_of))).isoformat(),
        "time": standing.starts_at.astimezone(zone).strftime("%H:%M") if standing else "16:00",
        "until": LATEST_WINDOW.strftime("%H:%M"),
        "minutes": str(standing.minutes if standing else policy.visit_minutes),
        "place": standing.place if standing else "community" if row.wish == "community" else "home",
        "place_text": (standing.place_text if standing else None) or "",
        "language": (standing.language if standing else row.language) or "en",
        "interpreter": "",
        "first": standing.pair[0] if standing else "",
        "second": standing.pair[1] if standing else "",
    }
    spoken = {*words.LANGUAGES, *(spoken for each in visitors for spoken in each.languages), row.language or "en"}
    return desk.render(
        request,
        "appointment.html",
        {
            "row": row,
            "line": line_of(row, calendars={row.district: calendar}, today=desk.today(as_of), as_of=as_of),
            "attempt": attempt,
            "filled": filled,
            "standing": standing,
            "offered": offered,
            "visitors": visitors,
            "spoken": sorted(spoken),
            "policy": policy,
            "proposed": proposed,
            "say_reason": lambda reason: desk.say_reason(request, reason),
            "today": desk.today(as_of),
        },
        status,
    )


def _next_day(today: date) -> date:
    """Two days on, and no weekend: a day on which a family could be ready."""
    day = today + timedelta(days=2)
    while not is_business_day(day):
        day += timedelta(days=1)
    return day

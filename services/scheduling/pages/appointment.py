"""Agreeing a visit: when, where, in which language, and who goes. The engine proposes, people decide."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from contracts.calendar import is_business_day, local_day
from contracts.events import Place
from services.runtime.web.disclosing import disclose
from services.runtime.web.forms import Fault, Form, read_form
from services.runtime.web.people import Person
from services.scheduling.commands import carry_out
from services.scheduling.handlers import appointments as handlers
from services.scheduling.handlers import disclosing, pairs
from services.scheduling.handlers.appointments import Appoint
from services.scheduling.handlers.pairs import ProposePairs
from services.scheduling.pages import words
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here, request_id_of, to_request
from services.scheduling.pages.forms import NOTHING_TRIED, WORDS, Attempt, kept, read
from services.scheduling.pages.rows import line_of
from services.scheduling.rules import visits
from services.scheduling.rules.bounds import Day, LocalTime, Part
from services.scheduling.rules.pairing import LONGEST_MINUTES, SHORTEST_MINUTES
from services.scheduling.rules.proposals import Proposals
from services.scheduling.rules.visits import What
from services.scheduling.rules.wording import N_
from services.scheduling.store import appointments, calendars, policies, queue
from services.scheduling.store import visitors as visitor_reads

LATEST_WINDOW = time(20, 0)


class When(Part):
    """When a visit begins, on the clock of the place."""

    day: Day
    time: LocalTime


class Span(When):
    """The same, and until when it may last at the latest."""

    until: LocalTime


def routes(desk: Desk) -> APIRouter:
    """Offer the page on which a visit is agreed or moved."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/requests/{request_id}/appointment")
    async def show_form(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Show the form, filled in with what stands agreed or what the family wished."""
        return await _page(desk, request, request_id_of(request_id), person)

    @router.post("/requests/{request_id}/pairs")
    async def propose(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Propose pairs for the window; nothing is booked by it."""
        key = request_id_of(request_id)
        form = await read_form(request)
        begins_at, ends_at, faults = _span(desk, form)
        reading = read(ProposePairs, form, given={"begins_at": begins_at, "ends_at": ends_at}, faults=faults)
        attempt, status, proposed = Attempt(form="appointment", kept=kept(form), faults=reading.faults), 422, None
        if reading.value is not None:
            try:
                proposed, status = await carry_out(desk.context, person, pairs.propose_pairs, key, reading.value), 200
            except visits.Refusal as refusal:
                attempt, status = desk.failed(request, refusal, attempt)
        return await _page(desk, request, key, person, attempt=attempt, proposed=proposed, status=status)

    @router.post("/requests/{request_id}/appointment")
    async def appoint(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Agree the visit, or move the one that lies ahead."""
        key = request_id_of(request_id)
        form = await read_form(request)
        given, faults = _agreed(desk, form)
        reading = read(Appoint, form, names={"starts_at": "choice", "pair.*": "second"}, given=given, faults=faults)
        attempt, status = Attempt(form="appointment", kept=kept(form), faults=reading.faults), 422
        if reading.value is not None:
            try:
                await carry_out(desk.context, person, handlers.appoint, key, reading.value)
                return to_request(key, What.APPOINTED)
            except visits.Refusal as refusal:
                attempt, status = desk.failed(request, refusal, attempt)
        return await _page(desk, request, key, person, attempt=attempt, status=status)

    return router


def _span(desk: Desk, form: Form) -> tuple[datetime | None, datetime | None, tuple[Fault, ...]]:
    """Read the window in which pairs are wanted, or say what is wrong with it."""
    when = read(Span, form)
    if when.value is None:
        return None, None, when.faults
    begins_at, ends_at = (moment_of(when.value.day, at, desk.pages.zone) for at in (when.value.time, when.value.until))
    late = (Fault("until", N_("The window ends after it begins.")),) if ends_at <= begins_at else ()
    return begins_at, ends_at, late


def _agreed(desk: Desk, form: Form) -> tuple[dict[str, Any], list[Fault]]:
    """Read what the command says in one word and the form in several: the moment, the pair, the place."""
    when = read(When, form)
    faults = list(when.faults)
    starts_at: Any = when.value and moment_of(when.value.day, when.value.time, desk.pages.zone)
    first, second = form.get("first").strip(), form.get("second").strip()
    if chosen := form.get("choice").split():
        # The button of a proposal: its pair, and the start that suits them best.
        *pair, starts_at = chosen
        wrong = "choice" if len(pair) != 2 else ""
    else:
        pair = [first, second]
        wrong = "first" if not first else "second" if first == second or not second else ""
    if wrong:
        faults.append(Fault(wrong, WORDS.get(wrong, WORDS["missing"])))
    place_text = " ".join(form.get("place_text").split()) if form.get("place") == Place.COMMUNITY else None
    return {"starts_at": starts_at, "pair": None if wrong else pair, "place_text": place_text or None}, faults


def moment_of(day: date, at: time, zone: tzinfo) -> datetime:
    """Name the one moment of a date and a time on the clock of the place, in UTC."""
    return datetime.combine(day, at, zone).astimezone(UTC)


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
        policy = await policies.current(tx.connection, row.district, day=desk.today(as_of))
        calendar = await calendars.of_district(tx.connection, row.district)
        standing = await appointments.scheduled_appointment(tx.connection, request_id)
        offered = await appointments.offered_times(tx.connection, request_id)
        visitors = await visitor_reads.list_visitors(tx.connection, district=row.district, active_only=True)
        line = line_of(row, calendars={row.district: calendar}, today=desk.today(as_of), as_of=as_of)
        meant = {clause.student_key for clause in line.sentence if clause.student_key}
        await disclose(tx.connection, person, disclosing.household_of(row, meant), disclosing.DAYS, as_of=as_of)
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
            "line": line,
            "attempt": attempt,
            "filled": filled,
            "standing": standing,
            "offered": offered,
            "visitors": visitors,
            "spoken": sorted(spoken),
            "policy": policy,
            "proposed": proposed,
            "shortest": SHORTEST_MINUTES,
            "longest": LONGEST_MINUTES,
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

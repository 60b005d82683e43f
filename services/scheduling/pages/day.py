"""What is printed: the day sheet, one household's sheet, and the letter that tells a family of its visit."""

from datetime import date, timedelta
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request, Response

from services.scheduling.handlers import pairs
from services.scheduling.pages import letters
from services.scheduling.pages.desk import AtTheDesk, Desk, PageRoute, nothing_here, request_id_of
from services.scheduling.pages.request import read_request
from services.scheduling.rules.wording import N_
from services.scheduling.store import visitors as visitor_reads


def routes(desk: Desk) -> APIRouter:
    """Offer the sheets and the letter."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)

    @router.get("/day")
    async def show_day(request: Request, person: AtTheDesk) -> Response:
        """Show the visits of a day with how to reach each family. Who looked is recorded."""
        as_of = desk.now()
        day = _day(request.query_params.get("day", ""), desk.today(as_of))
        districts = desk.districts_of(person) or ()
        district = request.query_params.get("district") or (districts[0] if districts else "")
        visitor = request.query_params.get("visitor") or None
        if not person.may_see(district) or "\x00" in (visitor or ""):
            raise nothing_here()
        async with desk.context.begin() as tx:
            sheet = await pairs.find_day_sheet(
                tx, district=district, day=day, person=person, as_of=as_of, visitor_id=visitor
            )
            visitors = await visitor_reads.list_visitors(tx.connection, district=district, active_only=True)
        return desk.render(
            request,
            "day.html",
            {
                "day": day,
                "before": day - timedelta(days=1),
                "after": day + timedelta(days=1),
                "district": district,
                "districts": districts,
                "visitor": visitor,
                "visitors": visitors,
                "sheet": sheet,
                "as_of": as_of,
            },
        )

    @router.get("/requests/{request_id}/household-sheet")
    async def show_household(request: Request, request_id: str, person: AtTheDesk) -> Response:
        """Show one household on a sheet to take along, with room to write."""
        async with desk.context.begin() as tx:
            shown = await read_request(desk, tx, request_id=request_id_of(request_id), person=person)
        return desk.render(request, "household_sheet.html", shown)

    @router.get("/visits/{visit_id}/letter")
    async def show_letter(request: Request, visit_id: str, person: AtTheDesk) -> Response:
        """Show the letter that confirms the visit, in the family's language where there is one."""
        as_of = desk.now()
        key: UUID = request_id_of(visit_id)
        async with desk.context.begin() as tx:
            visit = await pairs.find_confirmation(tx, visit_id=key, person=person, as_of=as_of)
        spoken = (visit.contact or {}).get("language") or visit.language
        asked = request.query_params.get("in", spoken)
        letter = letters.letter_in(asked, visit=visit, zone=desk.pages.zone, name_of=desk.name_of)
        return desk.render(
            request,
            "letter.html",
            {"visit": visit, "letter": letter, "spoken": spoken, "offered": letters.LANGUAGES},
        )

    return router


def _day(text: str, today: date) -> date:
    if not text:
        return today
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year < 2200:
        raise HTTPException(422, N_("Give the day as in 2026-11-30."))
    return day

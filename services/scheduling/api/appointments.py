"""The HTTP of visits: proposed pairs, the appointment and what becomes of it, the day sheet, the confirmation."""

import asyncio
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.events import DISTRICT_PATTERN, Place
from services.runtime import clock
from services.runtime.web.context import Context
from services.scheduling.api.refusals import request_shown as shown
from services.scheduling.api.visitors import LANGUAGE, VISITOR, VersionCommand, VisitorId, Who, reason_shown
from services.scheduling.handlers import appointments as commands
from services.scheduling.handlers import pairs
from services.scheduling.handlers.appointments import Agreed
from services.scheduling.rules import week
from services.scheduling.store.day_sheet import SheetVisit

Day = Annotated[date, Query(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
Minutes = Annotated[int, Field(ge=1, le=1440)]
Language = Annotated[str, Field(pattern=LANGUAGE)]
# No control characters: it is printed, and PostgreSQL can't hold all of them.
PlaceText = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=commands.LONGEST_PLACE_TEXT)]


class AppointmentCommand(VersionCommand):
    """The time, place and pair agreed with the family. Language: the household's own where none is sent."""

    starts_at: AwareDatetime
    place: Place
    pair: Annotated[list[VisitorId], Field(min_length=2, max_length=2)]
    minutes: Minutes | None = None
    language: Language | None = None
    interpreter: bool | None = None
    place_text: PlaceText | None = None


class RescheduleCommand(VersionCommand):
    """What changes of the visit that lies ahead; what is left out stays."""

    starts_at: AwareDatetime | None = None
    place: Place | None = None
    pair: Annotated[list[VisitorId], Field(min_length=2, max_length=2)] | None = None
    minutes: Minutes | None = None
    language: Language | None = None
    interpreter: bool | None = None
    place_text: PlaceText | None = None


class TimeOffered(BaseModel):
    """A time in which the family could."""

    model_config = ConfigDict(extra="forbid")

    begins_at: AwareDatetime
    ends_at: AwareDatetime


class OfferedTimesCommand(VersionCommand):
    """When the family could, instead of what was said before."""

    times: Annotated[list[TimeOffered], Field(max_length=commands.MOST_OFFERED_TIMES)]


def _agreed_shown(agreed: Agreed) -> dict[str, Any]:
    return {
        **shown(agreed.request),
        "visit_id": agreed.visit_id,
        "revision": agreed.revision,
        "starts_at": agreed.starts_at,
        "ends_at": agreed.ends_at,
        "language": agreed.language,
        "interpreter": agreed.interpreter,
        "pair": agreed.pair,
    }


def _visit_shown(visit: SheetVisit) -> dict[str, Any]:
    return {name: getattr(visit, name) for name in SheetVisit.__slots__}


def add_routes(router: APIRouter, context: Context) -> None:
    """Offer the commands on a request's visit, the proposals and the sheets under /v1."""

    @router.post("/requests/{request_id}/appointment")
    async def appoint(request_id: UUID, command: AppointmentCommand, who: Who) -> dict[str, Any]:
        """Agree a visit, or move the one that lies ahead; the answer's `visit_id` is the visitors' key."""
        async with context.begin() as tx:
            agreed = await commands.appoint(tx, request_id=request_id, person=who, as_of=clock.now(), **dict(command))
        return _agreed_shown(agreed)

    @router.post("/requests/{request_id}/reschedule")
    async def reschedule(request_id: UUID, command: RescheduleCommand, who: Who) -> dict[str, Any]:
        """Change of the visit that lies ahead what is sent; the former appointment stays in the history."""
        async with context.begin() as tx:
            agreed = await commands.reschedule(
                tx, request_id=request_id, person=who, as_of=clock.now(), **dict(command)
            )
        return _agreed_shown(agreed)

    @router.post("/requests/{request_id}/cancellation")
    async def cancel(request_id: UUID, command: VersionCommand, who: Who) -> dict[str, Any]:
        """Cancel the visit that lies ahead; the family's consent stands."""
        async with context.begin() as tx:
            saved = await commands.cancel_visit(
                tx, request_id=request_id, version=command.version, person=who, as_of=clock.now()
            )
        return shown(saved)

    @router.post("/requests/{request_id}/confirmation")
    async def confirm(request_id: UUID, command: VersionCommand, who: Who) -> dict[str, Any]:
        """Note that family and pair know of the visit."""
        async with context.begin() as tx:
            saved = await commands.confirm_visit(
                tx, request_id=request_id, version=command.version, person=who, as_of=clock.now()
            )
        return shown(saved)

    @router.put("/requests/{request_id}/offered-times")
    async def offer_times(request_id: UUID, command: OfferedTimesCommand, who: Who) -> dict[str, Any]:
        """Keep when the family could; proposals for the week look there."""
        async with context.begin() as tx:
            saved = await commands.offer_times(
                tx,
                request_id=request_id,
                version=command.version,
                times=[(window.begins_at, window.ends_at) for window in command.times],
                person=who,
                as_of=clock.now(),
            )
        return shown(saved)

    @router.get("/requests/{request_id}/pairs")
    async def propose_pairs(
        request_id: UUID,
        who: Who,
        begins_at: AwareDatetime,
        ends_at: AwareDatetime,
        minutes: Annotated[int | None, Query(ge=1, le=1440)] = None,
        language: Annotated[str | None, Query(pattern=LANGUAGE)] = None,
        interpreter: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=50)] = 5,
    ) -> dict[str, Any]:
        """Propose pairs for the window, best first, with their reasons. Nothing is booked."""
        async with context.begin() as tx:
            found = await pairs.propose_pairs(
                tx,
                request_id=request_id,
                begins_at=begins_at,
                ends_at=ends_at,
                minutes=minutes,
                language=language,
                interpreter=interpreter,
                limit=limit,
                person=who,
                as_of=clock.now(),
            )
        return {
            "pairs": [
                {
                    "pair": each.pair,
                    "starts_at": each.starts_at,
                    "interpreter": each.interpreter,
                    "points": each.points,
                    "reasons": [reason_shown(reason) for reason in each.reasons],
                }
                for each in found.pairs
            ],
            "hindered": [
                {"visitor_id": each.visitor_id, "reason": reason_shown(each.reason)} for each in found.hindered
            ],
            "why_none": found.why_none and reason_shown(found.why_none),
        }

    @router.get("/proposals")
    async def propose_week(
        who: Who,
        district: Annotated[str, Query(pattern=DISTRICT_PATTERN)],
        day: Day,
        seed: Annotated[int, Query(ge=0, lt=2**31)] = 1,
        iterations: Annotated[int, Query(ge=0, le=2000)] = 300,
    ) -> dict[str, Any]:
        """Propose visits for the week of the day, around what is agreed; nothing is booked by it."""
        async with context.begin() as tx:
            asked, policy = await pairs.find_week(tx, district=district, day=day, person=who, as_of=clock.now())
        # In a thread: others are answered while it searches.
        found = await asyncio.to_thread(week.propose, asked, policy, week.Budget(iterations=iterations, seed=seed))
        return {
            "monday": asked.monday,
            "value": found.value,
            "planned": [
                {
                    "request_id": each.request_id,
                    "starts_at": each.starts_at,
                    "ends_at": each.ends_at,
                    "pair": each.pair,
                    "interpreter": each.interpreter,
                    "reasons": [reason_shown(reason) for reason in each.reasons],
                }
                for each in found.planned
            ],
            "unscheduled": [
                {"request_id": each.request_id, "reason": reason_shown(each.reason)} for each in found.unscheduled
            ],
        }

    @router.get("/day-sheet")
    async def day_sheet(
        who: Who,
        district: Annotated[str, Query(pattern=DISTRICT_PATTERN)],
        day: Day,
        visitor: Annotated[str | None, Query(pattern=VISITOR)] = None,
    ) -> dict[str, Any]:
        """Show the visits of a local day with how to reach the families; the look is recorded."""
        async with context.begin() as tx:
            sheet = await pairs.find_day_sheet(
                tx, district=district, day=day, visitor_id=visitor, person=who, as_of=clock.now()
            )
        return {"day": day, "visits": [_visit_shown(visit) for visit in sheet]}

    @router.get("/visits/{visit_id}/confirmation")
    async def confirmation(visit_id: UUID, who: Who) -> dict[str, Any]:
        """Show what the family's confirmation says; the look is recorded."""
        async with context.begin() as tx:
            visit = await pairs.find_confirmation(tx, visit_id=visit_id, person=who, as_of=clock.now())
        return _visit_shown(visit)

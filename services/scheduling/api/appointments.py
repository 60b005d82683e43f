"""The HTTP of visits: proposed pairs and weeks, the day sheet, the confirmation."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from services.runtime import clock
from services.runtime.web.context import Context
from services.scheduling.api.asking import Day, InDistrict, Who
from services.scheduling.api.planning import Planning
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.api.shown import proposals_shown, visit_shown, week_shown
from services.scheduling.commands import carry_out
from services.scheduling.handlers import pairs
from services.scheduling.handlers.pairs import ProposePairs
from services.scheduling.rules import bounds
from services.scheduling.rules.week import Budget


def routes(context: Context) -> APIRouter:
    """Offer the proposals and the sheets under /v1."""
    router = APIRouter(route_class=ExplainingRoute)
    planning = Planning()

    @router.get("/requests/{request_id}/pairs")
    async def propose_pairs(request_id: UUID, wish: Annotated[ProposePairs, Query()], who: Who) -> dict[str, Any]:
        """Propose pairs for the window, best first, with their reasons. Nothing is booked."""
        return proposals_shown(await carry_out(context, who, pairs.propose_pairs, request_id, wish))

    @router.get("/proposals")
    async def propose_week(
        who: Who,
        district: InDistrict,
        day: Day,
        seed: Annotated[int, Query(ge=0, lt=2**31)] = 1,
        iterations: Annotated[int, Query(ge=0, le=2000)] = 300,
    ) -> dict[str, Any]:
        """Propose visits for the week of the day, around what is agreed; nothing is booked by it."""
        with planning.place_for(who):
            async with context.begin() as tx:
                asked, policy = await pairs.find_week(tx, district=district, day=day, person=who, as_of=clock.now())
            found = await planning.propose(asked, policy, Budget(iterations=iterations, seed=seed))
        return week_shown(asked, found)

    @router.get("/day-sheet")
    async def day_sheet(
        who: Who, district: InDistrict, day: Day, visitor: Annotated[bounds.VisitorId | None, Query()] = None
    ) -> dict[str, Any]:
        """Show the visits of a local day with how to reach the families; the look is recorded."""
        async with context.begin() as tx:
            sheet = await pairs.find_day_sheet(
                tx, district=district, day=day, visitor_id=visitor, person=who, as_of=clock.now()
            )
        return {"day": day, "visits": [visit_shown(visit) for visit in sheet]}

    @router.get("/visits/{visit_id}/confirmation")
    async def confirmation(visit_id: UUID, who: Who) -> dict[str, Any]:
        """Show what the family's confirmation says; the look is recorded."""
        async with context.begin() as tx:
            visit = await pairs.find_confirmation(tx, visit_id=visit_id, person=who, as_of=clock.now())
        return visit_shown(visit)

    return router

"""The HTTP of policies and of how districts stand: what was decided. Deciding is a command."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from contracts.calendar import local_day
from contracts.events.envelope import District
from services.runtime import clock
from services.runtime.web.context import Context
from services.scheduling.api.asking import Who
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.api.shown import shown
from services.scheduling.handlers.districts import find_status
from services.scheduling.handlers.policies import policies_of


def routes(context: Context) -> APIRouter:
    """Offer the policies under /v1/policies, and what is declared under /v1/districts."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.get("/policies/{district}")
    async def show_policy(district: Annotated[District, Path()], who: Who) -> dict[str, Any]:
        """Show the district's newest decision, and which version is in force; 0 is the standard policy."""
        async with context.begin() as tx:
            today = local_day(clock.now(), zone=tx.zone)
            newest, standing = await policies_of(tx, district=district, person=who, day=today)
        return {**shown(newest), "in_force": standing.version}

    @router.get("/districts/{district}/status")
    async def show_status(district: Annotated[District, Path()], who: Who) -> dict[str, Any]:
        """Show whether the district is live; version 0 where nobody has said anything yet."""
        async with context.begin() as tx:
            return shown(await find_status(tx, district=district, person=who))

    return router

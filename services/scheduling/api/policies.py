"""The HTTP of policies: what a district has decided. Deciding is a command."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from contracts.events.envelope import District
from services.runtime.web.context import Context
from services.scheduling.api.asking import Who
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.api.shown import shown
from services.scheduling.handlers.policies import current_policy


def routes(context: Context) -> APIRouter:
    """Offer the policies under /v1/policies."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.get("/policies/{district}")
    async def show_policy(district: Annotated[District, Path()], who: Who) -> dict[str, Any]:
        """Show the district's standing policy; version 0 is the default of one that has decided nothing."""
        async with context.begin() as tx:
            return shown(await current_policy(tx, district=district, person=who))

    return router

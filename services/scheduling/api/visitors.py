"""The HTTP of visitors: who they are, and whom they are not to visit. What changes of them is said by commands."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from services.runtime.web.context import Context
from services.scheduling.api.asking import InAnyDistrict, VisitorId, Who
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.api.shown import shown, visitor_shown
from services.scheduling.commands import carry_out
from services.scheduling.handlers.visitors import exclude, find_visitor
from services.scheduling.rules.bounds import Version, Versioned
from services.scheduling.store import visitors


def routes(context: Context) -> APIRouter:
    """Offer the visitors under /v1/visitors."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.get("/visitors")
    async def list_visitors(who: Who, district: InAnyDistrict = None, active_only: bool = False) -> dict[str, Any]:
        """List the visitors of the person's districts."""
        async with context.begin() as tx:
            found = await visitors.list_visitors(tx.connection, district=district, active_only=active_only)
        return {"visitors": [visitor_shown(visitor) for visitor in found if who.may_see(visitor.district)]}

    @router.get("/visitors/{visitor_id}")
    async def show_visitor(visitor_id: VisitorId, who: Who) -> dict[str, Any]:
        """Show a visitor."""
        async with context.begin() as tx:
            return visitor_shown(await find_visitor(tx, visitor_id=visitor_id, person=who))

    @router.put("/visitors/{visitor_id}/exclusions/{household_key}")
    async def keep_apart(visitor_id: VisitorId, household_key: UUID, sent: Versioned, who: Who) -> dict[str, Any]:
        """Keep a visitor from a household; nobody is asked why."""
        apart = partial(exclude, household_key=household_key, excluded=True)
        return shown(await carry_out(context, who, apart, visitor_id, sent))

    @router.delete("/visitors/{visitor_id}/exclusions/{household_key}")
    async def let_go(
        visitor_id: VisitorId, household_key: UUID, version: Annotated[Version, Query()], who: Who
    ) -> dict[str, Any]:
        """Let a visitor go to a household again."""
        together = partial(exclude, household_key=household_key, excluded=False)
        return shown(await carry_out(context, who, together, visitor_id, Versioned(version=version)))

    return router

"""How much reporting holds of one household: numbers by keys, for a family that asks."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException

from services.reporting.api.tables import Who
from services.reporting.reports.held import held_of
from services.runtime.web import disclosure_log
from services.runtime.web.context import Context


def routes(context: Context) -> APIRouter:
    """Offer it, and who asked."""
    router = APIRouter(prefix="/v1")

    @router.get("/households/{household_key}/held")
    async def show_held(household_key: UUID, person: Who) -> dict[str, Any]:
        """Count what is held of a household, by kind; the look is recorded."""
        found = await held_of(context, person, household_key)
        if found is None:
            raise HTTPException(404)
        return {"household_key": household_key, "district": found.district, "held": found.counted}

    router.include_router(disclosure_log.routes(context))
    return router

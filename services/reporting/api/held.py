"""How much reporting holds of one household: numbers by keys, for a family that asks."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException

from contracts.disclosures import Purpose, What
from services.reporting.api.tables import Who
from services.reporting.store import held
from services.runtime import clock
from services.runtime.web import disclosure_log
from services.runtime.web.context import Context
from services.runtime.web.disclosing import Reading, Shown, disclose

HELD = Reading(what=(What.VISITS,), purpose=Purpose.ANSWER, counted=False)


def routes(context: Context) -> APIRouter:
    """Offer it, and who asked."""
    router = APIRouter(prefix="/v1")

    @router.get("/households/{household_key}/held")
    async def show_held(household_key: UUID, person: Who) -> dict[str, Any]:
        """Count what is held of a household, by kind; the look is recorded."""
        async with context.begin() as tx:
            district = await held.district_of(tx.connection, household_key)
            if district is None or not person.may_see(district):
                raise HTTPException(404)
            counted = await held.count_held(tx.connection, household_key)
            await disclose(tx.connection, person, [Shown(district, household_key)], HELD, as_of=clock.now())
        return {"household_key": household_key, "district": district, "held": counted}

    router.include_router(disclosure_log.routes(context))
    return router

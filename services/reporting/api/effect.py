"""What visits change, for programs: every table of the effect with its definitions in one answer."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Response

from services.reporting.api.tables import csv_answer
from services.reporting.reports.reading import Reading
from services.reporting.rules.measures import EFFECT_TABLES
from services.reporting.rules.tables import Table, as_json
from services.runtime.web.languages import N_
from services.runtime.web.pages import signed_in
from services.runtime.web.people import Person

Who = Annotated[Person, Depends(signed_in)]
Day = date | None


def routes(reading: Reading) -> APIRouter:
    """Offer the published effect under /v1/effect."""
    router = APIRouter(prefix="/v1")

    async def tables(person: Person, cut_off: date | None) -> dict[str, Table]:
        found = await reading.published(person, cut_off)
        if "effect" not in found:
            raise HTTPException(404, N_("nothing was published for this day; GET /v1/published lists the days"))
        return {name: found[name] for name in EFFECT_TABLES if name in found}

    @router.get("/effect")
    async def effect(person: Who, cut_off: Day = None) -> dict[str, Any]:
        """Give the effect by month since the first visit, by district and by grade band."""
        return {name: as_json(table) for name, table in (await tables(person, cut_off)).items()}

    @router.get("/effect.csv")
    async def effect_csv(person: Who, cut_off: Day = None) -> Response:
        """Give the effect by district and month as CSV."""
        return csv_answer((await tables(person, cut_off))["effect"], is_public=True)

    return router

"""The HTTP of what a family may ask for: their key from a parent's name, and what is held of them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.runtime import clock
from services.runtime.web.context import Context
from services.scheduling.api.asking import Who
from services.scheduling.api.refusals import ExplainingRoute
from services.scheduling.handlers import held


class SoughtName(BaseModel):
    """A parent's whole name. It is sent, and never in an address."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200, pattern=r"^[^\x00]*$")]


def routes(context: Context) -> APIRouter:
    """Offer both under /v1/households, to coordinators and auditors."""
    router = APIRouter(route_class=ExplainingRoute)

    @router.post("/households/sought")
    async def find_keys(sought: SoughtName, who: Who) -> dict[str, Any]:
        """Give the keys of households whose contact has exactly this name, and nothing else of them."""
        async with context.begin() as tx:
            return {"households": await held.find_keys(tx, name=sought.name, person=who, as_of=clock.now())}

    @router.get("/households/{household_key}/held")
    async def show_held(household_key: UUID, who: Who) -> dict[str, Any]:
        """Show all that the desk holds of a household; the look is recorded."""
        async with context.begin() as tx:
            return await held.read_held(tx, household_key=household_key, person=who, as_of=clock.now())

    return router

"""The HTTP of policies: what a district has decided, and its coordinator's next decision."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.people import Person
from services.runtime.web.sign_in import signed_in
from services.scheduling.handlers.policies import current_policy, save_policy
from services.scheduling.rules.policy import DEFAULT, Policy, Weights

Who = Annotated[Person, Depends(signed_in)]
District = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
Weight = Annotated[int, Field(ge=0, le=1000)]


class WeightsGiven(BaseModel):
    """Points of the priority; what is left out is the default's."""

    model_config = ConfigDict(extra="forbid")

    rate: Weight = DEFAULT.weights.rate
    recent: Weight = DEFAULT.weights.recent
    worsening: Weight = DEFAULT.weights.worsening
    spell: Weight = DEFAULT.weights.spell
    chronic_last_year: Weight = DEFAULT.weights.chronic_last_year
    transition: Weight = DEFAULT.weights.transition
    sibling: Weight = DEFAULT.weights.sibling
    waiting: Weight = DEFAULT.weights.waiting


class PolicyCommand(BaseModel):
    """A district's next policy. `version` is the one it replaces; what is left out is the default's."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=0, lt=2**31)]
    first_contact_days: Annotated[int, Field(ge=1, le=60)] = DEFAULT.first_contact_days
    agreed_days: Annotated[int, Field(ge=1, le=180)] = DEFAULT.agreed_days
    # Three tries at least are the programme's rule; a district may ask for more.
    tries: Annotated[int, Field(ge=3, le=20)] = DEFAULT.tries
    decline_days: Annotated[int, Field(ge=1, le=730)] = DEFAULT.decline_days
    follow_up_days: Annotated[int, Field(ge=1, le=365)] = DEFAULT.follow_up_days
    undo_minutes: Annotated[int, Field(ge=0, le=240)] = DEFAULT.undo_minutes
    min_notice_hours: Annotated[int, Field(ge=0, le=24 * 14)] = DEFAULT.min_notice_hours
    visit_minutes: Annotated[int, Field(ge=5, le=480)] = DEFAULT.visit_minutes
    travel_minutes: Annotated[int, Field(ge=0, le=480)] = DEFAULT.travel_minutes
    weekly_cap: Annotated[int, Field(ge=1, le=60)] = DEFAULT.weekly_cap
    earliest_hour: Annotated[int, Field(ge=0, le=23)] = DEFAULT.earliest_hour
    latest_hour: Annotated[int, Field(ge=1, le=24)] = DEFAULT.latest_hour
    weights: WeightsGiven = WeightsGiven()


def policy_shown(policy: Policy) -> dict[str, Any]:
    """Show a policy with its version."""
    return asdict(policy)


def add_routes(router: APIRouter, context: Context) -> None:
    """Offer the policies under /v1/policies."""

    @router.get("/policies/{district}")
    async def show_policy(district: District, who: Who) -> dict[str, Any]:
        """Show the district's standing policy; version 0 is the default of one that has decided nothing."""
        async with context.begin() as tx:
            return policy_shown(await current_policy(tx, district=district, person=who))

    @router.put("/policies/{district}")
    async def change_policy(district: District, command: PolicyCommand, who: Who) -> dict[str, Any]:
        """Make the next version of the district's policy; its coordinator decides."""
        decided = command.model_dump(exclude={"weights"})
        policy = Policy(**decided, weights=Weights(**command.weights.model_dump()))
        async with context.begin() as tx:
            saved = await save_policy(
                tx, district=district, version=command.version, policy=policy, person=who, as_of=clock.now()
            )
        return policy_shown(saved)

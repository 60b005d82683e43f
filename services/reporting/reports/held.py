"""How much is held of one household: counted for a family that asks, and the look is recorded."""

from typing import NamedTuple
from uuid import UUID

from contracts.disclosures import Purpose, What
from services.reporting.store import held
from services.runtime import clock
from services.runtime.web.context import Context
from services.runtime.web.disclosing import Reading, Shown, disclose
from services.runtime.web.people import Person

HELD = Reading(what=(What.VISITS,), purpose=Purpose.ANSWER, counted=False)


class Held(NamedTuple):
    """Whose household it is, and how many rows there are of it by kind."""

    district: str
    counted: dict[str, int]


async def held_of(context: Context, person: Person, household_key: UUID) -> Held | None:
    """Count what is held of a household, by kind; None where the person may not know of it, or nobody does."""
    async with context.begin() as tx:
        district = await held.district_of(tx.connection, household_key)
        if district is None or not person.may_see(district):
            return None
        counted = await held.count_held(tx.connection, household_key)
        await disclose(tx.connection, person, [Shown(district, household_key)], HELD, as_of=clock.now())
    return Held(district, counted)

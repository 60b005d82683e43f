"""What a family may ask for: what the desk holds of them. Whoever answers is recorded, as everybody who reads."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.runtime.delivery.transaction import Transaction
from services.runtime.web.disclosing import Shown, disclose
from services.runtime.web.people import Person
from services.scheduling.handlers import disclosing
from services.scheduling.rules.visits import RequestUnknown
from services.scheduling.store import held


async def read_held(tx: Transaction, *, household_key: UUID, person: Person, as_of: datetime) -> dict[str, Any]:
    """Read all that is held of a household. Raises RequestUnknown where it is not theirs to answer."""
    district = await held.district_of(tx.connection, household_key)
    if district is None or not person.may_see(district):
        raise RequestUnknown
    found = await held.read_held(tx.connection, household_key)
    children = disclosing.children_of(found["contact"], found["children"])
    shown = [Shown(district, household_key, child) for child in children] or [Shown(district, household_key)]
    await disclose(tx.connection, person, shown, disclosing.HELD, as_of=as_of)
    return {"household_key": household_key, "district": district, **found}


async def find_keys(tx: Transaction, *, name: str, person: Person, as_of: datetime) -> list[dict[str, Any]]:
    """Find the keys of households whose contact has this name, and record that they were.

    Nothing else of the families is told: that somebody of the name is known here is what was asked.
    """
    districts = None if person.sees_everything else sorted(person.scopes)
    rows = await held.households_named(tx.connection, name=name, districts=districts)
    shown = [Shown(row["district"], row["household_key"]) for row in rows]
    await disclose(tx.connection, person, shown, disclosing.KEY_FOUND, as_of=as_of)
    return [dict(row) for row in rows]

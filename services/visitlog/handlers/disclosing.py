"""What the visit log shows of families, kind by kind: recorded with each reading, in the transaction that reads."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import asyncpg

from contracts.disclosures import PAYROLL, Purpose, What
from services.runtime.web.context import Context
from services.runtime.web.disclosing import Reading, Shown, disclose
from services.runtime.web.people import Person
from services.visitlog.handlers import access
from services.visitlog.handlers.acts import Act, acting
from services.visitlog.rules import outcomes
from services.visitlog.store import visits

# No name is in it, and a month of a district is more than anybody's hour.
PAY = Reading(what=(What.VISITS,), purpose=Purpose.PAY, door=PAYROLL, counted=False)
HELD = Reading(what=(What.CONTACT, What.WORDS, What.NOTE), purpose=Purpose.ANSWER)


async def note(act: Act, households: Iterable[tuple[str, UUID]], *what: What) -> None:
    """Record that the person sees this of these households, each by its district and key, and why they may."""
    is_office = act.person.role == access.COORDINATOR
    reading = Reading(what=what, purpose=Purpose.COORDINATE if is_office else Purpose.OWN_VISIT)
    await record(act, households, reading)


async def record(act: Act, households: Iterable[tuple[str, UUID]], reading: Reading) -> None:
    """Record a reading of these households, and of the children in them: a record is found by either."""
    districts = {household_key: district for district, household_key in households}
    if not districts:
        return
    children = await visits.children_of(act.connection, list(districts))
    shown = [
        *(Shown(district, household_key) for household_key, district in districts.items()),
        *(Shown(districts[row["household_key"]], row["household_key"], row["student_key"]) for row in children),
    ]
    await disclose(act.connection, act.person, shown, reading, as_of=act.as_of)


async def note_log(act: Act, log: asyncpg.Record, body: Mapping[str, Any]) -> None:
    """Record that a log is shown: what was said, and the private note where the reader sees it."""
    what = (What.WORDS, What.NOTE) if body.get("private_note") else (What.WORDS,)
    await note(act, [(log["district"], log["household_key"])], *what)


async def note_conflict(context: Context, person: Person, log_id: UUID, conflict: outcomes.LogDiffers) -> None:
    """Record that the log that stands is shown to whoever sent another one: the refusal took its transaction back."""
    async with acting(context, person) as act:
        await note_log(act, await access.log_of(act, log_id), conflict.standing)

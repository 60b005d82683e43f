"""What the visit log does when a family or a child is forgotten, a contract ends, or something is too old.

Of a log the words go, and what was added to it. When and where two people went, and what it took, is pay and stays.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from contracts import events
from contracts.events.forgetting import said_of
from services.runtime import clock
from services.runtime.database import Connection
from services.runtime.delivery import forgotten as memory
from services.runtime.delivery.letting_go import Rule
from services.runtime.delivery.letting_go import let_go as by_rules
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context
from services.visitlog.rules.form import Log
from services.visitlog.store import ageing, forgetting

EVERY_SECONDS = 120.0


async def on_forgetting(tx: Transaction, said: Sequence[events.Forgetting]) -> None:
    """Remember who is forgotten, and let go what stands here of them."""
    words = [memory.Word(*each) for event in said if (each := said_of(event)) is not None]
    await memory.keep(tx.connection, words)
    ended = [(each.district, each.occurred_at) for each in said if isinstance(each, events.DistrictEnded)]
    if ended:
        await memory.end(tx.connection, ended)
    if words or ended:
        await sweep(tx)


async def sweep(tx: Transaction) -> None:
    """Let go whatever stands here of whom is forgotten, however it came: a repeat finds nothing."""
    await forgetting.forget_households(tx.connection)
    await forgetting.strip_students(tx.connection, None)
    while bodies := await forgetting.bodies_of_forgotten(tx.connection):
        await empty(tx.connection, bodies, because="forgotten")
    if ended := await memory.ended(tx.connection):
        await forgetting.erase_districts(tx.connection, ended)


async def empty(connection: Connection, bodies: Collection[tuple[UUID, str]], *, because: str) -> None:
    """Leave of these logs what two people did, and none of what was said, written or added."""
    rows = [(log_id, Log.model_validate_json(body).without_words().in_one_spelling()) for log_id, body in bodies]
    await forgetting.empty_logs(connection, rows, because=because)


async def strip_names(tx: Transaction, students: Collection[UUID]) -> None:
    """Take the names of those of these children who are forgotten out of contact data that came just now."""
    known = await memory.read(tx.connection, "student", students) if students else {}
    if gone := [each.subject for each in known.values() if each.is_forgotten]:
        await forgetting.strip_students(tx.connection, gone)


async def keep_forgotten(context: Context) -> None:
    """Sweep again: what two workers did at the same moment, each without seeing the other."""
    async with context.begin() as tx:
        await sweep(tx)


async def _take_bodies(connection: Connection, district: str, before: datetime, most: int) -> int:
    bodies = await ageing.old_bodies(connection, district, before, most)
    await empty(connection, bodies, because="too_old")
    return len(bodies)


RULES = (
    Rule(kind="contacts", years=lambda policy: policy.contacts_years, take=ageing.take_contacts),
    Rule(kind="log_bodies", years=lambda policy: policy.log_bodies_years, take=_take_bodies),
    Rule(kind="disclosures", years=lambda policy: policy.disclosures_years, take=ageing.take_disclosures),
    Rule(kind="dead_letters", years=lambda policy: policy.dead_letters_years, take=ageing.take_dead_letters),
)


async def let_go(context: Context) -> None:
    """Let go what districts keep no longer."""
    await by_rules(context.begin, RULES, ageing.decided, now=clock.now())

"""What is cleared behind a wish to be forgotten, by a timer: copies in landing logs, names in contact data told before.

A landing log is cut behind the place up to which all had its effect. Everything before it has been told and is kept by
whoever needs it; and that it was cut is told first, so that a position put back to before it goes on there.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from contracts import events
from contracts.identities import identity
from contracts.topics import HOUSEHOLD_CONTACTS, PARTITIONS
from services.ingest.handlers.forgetting import tell_forgetting
from services.ingest.store import contacts, forgotten
from services.ingest.store.forgotten import Cut, Wish
from services.runtime.broker_access import Broker, client_options
from services.runtime.delivery.own_words import Topics
from services.runtime.delivery.publisher import partition_of
from services.runtime.delivery.transaction import Written
from services.runtime.web.context import Context

log = structlog.get_logger(__name__)

REJECTED = "attendance-rejected"
NOBODY = UUID(int=0)
_CONTACT = "household-contact.changed.v1"


async def clear(context: Context) -> None:
    """Do what is wanted by now; what fails is tried again the next time."""
    await unname(context)
    async with context.pool.acquire() as connection:
        wishes = await forgotten.wanted_cuts(connection)
    for wish in wishes:
        await _cut_district(context, wish)


async def unname(context: Context) -> None:
    """Tell contact data anew without the children who are forgotten, in the version in which it stands."""
    async with context.pool.acquire() as connection:
        wanted = await forgotten.to_unname(connection)
    if not wanted:
        return
    newest: dict[UUID, tuple[ConsumerRecord, dict[str, Any] | None]] = {}
    async for records in Topics(context.settings.kafka).read((HOUSEHOLD_CONTACTS,)):
        for record in records:
            if (key := _uuid(record.key)) is not None:
                newest[key] = record, _read(record.value)
    left = False
    names = {str(each) for each in wanted}
    for key, (record, contact) in newest.items():
        if contact is not None and names & {child["student_key"] for child in contact["students"]}:
            left |= not await _tell_without(context, key, record, contact, names)
    if not left:
        async with context.pool.acquire() as connection:
            await forgotten.unnamed(connection, wanted)


async def _tell_without(
    context: Context, key: UUID, record: ConsumerRecord, contact: dict[str, Any], names: set[str]
) -> bool:
    """Say whether it is told without them; a newer word that waits to be told names nobody who is forgotten."""
    async with context.begin() as tx:
        if not await contacts.is_newest(tx.connection, key, contact["source_version"]):
            return False
        contact["students"] = [child for child in contact["students"] if child["student_key"] not in names]
        contact["event_id"] = str(identity("unnamed", contact["event_id"], *sorted(names)))
        event = Written(UUID(contact["event_id"]), _CONTACT, json.dumps(contact))
        tx.emit(topic=HOUSEHOLD_CONTACTS, key=str(key), partition=record.partition, event=event)
    return True


async def _cut_district(context: Context, wish: Wish) -> None:
    returned = await _returned(context, wish.district) if wish.rejected else []
    async with context.begin() as tx:
        cuts = await forgotten.cuttable(tx.connection, wish.district)
        if not cuts:
            return  # something waits to be told yet
        cuts += returned
        for cut in cuts:
            await forgotten.keep_cut(tx.connection, cut)
            tell_forgetting(tx, _told(wish.district, cut))
    ends = {TopicPartition(cut.topic, cut.partition): cut.before for cut in cuts}
    await cut_logs(context.settings.kafka, ends)
    async with context.pool.acquire() as connection:
        await forgotten.cut_is_done(connection, wish)
    log.info("landing logs were cut", district=wish.district, logs=len(ends))


def _told(district: str, cut: Cut) -> events.LandingCut:
    kind = events.LandingCut.EVENT_TYPE
    return events.LandingCut(
        event_id=identity(kind, *cut),
        event_type="landing.cut.v1",
        occurred_at=datetime.now(UTC),
        district=district,
        topic=cut.topic,
        partition=cut.partition,
        log=cut.log,
        before=cut.before,
    )


async def _returned(context: Context, district: str) -> list[Cut]:
    """Give up to where a district's own bytes stand in what went back.

    Its lane is others' too: nothing is computed from what went back, and why it did stands in the receipts.
    """
    lane, key = partition_of(district, PARTITIONS), district.encode()
    before = 0
    async for records in Topics(context.settings.kafka).read((REJECTED,)):
        for record in records:
            if record.partition == lane and record.key == key:
                before = max(before, record.offset + 1)
    return [Cut(REJECTED, lane, 0, before)] if before else []


async def cut_logs(broker: Broker, ends: Mapping[TopicPartition, int]) -> None:
    """Remove what stands before these offsets. Raises KafkaError where the broker does not."""
    client = AIOKafkaAdminClient(**client_options(broker))
    await client.start()
    try:
        await client.delete_records({where: RecordsToDelete(before) for where, before in ends.items()})
    finally:
        await client.close()


async def close_parts(context: Context) -> None:
    """Let parts of the compacted topic close in which names of forgotten families may stand, so that they are cleaned.

    Kafka begins a new part only when something is written, and cleans none that is being written: a quiet partition
    would keep a name for ever. What is written is that nobody's contact data is taken back.
    """
    async with context.begin() as tx:
        lanes = range(PARTITIONS) if await forgotten.closing_wanted(tx.connection) else ()
        now = datetime.now(UTC).isoformat()
        for lane in lanes:
            nothing = Written(identity("contact-forgotten", lane, now), "household-contact.forgotten", "")
            tx.emit(topic=HOUSEHOLD_CONTACTS, key=str(NOBODY), partition=lane, event=nothing)


def _uuid(key: bytes | None) -> UUID | None:
    try:
        return UUID((key or b"").decode())
    except ValueError:
        return None


def _read(value: bytes | None) -> dict[str, Any] | None:
    try:
        contact = json.loads(value or b"null")
        return contact if isinstance(contact, dict) and isinstance(contact["students"], list) else None
    except (ValueError, KeyError):
        return None

"""A landed batch becomes facts and rejections, published before the position commits.

A crash between the two publishes the batch again: with the same event ids where it is cut alike, and else as other
rolls of the same marks, which change nothing downstream. Each landing place counts once, here and there.
"""

from enum import Enum

from aiokafka import ConsumerRecord

from contracts.events import RejectionReason
from services.ingest import metrics
from services.ingest.formats import csv_rows, own
from services.ingest.handlers import bookkeeping, contacts, forgetting
from services.ingest.handlers.batch import Batch
from services.ingest.handlers.uploads import refuse_unless_utf8, upload_of
from services.ingest.rules import landing
from services.ingest.rules.allowance import Bucket
from services.ingest.rules.landing import Landed, Rejection
from services.ingest.rules.pseudonyms import Districts
from services.ingest.store import counts, feeds, forgotten
from services.runtime import clock
from services.runtime.delivery.subscription import Delivery, Undecodable
from services.runtime.delivery.transaction import Transaction

MAX_RETURNABLE_BYTES = 512 * 1024
"""A bigger record can't travel back: in base64 it would outgrow the broker's limit. It becomes a dead letter."""

MARKS_AT_A_TIME = 20_000
LARGE_BYTES = 4 * 1024
"""Ten thousand landed rolls are millions of marks: large records are read when they are taken in, so many at a time."""


class Unread(Enum):
    """Stands for a large record until it is taken in."""

    UNREAD = "unread"


def decode_landed(record: ConsumerRecord, *, districts: Districts) -> Landed | Rejection | Unread:
    """Read one landed record, or say why it goes back to its district; a large one is left for later.

    Raises Undecodable where it can't be sent back: from a district without secrets, or too large to return.
    """
    if record.topic not in districts.by_landing_topic:
        raise Undecodable("unknown_district", "the districts file has no such district")
    size = 0 if record.value is None else len(record.value)
    if record.key is not None or record.headers:
        size += len(record.key or b"") + sum(len(name) + len(value or b"") for name, value in record.headers)
    if size > MAX_RETURNABLE_BYTES:
        raise Undecodable("too_large", f"over {MAX_RETURNABLE_BYTES} bytes")
    return Unread.UNREAD if size > LARGE_BYTES else read_landed(record, districts=districts)


def read_landed(record: ConsumerRecord, *, districts: Districts) -> Landed | Rejection:
    """Read one landed record of any size, or say why it goes back to its district."""
    try:
        if record.key is not None and not record.key.isascii():
            refuse_unless_utf8(record.key, "key")
        columns = upload_of(record).columns if record.headers else None
    except Rejection as rejection:
        return rejection
    return read_value(record.value, columns, district=districts.by_landing_topic[record.topic])


def read_value(value: bytes | None, columns: tuple[str, ...] | None, *, district: str) -> Landed | Rejection:
    """Read what a district wrote, as its own record or as a CSV row of these columns, or say why it goes back."""
    try:
        landed = own.decode(value) if columns is None else csv_rows.mark_of_row(value, columns)
        if landed.district is not None and landed.district != district:
            return Rejection(RejectionReason.FOREIGN_DISTRICT, "district: not the district of the landing topic")
        mistake = landing.mistake_in_mark(landed) if isinstance(landed, landing.Mark) else landing.mistake_in(landed)
    except Rejection as rejection:
        return rejection
    return Rejection(*mistake) if mistake else landed


async def on_landed(
    transaction: Transaction, deliveries: list[Delivery], *, districts: Districts, one_by_one: Bucket | None = None
) -> None:
    """Publish the batch's facts and rejections, then count them with the position."""
    pages = await bookkeeping.enter(transaction, deliveries)
    of = {districts.by_landing_topic[topic] for topic, _ in pages}
    memories = await forgotten.read_memories(transaction.connection, of)
    batch = Batch(
        districts, zone=transaction.zone, moved=clock.moved(), pages=pages, one_by_one=one_by_one, memories=memories
    )
    for record, decoded in deliveries:
        landed = read_landed(record, districts=districts) if decoded is Unread.UNREAD else decoded
        if (district := batch.land(record, landed)) is not None:
            batch.know_feeds(district, await feeds.read_feeds(transaction.connection, district=district))
            batch.land(record, landed)
        if batch.marks_at_hand >= MARKS_AT_A_TIME:
            await _publish(transaction, batch)
    await _publish(transaction, batch)

    await _keep(transaction, batch)
    for district, records in batch.returns.foreign.items():
        metrics.FOREIGN.labels(district).inc(records)
    for (district, reason), records in batch.returns.reasons.items():
        metrics.REJECTED.labels(district, reason).inc(records)


async def _publish(transaction: Transaction, batch: Batch) -> None:
    for contradicting in await contacts.tell(
        transaction, batch.take_contacts(), is_forgotten=batch.forgetting.is_forgotten
    ):
        batch.send_back_contact(contradicting)
    for topic, messages_by_partition in batch.close().items():
        await transaction.publisher.publish_batches(topic, messages_by_partition, caused_at_ms=batch.landed_at_ms)


async def _keep(transaction: Transaction, batch: Batch) -> None:
    await forgetting.tell(transaction, batch.forgetting)
    if batch.returns.copies:
        await forgotten.want_cut(transaction.connection, sorted(batch.returns.copies), rejected=False)
    await counts.add_landed_counts(transaction.connection, batch.counts())
    if batch.told_feeds:
        await feeds.keep_feeds(transaction.connection, batch.told_feeds)
    if batch.accepted:
        moves = [
            counts.ReceiptMove(district=district, receipt=receipt, accepted=rows)
            for (district, receipt), rows in batch.accepted.items()
        ]
        await counts.move_receipts(transaction.connection, moves)
    if batch.returns.rows:
        await counts.reject_rows(transaction.connection, batch.returns.rows)

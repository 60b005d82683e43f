"""A landed batch becomes facts and rejections, published before the position commits.

A crash between the two publishes the batch again with the same event ids, which everything downstream ignores.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts.events import ReceiptProgressed, RejectionReason
from contracts.topics import PARTITIONS
from services.ingest import metrics
from services.ingest.formats import csv_rows, own
from services.ingest.rules import attendance, landing
from services.ingest.rules.landing import (
    Calendar,
    CompletedRoll,
    Enrollment,
    Household,
    Landed,
    Mark,
    Rejection,
    Retraction,
)
from services.ingest.rules.pseudonyms import Districts, Pseudonyms
from services.ingest.store import counts
from services.runtime.delivery.inbox import first_time
from services.runtime.delivery.publisher import Message, partition_of
from services.runtime.delivery.subscription import Delivery, Undecodable
from services.runtime.delivery.transaction import Transaction

RECEIPT_HEADER = "leap-receipt"
ROW_HEADER = "leap-row"
COLUMNS_HEADER = "leap-columns"

MAX_RETURNABLE_BYTES = 512 * 1024
"""A bigger record can't travel back: in base64 it would outgrow the broker's limit. It becomes a dead letter."""

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True, kw_only=True)
class LandingPartition:
    """A landing partition: whose it is, what its records' event ids begin with, and how many marks came from it."""

    district: str
    source: bytes
    pseudonyms: Pseudonyms
    event_id_head: str
    marks: int = 0


class Upload(NamedTuple):
    """Which row of which upload a record is; all None where the district produced it itself."""

    receipt: str | None = None
    row: int | None = None
    columns: tuple[str, ...] | None = None


def decode_landed(record: ConsumerRecord, *, districts: Districts) -> Landed | Rejection:
    """Read one landed record, or say why it goes back to its district.

    Raises Undecodable where it can't be sent back: from a district without secrets, or too large to return.
    """
    district = districts.by_landing_topic.get(record.topic)
    if district is None:
        raise Undecodable("unknown_district", "the districts file has no such district")
    size = 0 if record.value is None else len(record.value)
    if record.key is not None or record.headers:
        size += len(record.key or b"") + sum(len(name) + len(value or b"") for name, value in record.headers)
    if size > MAX_RETURNABLE_BYTES:
        raise Undecodable("too_large", f"over {MAX_RETURNABLE_BYTES} bytes")
    try:
        if record.key is not None and not record.key.isascii():
            _refuse_unless_utf8(record.key, "key")
        columns = _upload_of(record).columns if record.headers else None
        landed = own.decode(record.value) if columns is None else csv_rows.mark_of_row(record.value, columns)
        if landed.district is not None and landed.district != district:
            return Rejection(RejectionReason.FOREIGN_DISTRICT, "district: not the district of the landing topic")
        mistake = landing.mistake_in_mark(landed) if isinstance(landed, Mark) else landing.mistake_in(landed)
    except Rejection as rejection:
        return rejection
    return Rejection(*mistake) if mistake else landed


async def on_landed(transaction: Transaction, deliveries: list[Delivery], *, districts: Districts) -> None:
    """Publish the batch's facts and rejections, then count them with the position."""
    batch = Batch(districts)
    for delivery in deliveries:
        batch.land(delivery.record, delivery.event)

    for topic, messages_by_partition in batch.outgoing.items():
        await transaction.publisher.publish_batches(topic, {**messages_by_partition}, caused_at_ms=batch.landed_at_ms)
    for district, records in batch.foreign.items():
        metrics.FOREIGN.labels(district).inc(records)
    for (district, reason), records in batch.rejected.items():
        metrics.REJECTED.labels(district, reason).inc(records)

    await counts.add_landed_counts(transaction.connection, batch.counts())
    if batch.accepted:
        moves = [
            counts.ReceiptMove(district=district, receipt=receipt, accepted=rows)
            for (district, receipt), rows in batch.accepted.items()
        ]
        await counts.move_receipts(transaction.connection, moves)
    if batch.rejected_rows:
        await counts.reject_rows(transaction.connection, batch.rejected_rows)


class Batch:
    """What a batch of landed records comes to: messages by topic and partition, in landing order, and counts."""

    def __init__(self, districts: Districts) -> None:
        self.outgoing: defaultdict[str, defaultdict[int, list[Message]]] = defaultdict(lambda: defaultdict(list))
        self._counts: Counter[tuple[str, str]] = Counter()
        self.accepted: Counter[tuple[str, str]] = Counter()
        self.rejected_rows: list[counts.RejectedRow] = []
        self.foreign: Counter[str] = Counter()
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.landed_at_ms: int | None = None
        self._districts = districts
        self._places: dict[tuple[str, int], LandingPartition] = {}
        self._attendance = self.outgoing["attendance"] = defaultdict(list, {p: [] for p in range(PARTITIONS)})
        self._timestamp_ms = -1
        self._moment = ""

    def land(self, record: ConsumerRecord, landed: Landed | Rejection) -> None:
        """Turn one record, and what it was read as, into its fact or its rejection."""
        place = self._places.get((record.topic, record.partition)) or self._place(record)
        event_id = f"{place.event_id_head}{record.offset:012x}"
        if record.timestamp != self._timestamp_ms:
            self._timestamp_ms = record.timestamp
            self._moment = attendance.moment_of(record.timestamp)
        if isinstance(landed, Rejection):
            self._reject(record, place, event_id, landed)
            return

        receipt = _readable_upload(record).receipt if record.headers else None
        if isinstance(landed, Mark):
            self._record_mark(landed, place, event_id, receipt)
        elif isinstance(landed, Retraction):
            self._retract_mark(landed, place, event_id, receipt)
        else:
            self._land_roster(landed, place, event_id)
            if receipt is not None:
                self.accepted[place.district, receipt] += 1

    def counts(self) -> Counter[tuple[str, str]]:
        """Count the records landed so far by district and kind."""
        counted = Counter(self._counts)
        for place in self._places.values():
            counted[place.district, "mark"] += place.marks
        return +counted

    def _place(self, record: ConsumerRecord) -> LandingPartition:
        district = self._districts.by_landing_topic[record.topic]
        # Once per topic and batch: its first record is its oldest.
        if self.landed_at_ms is None or record.timestamp < self.landed_at_ms:
            self.landed_at_ms = record.timestamp
        head = blake2b(f"{record.topic}/{record.partition}".encode()).hexdigest()
        place = self._places[record.topic, record.partition] = LandingPartition(
            district=district,
            source=f"district/{district}".encode(),
            pseudonyms=self._districts.pseudonyms[district],
            event_id_head=f"{head[:8]}-{head[8:12]}-8{head[12:15]}-8000-",
        )
        return place

    def _record_mark(self, mark: Mark, place: LandingPartition, event_id: str, receipt: str | None) -> None:
        key = place.pseudonyms.student_key(student=mark.student, state_student=mark.state_student)
        fact = attendance.AttendanceRecorded(
            event_id, self._moment, place.district, mark.school, key, mark.date, mark.category, mark.version,
            mark.present_parts, mark.day_parts, receipt,
        )  # fmt: skip  # by position: names would cost a tenth of the whole path
        # The hexadecimal digits of the key choose the partition, as partition_of does for a UUID's text.
        self._attendance[int(key[:6], 16) % PARTITIONS].append(
            (key.encode(), _encode(fact), _headers(event_id, _RECORDED, place.source))
        )
        place.marks += 1

    def _retract_mark(
        self, retraction: Retraction, place: LandingPartition, event_id: str, receipt: str | None
    ) -> None:
        key = place.pseudonyms.student_key(student=retraction.student, state_student=retraction.state_student)
        fact = attendance.AttendanceRetracted(
            event_id, self._moment, place.district, retraction.school, key, retraction.date, retraction.version, receipt
        )
        self._publish("attendance", key, fact, place, event_id)
        self._counts[place.district, "retraction"] += 1

    def _land_roster(
        self, landed: CompletedRoll | Enrollment | Calendar | Household, place: LandingPartition, event_id: str
    ) -> None:
        identity = attendance.Identity(event_id=event_id, occurred_at=self._moment, district=place.district)
        if isinstance(landed, CompletedRoll):
            self._punctuate("attendance", attendance.completed_roll(landed, identity=identity), place, event_id)
            self._counts[place.district, "roll"] += 1
            return
        if isinstance(landed, Calendar):
            self._punctuate("school-calendar", attendance.changed_calendar(landed, identity=identity), place, event_id)
        elif isinstance(landed, Enrollment):
            enrollment = attendance.changed_enrollment(landed, identity=identity, pseudonyms=place.pseudonyms)
            self._publish("enrollments", enrollment.student_key, enrollment, place, event_id)
        else:
            contact = attendance.changed_contact(landed, identity=identity, pseudonyms=place.pseudonyms)
            self._publish("household-contacts", contact.household_key, contact, place, event_id)
        self._counts[place.district, "roster"] += 1

    def _publish(self, topic: str, key: str, fact: attendance.Fact, place: LandingPartition, event_id: str) -> None:
        message = (key.encode(), _encode(fact), _headers(event_id, _type_of(fact), place.source))
        self.outgoing[topic][partition_of(key, PARTITIONS)].append(message)

    def _punctuate(self, topic: str, fact: attendance.Fact, place: LandingPartition, event_id: str) -> None:
        # To every partition, behind the marks that landed before it: so it never overtakes a mark it closes.
        message = (place.district.encode(), _encode(fact), _headers(event_id, _type_of(fact), place.source))
        messages_by_partition = self.outgoing[topic]
        for partition in range(PARTITIONS):
            messages_by_partition[partition].append(message)

    def _reject(self, record: ConsumerRecord, place: LandingPartition, event_id: str, rejection: Rejection) -> None:
        # Read again, forgiving: a record rejected for one header may still name its receipt and row in the others.
        upload = _readable_upload(record)
        event = attendance.AttendanceRejected(
            event_id=event_id,
            occurred_at=self._moment,
            district=place.district,
            reason=rejection.reason,
            detail=rejection.detail[:300],
            landing_topic=record.topic,
            landing_partition=record.partition,
            landing_offset=record.offset,
            row=upload.row,
            receipt=upload.receipt,
            original=record.value or b"",
        )
        headers = _headers(event_id, _type_of(event), place.source) + _landing_headers(record)
        key = place.district
        self.outgoing["attendance-rejected"][partition_of(key, PARTITIONS)].append(
            (key.encode(), _encode(event), headers)
        )
        self._counts[place.district, "rejected"] += 1
        if rejection.reason is RejectionReason.FOREIGN_DISTRICT:
            self.foreign[place.district] += 1
        self.rejected[place.district, rejection.reason.value] += 1
        if upload.receipt is not None and upload.row is not None:
            self.rejected_rows.append(
                counts.RejectedRow(
                    district=place.district,
                    receipt=upload.receipt,
                    row=upload.row,
                    reason=rejection.reason.value,
                    detail=rejection.detail[:300],
                )
            )


_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")
_RECORDED = b"attendance.recorded.v1"


def _headers(event_id: str, event_type: bytes, source: bytes) -> list[tuple[str, bytes]]:
    # cloud_event_headers() of the runtime with its constants made once: this runs for every mark.
    return [_SPEC_VERSION, ("ce_id", event_id.encode()), ("ce_type", event_type), ("ce_source", source), _CONTENT_TYPE]


def _type_of(fact: attendance.Fact | attendance.AttendanceRejected) -> bytes:
    return str(fact.__struct_config__.tag).encode()


def _landing_headers(record: ConsumerRecord) -> list[tuple[str, bytes]]:
    """The record's own key and headers, bytes unaltered, beside the event that carries its value."""
    carried = [(f"landing-{name}", value or b"") for name, value in record.headers]
    return carried if record.key is None else [*carried, ("landing-key", record.key)]


def _upload_of(record: ConsumerRecord) -> Upload:
    receipt = row = columns = None
    for name, value in record.headers:
        if "\\" in name:  # how the runtime spells a name that is not UTF-8
            raise Rejection(RejectionReason.NOT_UTF8, "a header's name: not UTF-8")
        if value is None or not value.isascii():
            _refuse_unless_utf8(value or b"", "a header")
        if name == RECEIPT_HEADER:
            receipt = _uuid_text(value)
            if receipt is None:
                raise Rejection(RejectionReason.WRONG_TYPE, f"header {RECEIPT_HEADER}: not a UUID")
        elif name == ROW_HEADER:
            row = _row_number(value)
            if row is None:
                raise Rejection(RejectionReason.WRONG_TYPE, f"header {ROW_HEADER}: not a row number")
        elif name == COLUMNS_HEADER:
            try:
                columns = csv_rows.columns_of(value or b"")
            except csv_rows.HeaderRefused:
                raise Rejection(RejectionReason.MISSING_FIELD, f"header {COLUMNS_HEADER}: not our columns") from None
    return Upload(receipt, row, columns)


def _readable_upload(record: ConsumerRecord) -> Upload:
    headers = dict(record.headers)
    return Upload(_uuid_text(headers.get(RECEIPT_HEADER)), _row_number(headers.get(ROW_HEADER)))


@lru_cache(maxsize=256)
def _uuid_text(value: bytes | None) -> str | None:
    try:
        return str(UUID((value or b"").decode("ascii")))
    except ValueError:
        return None


def _row_number(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > 9 or int(value) < 1:
        return None
    return int(value)


def _refuse_unless_utf8(value: bytes, where: str) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Rejection(RejectionReason.NOT_UTF8, f"{where}: not UTF-8") from None


def decode_progress(record: ConsumerRecord) -> ReceiptProgressed:
    """Read a receipt's progress. Raises Undecodable."""
    try:
        return ReceiptProgressed.model_validate_json(record.value or b"")
    except ValidationError as error:
        raise Undecodable("not_receipt_progress", f"{error.error_count()} fields are wrong") from None


async def on_receipt_progressed(transaction: Transaction, deliveries: list[Delivery]) -> None:
    """Add what flagging found effective or known already; an event seen before adds nothing."""
    progress_by_event: dict[UUID, ReceiptProgressed] = {each.event.event_id: each.event for each in deliveries}
    fresh = await first_time(transaction.connection, "receipt-progress", progress_by_event)

    moves = [
        counts.ReceiptMove(
            district=progress.district,
            receipt=str(progress.receipt),
            accepted=progress.accepted,
            duplicate=progress.duplicate,
        )
        for event_id, progress in progress_by_event.items()
        if event_id in fresh
    ]

    if moves:
        await counts.move_receipts(transaction.connection, moves)

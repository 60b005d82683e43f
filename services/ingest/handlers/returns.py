"""What goes back to its district: a landed record, or one mark of a landed roll, with the reason and its own bytes."""

from collections import Counter

from aiokafka import ConsumerRecord

from contracts.events import RejectionReason
from services.ingest.handlers.messages import Headers, Sender
from services.ingest.handlers.uploads import Upload, readable_upload
from services.ingest.rules.attendance import AttendanceRejected, moment_of
from services.ingest.rules.landing import RefusedMark, Rejection
from services.ingest.store.counts import RejectedRow
from services.runtime.delivery.publisher import Message

_MAX_DETAIL = 300


class Returns:
    """Gathers what goes back, by lane, and what is to be counted and told of it."""

    def __init__(self) -> None:
        self.messages_by_lane: dict[int, list[Message]] = {}
        self.rows: list[RejectedRow] = []
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.foreign: Counter[str] = Counter()
        self.copies: set[str] = set()
        """Districts in whose landing logs copies stand of what is forgotten."""

    def send_back(self, record: ConsumerRecord, sender: Sender, rejection: Rejection) -> None:
        """Return a whole record, its bytes unaltered."""
        upload = readable_upload(record)
        event_id = sender.event_id(record.offset)
        self._return(record, sender, rejection, self._event(record, sender, rejection, event_id, upload))
        if rejection.reason is RejectionReason.FOREIGN_DISTRICT:
            self.foreign[sender.origin.district] += 1
        self._tell_receipt(sender, upload, rejection)

    def send_back_mark(self, record: ConsumerRecord, sender: Sender, refused: RefusedMark) -> None:
        """Return one mark of a landed roll by itself: its place is told as the row, and nothing of its neighbours.

        Of an uploaded roll, its line has gone back with that: the receipt counts lines.
        """
        upload = readable_upload(record)
        detail = f"marks[{refused.place}]: {refused.rejection.detail}"
        rejection = Rejection(refused.rejection.reason, detail, kept=refused.rejection.kept)
        event_id = sender.event_id_of_mark(record.offset, refused.place)
        event = self._event(record, sender, rejection, event_id, Upload(upload.receipt, refused.place))
        event.original = refused.original if refused.rejection.kept else b""
        self._return(record, sender, rejection, event)
        self._tell_receipt(sender, upload, rejection)

    def take(self) -> dict[int, list[Message]]:
        """Give the messages gathered since the last time."""
        taken, self.messages_by_lane = self.messages_by_lane, {}
        return taken

    def _event(
        self, record: ConsumerRecord, sender: Sender, rejection: Rejection, event_id: str, upload: Upload
    ) -> AttendanceRejected:
        return AttendanceRejected(
            event_id=event_id,
            occurred_at=moment_of(record.timestamp),
            district=sender.origin.district,
            reason=rejection.reason,
            detail=rejection.detail[:_MAX_DETAIL],
            landing_topic=record.topic,
            landing_partition=record.partition,
            landing_offset=record.offset,
            row=upload.row,
            receipt=upload.receipt,
            # Of whom a family wants to be forgotten no copy is made, not even to go back.
            original=(record.value or b"") if rejection.kept else b"",
        )

    def _return(self, record: ConsumerRecord, sender: Sender, rejection: Rejection, event: AttendanceRejected) -> None:
        key, value, headers = sender.message(event)
        message = (key, value, headers + (_landing_headers(record) if rejection.kept else []))
        self.messages_by_lane.setdefault(sender.lane, []).append(message)
        self.reasons[sender.origin.district, rejection.reason.value] += 1
        if not rejection.kept:
            self.copies.add(sender.origin.district)

    def _tell_receipt(self, sender: Sender, upload: Upload, rejection: Rejection) -> None:
        if upload.receipt is not None and upload.row is not None:
            self.rows.append(
                RejectedRow(
                    district=sender.origin.district,
                    receipt=upload.receipt,
                    row=upload.row,
                    reason=rejection.reason.value,
                    detail=rejection.detail[:_MAX_DETAIL],
                )
            )


def _landing_headers(record: ConsumerRecord) -> Headers:
    """The record's own key and headers, bytes unaltered, beside the event that carries its value."""
    carried = [(f"landing-{name}", value or b"") for name, value in record.headers]
    return carried if record.key is None else [*carried, ("landing-key", record.key)]

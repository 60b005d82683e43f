"""What goes back to its district: a landed record, or one mark of a landed roll, with the reason and its own bytes.

A copy of five bytes takes six hundred. So each district has a number of rejections that are told one by one; where more
come at once, those that are alike are told together, by their places, with the bytes of the first.
"""

import time
from collections import Counter
from dataclasses import dataclass

from aiokafka import ConsumerRecord

from contracts.events import RejectionReason
from services.ingest.handlers.messages import Headers, Sender
from services.ingest.handlers.uploads import Upload, readable_upload
from services.ingest.rules.allowance import Bucket, alike, copies
from services.ingest.rules.attendance import AttendanceRejected, moment_of
from services.ingest.rules.landing import RefusedMark, Rejection
from services.ingest.store.counts import RejectedRow
from services.runtime.delivery.publisher import Message

_MAX_DETAIL = 300


@dataclass(slots=True)
class _Together:
    """Rejections that are alike: the first one's event and headers, and the runs of places of the others."""

    sender: Sender
    event: AttendanceRejected
    headers: Headers
    runs: list[list[int]]

    def join(self, place: int) -> None:
        """Add a place; they come in their order."""
        if self.runs and self.runs[-1][1] == place - 1:
            self.runs[-1][1] = place
        else:
            self.runs.append([place, place])


class Returns:
    """Gathers what goes back, by lane, and what is to be counted and told of it.

    `one_by_one` says how many more of a district are told with a copy each.
    """

    def __init__(self, one_by_one: Bucket | None = None) -> None:
        self._one_by_one = copies() if one_by_one is None else one_by_one
        self._together: dict[tuple[object, ...], _Together] = {}
        self.messages_by_lane: dict[int, list[Message]] = {}
        self.rows: list[RejectedRow] = []
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.foreign: Counter[str] = Counter()
        self.copies: set[str] = set()
        """Districts in whose landing logs copies stand of what is forgotten."""

    def send_back(self, record: ConsumerRecord, sender: Sender, rejection: Rejection) -> None:
        """Return a whole record, its bytes unaltered."""
        upload = readable_upload(record)
        # Of one moment, too: a topic that was made anew has others at these offsets, and only that tells them apart.
        group = (record.topic, record.partition, record.timestamp, *alike(rejection))
        if not self._is_told_with(group, record.offset):
            event = self._event(record, sender, rejection, sender.event_id(record.offset), upload)
            self._return(sender, event, _landing_headers(record) if rejection.kept else [], group)
        if rejection.reason is RejectionReason.FOREIGN_DISTRICT:
            self.foreign[sender.origin.district] += 1
        self._count(sender, upload, rejection)

    def send_back_mark(self, record: ConsumerRecord, sender: Sender, refused: RefusedMark) -> None:
        """Return one mark of a landed roll by itself: its place is told as the row, and nothing of its neighbours.

        Of an uploaded roll, its line has gone back with that: the receipt counts lines.
        """
        upload = readable_upload(record)
        where = f"marks[{refused.place}]: "
        rejection = refused.rejection
        rejection = Rejection(rejection.reason, f"{where}{rejection.detail}", kept=rejection.kept)
        group = (record.topic, record.partition, record.offset, *alike(rejection, but=where))
        if not self._is_told_with(group, refused.place):
            event_id = sender.event_id_of_mark(record.offset, refused.place)
            event = self._event(record, sender, rejection, event_id, Upload(upload.receipt, refused.place))
            event.original = refused.original if rejection.kept else b""
            self._return(sender, event, _landing_headers(record) if rejection.kept else [], group)
        self._count(sender, upload, rejection)

    def take(self) -> dict[int, list[Message]]:
        """Give the messages gathered since the last time."""
        for each in self._together.values():
            if each.event.is_whole:
                each.event.also_offsets = each.runs or None
            else:
                each.event.also_rows = each.runs or None
            self._write(each.sender, each.event, each.headers)
        self._together = {}
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

    def _is_told_with(self, group: tuple[object, ...], place: int) -> bool:
        together = self._together.get(group)
        if together is None:
            return False
        together.join(place)
        return True

    def _return(self, sender: Sender, event: AttendanceRejected, headers: Headers, group: tuple[object, ...]) -> None:
        if self._one_by_one.wait_seconds(sender.origin.district, now=time.monotonic()):
            self._together[group] = _Together(sender, event, headers, [])
        else:
            self._write(sender, event, headers)

    def _write(self, sender: Sender, event: AttendanceRejected, of_the_record: Headers) -> None:
        key, value, headers = sender.message(event)
        self.messages_by_lane.setdefault(sender.lane, []).append((key, value, headers + of_the_record))

    def _count(self, sender: Sender, upload: Upload, rejection: Rejection) -> None:
        self.reasons[sender.origin.district, rejection.reason.value] += 1
        if not rejection.kept:
            self.copies.add(sender.origin.district)
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

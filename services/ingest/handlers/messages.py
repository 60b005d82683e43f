"""How ingest writes what it publishes: a district's messages, in the district's lane, with their headers."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import msgspec

from contracts.topics import PARTITIONS
from services.ingest.rules import attendance
from services.ingest.rules.pseudonyms import Pseudonyms, uuid_text
from services.ingest.rules.rolls import Origin
from services.runtime.delivery.publisher import Message, partition_of

Headers = list[tuple[str, bytes]]

_encode = msgspec.json.Encoder().encode
_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")
_ROLL = b"roll.recorded.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A landing partition as a source of messages: whose it is, its lane, what its records' event ids begin with."""

    origin: Origin
    lane: int
    key: bytes
    source: bytes
    event_id_head: str

    @classmethod
    def of(cls, topic: str, partition: int, *, district: str, pseudonyms: Pseudonyms, log: int = 0) -> Self:
        """Name the sender of what lands in a partition. `log` tells logs that bore the same name from each other."""
        landing = f"{topic}/{partition}"
        # A topic that was made anew holds other records at the same offsets.
        head = blake2b((f"{landing}@{log}" if log else landing).encode()).hexdigest()
        return cls(
            origin=Origin(district=district, landing=landing, log=f"{landing}@{log}", pseudonyms=pseudonyms),
            # A district in one lane: one worker behind reads all it said, in the order in which it landed.
            lane=partition_of(district, PARTITIONS),
            key=district.encode(),
            source=f"district/{district}".encode(),
            event_id_head=f"{head[:8]}-{head[8:12]}-8{head[12:15]}-8000-",
        )

    def event_id(self, offset: int) -> str:
        """Give the id of the one event that a landed record becomes: the same whenever it is read."""
        return f"{self.event_id_head}{offset:012x}"

    def event_id_of_mark(self, offset: int, place: int) -> str:
        """Give the id of the event that one mark of a landed roll becomes by itself."""
        identity = f"{self.origin.landing}/{offset}/mark/{place}"
        return uuid_text(blake2b(identity.encode(), digest_size=16, person=b"roll").hexdigest())

    def roll(self, event_id: str, written: bytes) -> Message:
        """Give the message of a roll that is written already."""
        return self.key, written, self._headers(event_id, _ROLL)

    def message(self, fact: attendance.Fact | attendance.AttendanceRejected) -> Message:
        """Give the message of a fact, keyed by the district."""
        event_type = str(fact.__struct_config__.tag).encode()
        written = _encode(fact)
        return self.key, written, self._headers(fact.event_id, event_type)

    def _headers(self, event_id: str, event_type: bytes) -> Headers:
        # cloud_event_headers() of the runtime with its constants made once.
        named = [("ce_id", event_id.encode()), ("ce_type", event_type), ("ce_source", self.source)]
        return [_SPEC_VERSION, *named, _CONTENT_TYPE]

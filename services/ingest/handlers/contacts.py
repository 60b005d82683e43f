"""Contact data in the order of its versions: on a compacted topic what comes last is what is kept."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from contracts.topics import HOUSEHOLD_CONTACTS
from services.ingest.store import contacts
from services.runtime.delivery.publisher import Message
from services.runtime.delivery.transaction import Transaction

_TYPE = "household-contact.changed.v1"


class _Contact(msgspec.Struct, gc=False):
    event_id: UUID
    household_key: UUID
    source_version: int


class _Told(NamedTuple):
    event_id: UUID
    event_type: str
    json: str

    def model_dump_json(self) -> str:
        return self.json


_read = msgspec.json.Decoder(_Contact).decode


async def tell(transaction: Transaction, messages_by_partition: Mapping[int, Sequence[Message]]) -> None:
    """Tell contact data when the transaction commits, but for what is older than what was told of the household before.

    By the outbox, and not at once as facts of attendance are: whoever tells of these households next waits for this
    transaction, and what a process that hung sends late is refused by the broker. So nothing older comes to stand
    behind something newer.
    """
    told = [
        (_read(value), key, value, partition)
        for partition, messages in messages_by_partition.items()
        for key, value, _ in messages
    ]
    newest: dict[UUID, int] = {}
    for said, *_ in told:
        newest[said.household_key] = max(said.source_version, newest.get(said.household_key, said.source_version))
    standing = await contacts.raise_versions(transaction.connection, newest)
    for said, key, value, partition in told:
        if said.source_version >= standing[said.household_key]:
            event = _Told(said.event_id, _TYPE, value.decode())
            transaction.emit(topic=HOUSEHOLD_CONTACTS, key=(key or b"").decode(), event=event, partition=partition)

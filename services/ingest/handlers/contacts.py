"""Contact data in the order of its versions: on a compacted topic what comes last is what is kept."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from services.ingest.store import contacts
from services.runtime.database import Connection
from services.runtime.delivery.publisher import Message


class _Versioned(msgspec.Struct, gc=False):
    household_key: UUID
    source_version: int


_read = msgspec.json.Decoder(_Versioned).decode


async def in_order(
    connection: Connection, messages_by_partition: Mapping[int, Sequence[Message]]
) -> dict[int, list[Message]]:
    """Leave out what is older than what was published of the same household, or than what this batch says of it.

    Whoever publishes of these households next waits for this transaction. One whose process hangs longer than its
    transaction may live can still publish late; readers then keep the newer version (the topic, once compacted, does
    not).
    """
    versioned = {
        partition: [(_read(message[1]), message) for message in messages]
        for partition, messages in messages_by_partition.items()
    }
    newest: dict[UUID, int] = {}
    for messages in versioned.values():
        for said, _ in messages:
            newest[said.household_key] = max(said.source_version, newest.get(said.household_key, said.source_version))
    standing = await contacts.raise_versions(connection, newest)
    return {
        partition: [message for said, message in messages if said.source_version >= standing[said.household_key]]
        for partition, messages in versioned.items()
    }

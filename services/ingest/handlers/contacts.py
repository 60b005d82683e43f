"""Contact data in the order of its versions: on a compacted topic what comes last is what is kept."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from contracts.topics import HOUSEHOLD_CONTACTS
from services.ingest.store import contacts
from services.runtime.delivery.publisher import Message
from services.runtime.delivery.transaction import Transaction, Written

_TYPE = "household-contact.changed.v1"


class _Contact(msgspec.Struct, gc=False):
    event_id: UUID
    household_key: UUID
    source_version: int
    district: str = ""


_read = msgspec.json.Decoder(_Contact).decode


async def tell(
    transaction: Transaction,
    messages_by_partition: Mapping[int, Sequence[Message]],
    *,
    is_forgotten: Callable[[str, str], bool] = lambda _district, _household: False,
) -> None:
    """Tell contact data when the transaction commits, where no such version of the household was told yet.

    Nothing of a household that is forgotten by the end of the batch: not even to be taken back at once.

    Of two with one version the first stands: whoever reads one by one, all at once or the compacted topic, keeps it.

    By the outbox, and not at once as facts of attendance are: whoever tells of these households next waits for this
    transaction, and what a process that hung sends late is refused by the broker. So nothing older comes to stand
    behind something newer.
    """
    told = [
        (_read(value), key, value, partition)
        for partition, messages in messages_by_partition.items()
        for key, value, _ in messages
    ]
    told = [each for each in told if not is_forgotten(each[0].district, str(each[0].household_key))]
    newest: dict[UUID, tuple[_Contact, bytes | None, bytes, int]] = {}
    for each in told:
        if each[0].source_version > newest.setdefault(each[0].household_key, each)[0].source_version:
            newest[each[0].household_key] = each
    risen = await contacts.raise_versions(
        transaction.connection, {household: each[0].source_version for household, each in newest.items()}
    )
    for said, key, value, partition in (each for household, each in newest.items() if household in risen):
        event = Written(said.event_id, _TYPE, value.decode())
        transaction.emit(topic=HOUSEHOLD_CONTACTS, key=(key or b"").decode(), event=event, partition=partition)

"""Contact data in the order of its versions: on a compacted topic what comes last is what is kept."""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord

from contracts.events import RejectionReason
from contracts.topics import HOUSEHOLD_CONTACTS, PARTITIONS
from services.ingest.handlers.messages import Sender
from services.ingest.rules.attendance import HouseholdContactChanged
from services.ingest.rules.contacts import Known, newest_and_contradicting
from services.ingest.rules.landing import Rejection
from services.ingest.store import contacts
from services.runtime.delivery.publisher import partition_of
from services.runtime.delivery.transaction import Transaction, Written

_TYPE = "household-contact.changed.v1"
_encode = msgspec.json.Encoder().encode

CONTRADICTS = Rejection(
    RejectionReason.OUT_OF_RANGE,
    "version: the household was told otherwise under it; send what stands under a newer one",
)


class LandedContact(NamedTuple):
    """A household's contact data where it landed; `weight` is 0 where that place was counted before."""

    record: ConsumerRecord
    sender: Sender
    weight: int
    fact: HouseholdContactChanged
    household_key: UUID
    version: int
    content: bytes

    @classmethod
    def of(cls, record: ConsumerRecord, sender: Sender, weight: int, fact: HouseholdContactChanged) -> "LandedContact":
        """Keep what landed, with what it says as a keyed hash: in whatever order it names the students."""
        students = sorted(fact.students, key=lambda each: each.student_key)
        said = msgspec.structs.replace(fact, event_id="", occurred_at="", students=students)
        content = sender.origin.pseudonyms.contact(_encode(said))
        return cls(record, sender, weight, fact, UUID(fact.household_key), fact.source_version, content)


async def tell(
    transaction: Transaction,
    landed: Sequence[LandedContact],
    *,
    is_forgotten: Callable[[str, str], bool] = lambda _district, _household: False,
) -> list[LandedContact]:
    """Tell contact data when the transaction commits, where no such version of the household was told yet.

    Nothing of a household that is forgotten by the end of the batch: not even to be taken back at once.

    Of two with one version the first stands: whoever reads one by one, all at once or the compacted topic, keeps it.
    Returns those that say something else under a version that was told: they go back.

    By the outbox, and not at once as facts of attendance are: whoever tells of these households next waits for this
    transaction, and what a process that hung sends late is refused by the broker. So nothing older comes to stand
    behind something newer.
    """
    landed = [each for each in landed if not is_forgotten(each.fact.district, each.fact.household_key)]
    if not landed:
        return []
    known = await contacts.lock_versions(transaction.connection, {each.household_key for each in landed})
    newest, contradicting = newest_and_contradicting(landed, known)
    risen = await contacts.raise_versions(
        transaction.connection, {key: Known(each.version, each.content) for key, each in newest.items()}
    )
    for household, each in newest.items():
        if household in risen:
            key = each.fact.household_key
            partition = partition_of(key, PARTITIONS)
            transaction.emit(topic=HOUSEHOLD_CONTACTS, key=key, event=written(each), partition=partition)
    return contradicting


def written(landed: LandedContact) -> Written:
    """Write contact data as its event."""
    return Written(UUID(landed.fact.event_id), _TYPE, _encode(landed.fact).decode())

"""What districts decide of how long things are kept, as ingest hears it."""

from typing import Any

from aiokafka import ConsumerRecord
from pydantic import TypeAdapter

from contracts.events import DistrictPolicyDecided
from services.ingest.store import forgotten
from services.runtime.delivery.subscription import Delivery, read_event
from services.runtime.delivery.transaction import Transaction

_DECIDED: TypeAdapter[Any] = TypeAdapter(DistrictPolicyDecided)


def decode(record: ConsumerRecord) -> DistrictPolicyDecided:
    """Read one decision. Raises Undecodable."""
    decided: DistrictPolicyDecided = read_event(_DECIDED, record.value)
    return decided


async def on_policies(transaction: Transaction, deliveries: list[Delivery]) -> None:
    """Keep every version: one decided for a day to come waits for it."""
    await forgotten.keep_policies(
        transaction.connection,
        [
            (each.event.district, each.event.version, each.event.effective_from, each.event.retention.model_dump_json())
            for each in deliveries
        ],
    )

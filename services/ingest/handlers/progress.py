"""What flagging says of an upload's marks moves its receipt."""

from uuid import UUID

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts.events import ReceiptProgressed
from services.ingest.store import counts
from services.runtime.delivery.inbox import first_time
from services.runtime.delivery.subscription import Delivery, Undecodable
from services.runtime.delivery.transaction import Transaction


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

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
    """Add what flagging found effective or known already; what was counted before adds nothing.

    A row is known by the record of `rolls` that told it: flagging's restored tables read these again in other batches,
    and tell them in other events. What was told as a whole, as by the release before, counts once by its event.
    """
    progressed: list[ReceiptProgressed] = [each.event for each in deliveries]
    rows = [
        counts.ToldRows(
            district=progress.district,
            receipt=str(progress.receipt),
            offset=of_roll.offset,
            accepted=of_roll.accepted,
            duplicate=of_roll.duplicate,
        )
        for progress in progressed
        for of_roll in progress.rolls or ()
    ]
    if rows:
        await counts.count_told_rows(transaction.connection, rows)

    whole: dict[UUID, ReceiptProgressed] = {each.event_id: each for each in progressed if each.rolls is None}
    if not whole:
        return
    fresh = await first_time(transaction.connection, "receipt-progress", whole)
    moves = [
        counts.ReceiptMove(
            district=progress.district,
            receipt=str(progress.receipt),
            accepted=progress.accepted,
            duplicate=progress.duplicate,
        )
        for event_id, progress in whole.items()
        if event_id in fresh
    ]
    if moves:
        await counts.move_receipts(transaction.connection, moves)

"""Which row of which upload a landed record is: what its headers say, strictly and forgiving."""

from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from aiokafka import ConsumerRecord

from contracts.events import RejectionReason
from services.ingest.formats import csv_rows
from services.ingest.rules.landing import Rejection

RECEIPT_HEADER = "leap-receipt"
ROW_HEADER = "leap-row"
COLUMNS_HEADER = "leap-columns"


class Upload(NamedTuple):
    """Which row of which upload a record is; all None where the district produced it itself."""

    receipt: str | None = None
    row: int | None = None
    columns: tuple[str, ...] | None = None


def upload_of(record: ConsumerRecord) -> Upload:
    """Read the headers. Raises Rejection for one of ours that can't be read."""
    receipt = row = columns = None
    for name, value in record.headers:
        if "\\" in name:  # how the runtime spells a name that is not UTF-8
            raise Rejection(RejectionReason.NOT_UTF8, "a header's name: not UTF-8")
        if value is None or not value.isascii():
            refuse_unless_utf8(value or b"", "a header")
        if name == RECEIPT_HEADER:
            receipt = _uuid_text(value)
            if receipt is None:
                raise Rejection(RejectionReason.WRONG_TYPE, f"header {RECEIPT_HEADER}: not a UUID")
        elif name == ROW_HEADER:
            row = _row_number(value)
            if row is None:
                raise Rejection(RejectionReason.WRONG_TYPE, f"header {ROW_HEADER}: not a row number")
        elif name == COLUMNS_HEADER:
            try:
                columns = csv_rows.columns_of(value or b"")
            except csv_rows.HeaderRefused:
                raise Rejection(RejectionReason.MISSING_FIELD, f"header {COLUMNS_HEADER}: not our columns") from None
    return Upload(receipt, row, columns)


def readable_upload(record: ConsumerRecord) -> Upload:
    """Read what can be read: a record that goes back for one header may still name its receipt and row in others."""
    headers = dict(record.headers)
    return Upload(_uuid_text(headers.get(RECEIPT_HEADER)), _row_number(headers.get(ROW_HEADER)))


@lru_cache(maxsize=256)
def _uuid_text(value: bytes | None) -> str | None:
    try:
        return str(UUID((value or b"").decode("ascii")))
    except ValueError:
        return None


def _row_number(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > 9 or int(value) < 1:
        return None
    return int(value)


def refuse_unless_utf8(value: bytes, where: str) -> None:
    """Raise Rejection, naming where the bytes stand."""
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Rejection(RejectionReason.NOT_UTF8, f"{where}: not UTF-8") from None

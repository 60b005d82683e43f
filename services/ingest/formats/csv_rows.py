"""CSV rows: one mark a line, the upload's header naming the columns. A row lands unaltered and is read at ingest."""

import csv
from functools import lru_cache

import msgspec

from contracts.events import RejectionReason
from services.ingest.formats import own
from services.ingest.rules.landing import Mark, Rejection

REQUIRED_COLUMNS = ("student", "school", "date", "category", "version")
OPTIONAL_COLUMNS = ("state_student", "present_parts", "day_parts")


class HeaderRefused(Exception):
    """The first line of a CSV upload must name the columns; the message says what is wrong with it."""


@lru_cache(maxsize=256)
def columns_of(header: bytes) -> tuple[str, ...]:
    """Read the header line. Columns we don't know are kept in place and ignored in the rows."""
    try:
        text = header.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HeaderRefused("the header line is not UTF-8") from None
    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise HeaderRefused("the header line is not CSV: check its quotes") from None
    columns = tuple(cell.strip().lower() for cell in cells)
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if "state_student" in columns and "student" in missing:
        missing.remove("student")
    if missing:
        raise HeaderRefused(f"the header line lacks the columns {', '.join(missing)}")
    known = [column for column in columns if column in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
    if len(set(known)) != len(known):
        raise HeaderRefused("the header line names a column twice")
    return columns


def mark_of_row(value: bytes | None, columns: tuple[str, ...]) -> Mark:
    """Read one CSV row as a mark; an empty cell is a field not sent. Raises Rejection."""
    if value is None:
        raise Rejection(RejectionReason.NOT_JSON, "record: no value")
    if len(value) > own.MAX_ROW_BYTES:
        raise Rejection(RejectionReason.TOO_LARGE, f"record: over {own.MAX_ROW_BYTES} bytes")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Rejection(RejectionReason.NOT_UTF8, "record: not UTF-8") from None
    own.refuse_control_characters(text)
    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise Rejection(RejectionReason.WRONG_TYPE, "record: not a CSV row: check its quotes") from None
    if len(cells) < len(columns):
        raise Rejection(RejectionReason.MISSING_FIELD, "record: fewer cells than the header has columns")
    if len(cells) > len(columns):
        raise Rejection(RejectionReason.WRONG_TYPE, "record: more cells than the header has columns")
    fields = {column: cell.strip() for column, cell in zip(columns, cells, strict=True) if cell.strip()}
    fields = {column: fields[column] for column in fields if column in REQUIRED_COLUMNS + OPTIONAL_COLUMNS}
    try:
        # Not strict: a cell is text, and "1" in a column of numbers is the number.
        mark = msgspec.convert({"type": "mark", **fields}, Mark, strict=False)
    except msgspec.ValidationError as error:
        own.refuse(error)
    if not text.isascii():
        own.refuse_unseen(mark)
    return mark

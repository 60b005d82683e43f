"""The one way a table leaves as CSV: no text in it is ever a formula to the spreadsheet that opens it.

Whoever gave something its name decides what stands in a cell of somebody else's spreadsheet. What such a program would
run gets an apostrophe before it, which makes it a text there; a number is no text and stays a number.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

Cell = str | int | float | Decimal | date | UUID | None
"""What may stand in a cell; None is an empty one."""

_BEGINS_A_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
"""Also the full-width forms, which a spreadsheet set to an East Asian language reads as the plain ones."""


def as_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Write rows as CSV, lines ended by CR LF as RFC 4180 says; numbers as numbers, texts never as formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    # Some programs cut spaces before they look.
    begins = cell.lstrip(" \xa0\u3000")[:1]
    return f"'{cell}" if begins in _BEGINS_A_FORMULA and begins else cell

"""A table leaves as CSV: whatever stands in it, no spreadsheet runs it, and numbers are numbers."""

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.web.csv_file import as_csv


@pytest.mark.parametrize(
    "text",
    ['=HYPERLINK("http://evil.example","x")', "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1+1"],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert next(csv.reader(io.StringIO(as_csv([[text]]), newline=""))) == [f"'{text}"]


@pytest.mark.parametrize(
    ("cell", "written"),
    [(-3, "-3"), (-0.5, "-0.5"), (Decimal("-12.50"), "-12.50"), (None, '""'), (date(2026, 9, 1), "2026-09-01"),
     ("S1", "S1"), ("a-b", "a-b"), ("'twas", "'twas"), ("*", "*"), (" S1", " S1")],
)  # fmt: skip
def test_numbers_days_and_plain_texts_stay_as_they_are(cell: str | int | float | None, written: str) -> None:
    assert as_csv([[cell]]) == f"{written}\r\n"


@given(st.lists(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), min_size=1, max_size=4), max_size=4))
def test_every_text_comes_back_but_for_the_apostrophe(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(as_csv(rows), newline="")))
    assert [[cell.removeprefix("'") for cell in row] for row in read] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert not [cell for row in read for cell in row if cell.lstrip(" \xa0\u3000")[:1] in [*"=+-@\t\r\n"]]

"""CSV: the header names the columns, a row is a mark, and a bad row goes back like any other."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import Category, RejectionReason
from services.ingest.formats import csv_rows
from services.ingest.rules.landing import Rejection
from tests.unit.ingest.landed import land, published

HEADER = b"student,school,date,category,present_parts,day_parts,version"
COLUMNS = csv_rows.columns_of(HEADER)


def test_a_row_is_a_mark() -> None:
    mark = csv_rows.mark_of_row(b'100234,"H01",2026-09-01,tardy,193,387,5', COLUMNS)
    assert (mark.student, mark.school, mark.date.isoformat()) == ("100234", "H01", "2026-09-01")
    assert (mark.category, mark.present_parts, mark.day_parts, mark.version) == (Category.TARDY, 193, 387, 5)


def test_an_empty_cell_is_a_field_not_sent() -> None:
    assert csv_rows.mark_of_row(b"100234,H01,2026-09-01,tardy,,,5", COLUMNS).present_parts is None


def test_columns_may_come_in_any_order_with_others_between_them() -> None:
    columns = csv_rows.columns_of(b"\xef\xbb\xbfVersion, remark ,date,student,school,category\r")
    assert csv_rows.mark_of_row(b"5,late bus,2026-09-01,100234,H01,tardy", columns).version == 5


@pytest.mark.parametrize(
    "header", [b"student,school,date", b"", b"\xff", b"student,student,school,date,category,version"]
)
def test_a_header_without_our_columns_is_refused(header: bytes) -> None:
    with pytest.raises(csv_rows.HeaderRefused):
        csv_rows.columns_of(header)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"100234,H01,2026-09-01,tardy,,", RejectionReason.MISSING_FIELD),
        ("100234\u200b,H01,2026-09-01,tardy,,,5".encode(), RejectionReason.OUT_OF_RANGE),
        (b"100234,H01,2026-09-01,tardy,,,5,more", RejectionReason.WRONG_TYPE),
        (b"100234,H01,2026-02-30,tardy,,,5", RejectionReason.IMPOSSIBLE_DATE),
        (b"100234,H01,2026-09-01,asleep,,,5", RejectionReason.UNKNOWN_CATEGORY),
        (b"100234,H01,2026-09-01,tardy,,,soon", RejectionReason.WRONG_TYPE),
        (b"100234,H01,2026-09-01,tardy,,,", RejectionReason.MISSING_FIELD),
        (b'100234,"H01,2026-09-01,tardy,,,5', RejectionReason.WRONG_TYPE),
        (b"100234,H\x0001,2026-09-01,tardy,,,5", RejectionReason.OUT_OF_RANGE),
        (b"100234,H\xff01,2026-09-01,tardy,,,5", RejectionReason.NOT_UTF8),
        (b"x" * 70_000, RejectionReason.TOO_LARGE),
    ],
)
def test_a_bad_row_has_its_reason(row: bytes, reason: RejectionReason) -> None:
    with pytest.raises(Rejection) as caught:
        csv_rows.mark_of_row(row, COLUMNS)
    assert caught.value.reason is reason


@given(st.binary(max_size=200))
def test_any_bytes_are_a_mark_or_a_rejection(row: bytes) -> None:
    with suppress(Rejection):
        assert csv_rows.mark_of_row(row, COLUMNS).version >= 0


def test_a_csv_row_and_the_same_json_record_are_the_same_fact() -> None:
    row = land(b"100234,H01,2026-09-01,excused_absence,,,1", headers=(("leap-columns", HEADER),))
    own = land({"type": "mark", "student": "100234", "school": "H01", "date": "2026-09-01",
                "category": "excused_absence", "version": 1})  # fmt: skip
    assert published(row, "attendance") == published(own, "attendance")

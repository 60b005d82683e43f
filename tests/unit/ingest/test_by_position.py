"""A mark is built by position, because names would cost a tenth of the whole path: here each part has its name."""

from uuid import UUID

from services.ingest.handlers import RECEIPT_HEADER
from services.ingest.rules import attendance
from tests.unit.ingest.landed import districts, land, mark, published

RECEIPT = UUID("0b1d6f0e-3c7a-4f55-9b7e-2d1f4a6c8e90")
KEY = districts().pseudonyms["hartford"].student_key(student="100234", state_student=None)


def test_the_fields_stand_in_the_order_in_which_they_are_filled() -> None:
    assert attendance.AttendanceRecorded.__struct_fields__ == (
        "event_id", "occurred_at", "district", "school", "student_key", "school_day", "category", "source_version",
        "present_parts", "day_parts", "receipt",
    )  # fmt: skip
    assert attendance.AttendanceRetracted.__struct_fields__ == (
        "event_id", "occurred_at", "district", "school", "student_key", "school_day", "source_version", "receipt",
    )  # fmt: skip


def test_every_part_of_a_mark_and_of_a_retraction_is_told_as_what_it_is() -> None:
    recorded = mark(school="H07", date="2026-09-08", version=71, present_parts=193, day_parts=387)
    retracted = mark(type="retraction", school="H08", date="2026-09-09", version=72, category=None)
    batch = land(recorded, retracted, headers=((RECEIPT_HEADER, str(RECEIPT).encode()),))

    told, taken_back = (event for _, event in published(batch, "attendance"))
    envelope = {"occurred_at": told["occurred_at"], "district": "hartford", "student_key": KEY, "receipt": str(RECEIPT)}
    assert told == envelope | {
        "event_type": "attendance.recorded.v1",
        "event_id": told["event_id"],
        "school": "H07",
        "school_day": "2026-09-08",
        "category": "excused_absence",
        "source_version": 71,
        "present_parts": 193,
        "day_parts": 387,
    }
    assert taken_back == envelope | {
        "event_type": "attendance.retracted.v1",
        "event_id": taken_back["event_id"],
        "school": "H08",
        "school_day": "2026-09-09",
        "source_version": 72,
    }
    assert told["occurred_at"].endswith("Z")
    assert UUID(told["event_id"]).int + 1 == UUID(taken_back["event_id"]).int

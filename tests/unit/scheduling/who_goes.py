"""Builders: visitors, their bookings and a wished visit, on an ordinary Tuesday unless a test says otherwise."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from services.scheduling.rules.pairing import Booking, Meeting, Visitor, Window
from tests.zones import HERE

NOW = datetime(2026, 10, 5, 9, 0, tzinfo=HERE)
TUESDAY = date(2026, 10, 6)
FAMILY = UUID(int=0x0B << 120 | 1)


def at(hour: int, minute: int = 0, *, days: int = 0) -> datetime:
    """A time on that Tuesday, or days later, on the local clock."""
    return datetime.combine(TUESDAY + timedelta(days=days), time(hour, minute), HERE)


def visitor(name: str = "ana", **fields: Any) -> Visitor:
    """A visitor of the district office with valid training, who can at any hour."""
    ordinary: dict[str, Any] = {
        "visitor_id": name,
        "district": "hartford",
        "affiliation": "district",
        "school": None,
        "languages": ("en",),
        "leap101_valid_from": date(2026, 1, 1),
        "leap101_valid_until": date(2026, 12, 31),
        "windows": (Window(weekday=2, begins=time(8), ends=time(20)),),
        "weekly_cap": 6,
        "version": 1,
    }
    return Visitor(**ordinary | fields)


def meeting(starts_at: datetime | None = None, **fields: Any) -> Meeting:
    """An hour with an English-speaking family of school H01."""
    ordinary: dict[str, Any] = {
        "household_key": FAMILY,
        "district": "hartford",
        "schools": frozenset({"H01"}),
        "starts_at": starts_at or at(16),
        "minutes": 60,
        "language": "en",
        "zone": HERE,
    }
    return Meeting(**ordinary | fields)


def booking(starts_at: datetime, name: str = "ana", *, number: int = 1, minutes: int = 60, travel: int = 30) -> Booking:
    """An hour's visit to another family of H02, with half an hour's way after it."""
    ends_at = starts_at + timedelta(minutes=minutes)
    return Booking(
        visit_id=UUID(int=0x0D << 120 | number),
        visitor_id=name,
        household_key=UUID(int=0x0B << 120 | 100 + number),
        school="H02",
        starts_at=starts_at,
        ends_at=ends_at,
        free_at=ends_at + timedelta(minutes=travel),
    )

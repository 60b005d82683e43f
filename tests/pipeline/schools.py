"""Small believable districts for pipeline tests: landing records, as a district would send them, seeded."""

import random
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from tests.zones import HERE

Record = dict[str, Any]

FIRST_DAY = date(2026, 8, 31)
NOW = datetime(2027, 6, 1, 15, tzinfo=HERE)
"""An afternoon behind all days that are landed: of a day to come there is neither a presence nor a complete roll."""
SCHOOL = "S1"
CATEGORIES = ("excused_absence", "unexcused_absence", "tardy", "early_departure")


def school_days(count: int) -> list[date]:
    """Give the first weekdays of the year."""
    days = (FIRST_DAY + timedelta(days=n) for n in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


def roster(district: str, *, students: range, days: int = 180, feed: str = "exceptions") -> Iterator[Record]:
    """Give the calendar and one enrolment for each student, every two of them a household."""
    calendar = [day.isoformat() for day in school_days(days)]
    yield {
        "type": "calendar", "district": district, "school": SCHOOL, "school_year": 2026, "feed": feed,
        "school_days": calendar, "version": 1,
    }  # fmt: skip
    for number in students:
        yield {
            "type": "enrollment", "id": f"stint-{number}", "student": str(number), "state_student": f"9{number}",
            "household": f"h{number // 2}", "school": SCHOOL, "grade": str(1 + number % 12),
            "entry_date": FIRST_DAY.isoformat(), "version": 1,
        }  # fmt: skip


def marks(
    *, students: range, days: range, seed: int, feed: str = "exceptions", share_absent: float = 0.12, version: int = 1
) -> Iterator[Record]:
    """Give the marks of these days and, behind each day's marks, its completed roll."""
    draw = random.Random(seed)
    calendar = school_days(days.stop)
    for n in days:
        for number in students:
            exception = draw.random() < share_absent
            if not exception and feed == "exceptions":
                continue
            yield {
                "type": "mark", "student": str(number), "school": SCHOOL, "date": calendar[n].isoformat(),
                "category": draw.choice(CATEGORIES) if exception else "in_attendance", "version": version,
            }  # fmt: skip
        yield {"type": "roll_completed", "school": SCHOOL, "date": calendar[n].isoformat(), "feed": feed}


def whole(records: Iterable[Record]) -> Iterator[Record]:
    """Give the same as landed rolls: a day's marks and its completion in one record."""
    gathered: list[list[Any]] = []
    for record in records:
        if record["type"] == "mark":
            gathered.append([record["student"], record["category"], record["version"]])
        else:
            yield record | {"type": "roll", "complete": True, "marks": gathered}
            gathered = []

"""Builders for what flagging tallies: a school's months and days, and where its flagged students stand."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from contracts import events
from tests.component.visit_events import DISTRICT, MORNING, student


class Month(NamedTuple):
    """One student's place in a school's months."""

    student: int | UUID
    enrolled: int = 20
    absent: int = 0
    person: int | None = None
    grade: str | None = "3"
    entered: date | None = None


def person(number: int | None) -> UUID | None:
    """Make the key that joins a mover."""
    return None if number is None else UUID(int=0x0F << 120 | number)


def months(*told: Month, version: int = 1, **fields: Any) -> events.StudentMonthsTallied:
    """A school's student months, September's of H01 unless `fields` say otherwise."""
    return events.StudentMonthsTallied.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "student-months.tallied.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "school": "H01",
            "month": date(2026, 9, 1),
            "students": [each.student if isinstance(each.student, UUID) else student(each.student) for each in told],
            "persons": [person(each.person) for each in told],
            "grades": [each.grade for each in told],
            "days_enrolled": [each.enrolled for each in told],
            "days_absent": [each.absent for each in told],
            "entered": [each.entered for each in told] if any(each.entered for each in told) else None,
            "version": version,
        }
        | fields
    )


def whole_day(*, version: int, counted: int = 40, absent: int = 3, **fields: Any) -> events.SchoolDayTalliedV2:
    """A whole school's 1 September."""
    return events.SchoolDayTalliedV2.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "school-day.tallied.v2",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "school": "H01",
            "school_day": date(2026, 9, 1),
            "students_counted": counted,
            "students_absent": absent,
            "version": version,
        }
        | fields
    )


def figures(
    students: Sequence[int | UUID], *, version: int, level: str = "at_risk", grade: str = "3", **fields: Any
) -> events.FlagFiguresUpdated:
    """Where these students of a school stand, all of them alike."""
    count = len(students)
    recent = {
        "last_20_absent": 2, "last_20_counted": 20, "before_20_absent": 0, "before_20_counted": 0, "spell": 0
    }  # fmt: skip
    return events.FlagFiguresUpdated.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "absence-flag.figures-updated.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "school": "H01",
            "school_year": 2026,
            "as_of": date(2026, 10, 5),
            "policy_version": 1,
            "students": [each if isinstance(each, UUID) else student(each) for each in students],
            "grades": [grade] * count,
            "levels": [level] * count,
            "versions": [version] * count,
            "days_absent": [2] * count,
            "days_enrolled": [20] * count,
            "absent_days": [[date(2026, 9, 3), date(2026, 9, 4)]] * count,
            "recent": [recent] * count,
            "chronic_last_year": [None] * count,
        }
        | fields
    )

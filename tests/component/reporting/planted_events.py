"""A simulated state whose visits have a known effect, told as events."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from contracts import events
from services.reporting.rules.effect import NEVER, Panel
from tests.component.visit_events import flag, of_visit
from tests.zones import HERE


def day_of(month: int, day: int) -> date:
    return date(month // 12, month % 12 + 1, day)


def key(kind: int, number: int) -> UUID:
    return UUID(int=kind << 120 | number)


def told(panel: Panel) -> dict[str, list[events.Event]]:
    """The events behind the panel, by topic: flags, months, one visit per household and another one later."""
    flags: list[events.Event] = []
    visit_by_household: dict[int, list[events.Event]] = {}
    for number in range(panel.household.size):
        household = int(panel.household[number])
        flags.append(
            flag(
                1,
                student_key=key(0x0A, number),
                household_key=key(0x0B, household),
                as_of=day_of(int(panel.flag_month[number]), 20),
                school_year=2025,
                grade="3" if number % 2 else "9",
            )
        )
        if panel.visit_month[number] != NEVER:
            # Eight in the evening of a month's last day, which is the next month already in UTC.
            evening = datetime.combine(
                day_of(int(panel.visit_month[number]) + 1, 1) - timedelta(days=1), datetime.min.time(), HERE
            ) + timedelta(hours=20)
            visit_by_household[household] = [
                visit(household, each, evening + timedelta(days=40 * each)) for each in (1, 0)
            ]
    months: list[events.Event] = [
        month(int(student), day_of(int(number), 1), int(enrolled), int(absent))
        for student, number, enrolled, absent in zip(
            panel.of_student, panel.month, panel.days_enrolled, panel.days_absent, strict=True
        )
    ]
    return {
        "absence-flags": flags,
        "student-months": months,
        "visit-log": [each for visits in visit_by_household.values() for each in visits],
    }


def visit(household: int, number: int, started_at: datetime) -> events.Event:
    return of_visit(
        events.VisitCompleted,
        household_key=key(0x0B, household),
        visit_id=key(0x0D, 2 * household + number),
        log_id=key(0x0E, 2 * household + number),
        started_at=started_at.astimezone(UTC),
        ended_at=started_at.astimezone(UTC) + timedelta(minutes=40),
    )


def month(student: int, first_day: date, enrolled: int, absent: int) -> events.StudentMonthTallied:
    return events.StudentMonthTallied.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "student-month.tallied.v1",
            "occurred_at": datetime(2026, 7, 2, tzinfo=UTC),
            "district": "hartford",
            "school": "H01",
            "student_key": key(0x0A, student),
            "month": first_day,
            "days_enrolled": enrolled,
            "days_absent": absent,
            "version": 1,
        }
    )

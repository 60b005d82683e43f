"""A desk with work on it: families of a made-up Hartford, their absences up to today, their calendar."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts import events
from tests.component.visit_events import contact, flag, household, student
from tests.zones import HERE

Deliver = Callable[..., Awaitable[None]]

FAMILIES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("Rosa Delgado", "es", ("Leo", "Mía"), "3"),
    ("Thuy Nguyen", "en", ("Minh",), "9"),
    ("Katarzyna Wiśniewska", "pl", ("Zofia",), "K"),
    ("Jean-Baptiste Étienne", "ht", ("Widelène",), "6"),
    ("Ana Paula Souza", "pt", ("João", "Beatriz"), "7"),
    ("Mary O'Neill", "en", ("Sean",), "1"),
    ("Layla Haddad", "ar", ("Omar",), "11"),
    ("Carmen Rodríguez", "es", ("Diego",), "5"),
)


def today() -> date:
    """The day it is where the districts are."""
    return datetime.now(HERE).date()


def weekdays_until(last: date, count: int) -> list[date]:
    """So many weekdays, the last of them not after `last`, oldest first."""
    days: list[date] = []
    day = last
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return days[::-1]


def calendar(school: str = "H01", *, district: str = "hartford") -> events.SchoolCalendarChanged:
    """The weekdays of fourteen weeks around today."""
    begins = today() - timedelta(days=70)
    days = [begins + timedelta(days=number) for number in range(98)]
    return events.SchoolCalendarChanged.model_validate(
        {
            "event_id": uuid4(),
            "event_type": events.SchoolCalendarChanged.EVENT_TYPE,
            "occurred_at": datetime.now(UTC),
            "district": district,
            "school": school,
            "school_year": school_year(),
            "feed": "exceptions",
            "school_days": [day for day in days if day.weekday() < 5],
            "source_version": 1,
        }
    )


def school_year() -> int:
    """The school year of today."""
    return today().year if today().month >= 7 else today().year - 1


def absences(student_number: int, *, missed: int, household_number: int, grade: str = "3", **fields: Any) -> Any:
    """A flag with the days behind it: every third weekday up to yesterday, and the last two."""
    counted = weekdays_until(today() - timedelta(days=1), 45)
    absent = sorted({*counted[::-3][: missed - 2], *counted[-2:]})[-missed:]
    last_20 = [day for day in absent if day in counted[-20:]]
    return flag(
        student_number,
        household_number=household_number,
        **{
            "grade": grade,
            "school_year": school_year(),
            "days_absent": len(absent),
            "days_enrolled": len(counted),
            "as_of": counted[-1],
            "absent_days": tuple(absent),
            "recent": {
                "last_20_absent": len(last_20),
                "last_20_counted": 20,
                "before_20_absent": len([day for day in absent if day in counted[-40:-20]]),
                "before_20_counted": 20,
                "spell": 2,
            },
            "chronic_last_year": student_number % 3 == 0,
            "level": "severely_chronically_absent" if len(absent) * 5 >= len(counted) else "chronically_absent",
            **fields,
        },
    )


async def waiting_families(deliver: Deliver, families: int = len(FAMILIES)) -> None:
    """Bring calendars, contacts and flags, so that so many requests wait."""
    await deliver("school-calendar", calendar(), calendar("H02"))
    contacts, flags = [], []
    for number in range(families):
        name, language, children, grade = FAMILIES[number % len(FAMILIES)]
        keys = [10 * number + child for child in range(len(children))]
        contacts.append(
            contact(
                number,
                contact_name=name,
                phones=[f"+1 860 555 {number:04}"],
                address=f"{number + 1} Park Street, Hartford",
                language=language,
                interpreter_needed=language in ("pl", "ar"),
                students=[
                    {"student_key": student(key), "given_name": child, "family_name": name.split()[-1]}
                    for key, child in zip(keys, children, strict=True)
                ],
            )
        )
        flags += [
            absences(key, missed=5 + number % 9, household_number=number, grade=grade, school=f"H0{1 + number % 2}")
            for key in keys
        ]
    await deliver("household-contacts", *contacts)
    await deliver("absence-flags", *flags)


async def register(pool: Any, *visitors: str, district: str = "hartford", languages: tuple[str, ...] = ("en",)) -> None:
    """Register visitors with a current LEAP 101, who can at any hour."""
    await pool.executemany(
        "INSERT INTO visitor (visitor_id, district, languages, leap101_valid_from, leap101_valid_until)"
        " VALUES ($1, $2, $3, $4, $5)",
        [
            (visitor, district, list(languages), today() - timedelta(days=60), today() + timedelta(days=300))
            for visitor in visitors
        ],
    )


def request_of(number: int) -> UUID:
    """The household of a family, by which its request is found."""
    return household(number)

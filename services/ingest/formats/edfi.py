"""Ed-Fi `studentSchoolAttendanceEvents` (exceptions only) with its sessions, as the landing records we already know.

What Ed-Fi leaves open is settled here, so that the same files always give the same records:

- **School days.** A session tells its first and last day and a number of instructional days, not which. School days
  are the weekdays of the session on which the file has an event at any school, then, earliest first, the other
  weekdays, until the number is reached.
- **Rolls.** A file covers its whole sessions, so each of their school days has a completed roll.
- **Enrolments.** A student is enrolled at each school of his or her events from the first day of that school's first
  session. The file holds no grades and no households: grade `1` stands for any of K-12, and each student is a
  household, until a roster (any version above 0) says otherwise.
- **Two events on one day.** In Ed-Fi the category is part of the key. The event modified last stands; without a
  modification time an absence stands over a tardiness or a partial day.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from contracts.calendar import is_business_day, school_year_of
from contracts.events import Category

Kind = Literal["attendance", "roster"]
"""Which landing topic, and which upload address, a record is for."""

CATEGORIES = {
    "in attendance": Category.IN_ATTENDANCE,
    "present": Category.IN_ATTENDANCE,
    "tardy": Category.TARDY,
    "early departure": Category.EARLY_DEPARTURE,
    # Ed-Fi's Partial is a day attended in part; how much is told by eventDuration, where it is told.
    "partial": Category.EARLY_DEPARTURE,
    "excused absence": Category.EXCUSED_ABSENCE,
    "unexcused absence": Category.UNEXCUSED_ABSENCE,
}

_ABSENCES = (Category.EXCUSED_ABSENCE, Category.UNEXCUSED_ABSENCE)
_PLACEHOLDER_GRADE = "1"


class EdFiRefused(Exception):
    """The file is not what Ed-Fi says it should be; the message names the file's row and field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A term of one school: from the first to the last day, with its number of instructional days."""

    school: str
    first_day: date
    last_day: date
    instructional_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendanceEvent:
    """One exception: a student, a school, a day, a category, and the share of the day it lasted, where told."""

    student: str
    school: str
    day: date
    category: Category
    missed_share: Decimal | None
    modified_us: int


def landing_records(events_file: Path, sessions_file: Path) -> Iterator[tuple[Kind, bytes]]:
    """Yield the landing records of a file: calendars, enrolments, marks, then the completed rolls.

    Raises EdFiRefused, before the first record, for a row that can't be read or a category without a translation.
    """
    sessions = read_sessions(sessions_file)
    events = read_events(events_file)
    if not sessions or not events:
        raise EdFiRefused("the files hold no sessions or no events")
    known_schools = {session.school for session in sessions}
    for event in events:
        if event.school not in known_schools:
            raise EdFiRefused(f"school {event.school} has events and no session")

    school_days_by_school = school_days(sessions, {event.day for event in events})
    for school, days in school_days_by_school.items():
        yield from _calendars(school, days)
    first_days = {school: min(s.first_day for s in sessions if s.school == school) for school in known_schools}
    for student, school in sorted({(event.student, event.school) for event in events}):
        yield (
            "roster",
            _json(
                type="enrollment",
                id=f"{student}@{school}",
                student=student,
                household=student,
                school=school,
                grade=_PLACEHOLDER_GRADE,
                entry_date=first_days[school].isoformat(),
                version=0,
            ),
        )
    for event in events:
        yield "attendance", _mark(event)
    for school, days in school_days_by_school.items():
        for day in days:
            yield "attendance", _json(type="roll_completed", school=school, date=day.isoformat(), feed="exceptions")


def school_days(sessions: Iterable[Session], days_with_events: set[date]) -> dict[str, list[date]]:
    """Settle each school's school days, in order, as described at the top."""
    days_by_school: dict[str, set[date]] = {}
    for session in sessions:
        length = (session.last_day - session.first_day).days + 1
        weekdays = [day for n in range(length) if is_business_day(day := session.first_day + timedelta(n))]
        taught_first = sorted(weekdays, key=lambda day: (day not in days_with_events, day))
        days_by_school.setdefault(session.school, set()).update(taught_first[: session.instructional_days])
    return {school: sorted(days) for school, days in sorted(days_by_school.items())}


def read_sessions(path: Path) -> list[Session]:
    """Read sessions: the API's JSON (a list), or the data standard's names in `{"sessions": [...]}`."""
    written = _read_json(path)
    rows = written.get("sessions") if isinstance(written, dict) else written
    if not isinstance(rows, list):
        raise EdFiRefused("the sessions file holds no list of sessions")
    return [_session(_lower_keys(row, f"session {n}"), f"session {n}") for n, row in enumerate(rows, 1)]


def read_events(path: Path) -> list[AttendanceEvent]:
    """Read the events from CSV or from the Ed-Fi API's JSON, by what the file begins with."""
    with path.open("rb") as file:
        begins = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begins in (b"[", b"{"):
        written = _read_json(path)
        rows = written if isinstance(written, list) else [written]
        return [_event(_flat(_lower_keys(row, f"event {n}")), f"event {n}") for n, row in enumerate(rows, 1)]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            return [_event(_lower_keys(row, f"row {n}"), f"row {n}") for n, row in enumerate(reader, 2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise EdFiRefused("the events file is neither CSV nor JSON in UTF-8") from error


def _calendars(school: str, days: list[date]) -> Iterator[tuple[Kind, bytes]]:
    # A school year begins in July.
    days_by_year: dict[int, list[str]] = {}
    for day in days:
        days_by_year.setdefault(school_year_of(day), []).append(day.isoformat())
    for school_year, written in days_by_year.items():
        yield (
            "roster",
            _json(
                type="calendar",
                school=school,
                school_year=school_year,
                feed="exceptions",
                school_days=written,
                version=0,
            ),
        )


def _mark(event: AttendanceEvent) -> bytes:
    share: dict[str, int] = {}
    if event.missed_share is not None:
        # The share as a whole number of parts: 0.33 of a day missed is 67 of 100 attended, no float in between.
        missed, parts = event.missed_share.as_integer_ratio()
        share = {"present_parts": parts - missed, "day_parts": parts}
    return _json(
        type="mark",
        student=event.student,
        school=event.school,
        date=event.day.isoformat(),
        category=event.category.value,
        version=event.modified_us + (1 if event.category in _ABSENCES else 0),
        **share,
    )


def _session(row: dict[str, Any], where: str) -> Session:
    school = row.get("schoolid") or _inner(row, "schoolreference", "schoolid")
    first_day, last_day = (
        _day(row.get("begindate"), f"{where}: beginDate"),
        _day(row.get("enddate"), f"{where}: endDate"),
    )
    try:
        instructional_days = int(row.get("totalinstructionaldays") or 0)
    except (TypeError, ValueError):
        instructional_days = 0
    if school is None or instructional_days < 1:
        raise EdFiRefused(f"{where}: schoolId and totalInstructionalDays are needed")
    if not 0 <= (last_day - first_day).days <= 366:
        raise EdFiRefused(f"{where}: endDate must lie within a year after beginDate")
    return Session(school=str(school), first_day=first_day, last_day=last_day, instructional_days=instructional_days)


def _event(row: dict[str, Any], where: str) -> AttendanceEvent:
    student, school = row.get("studentuniqueid"), row.get("schoolid")
    if not student or not school:
        raise EdFiRefused(f"{where}: studentUniqueId and schoolId are needed")
    code = str(row.get("category") or row.get("attendanceeventcategorydescriptor") or "").rpartition("#")[2].strip()
    category = CATEGORIES.get(code.lower())
    if category is None:
        known = ", ".join(sorted(CATEGORIES))
        raise EdFiRefused(f"{where}: the category {code!r} has no translation; known are {known}")
    return AttendanceEvent(
        student=str(student),
        school=str(school),
        day=_day(row.get("eventdate"), f"{where}: eventDate"),
        category=category,
        missed_share=_missed_share(row.get("eventduration"), category, f"{where}: eventDuration"),
        modified_us=_modified_us(row.get("_lastmodifieddate"), f"{where}: _lastModifiedDate"),
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "studentuniqueid": _inner(row, "studentreference", "studentuniqueid"),
        "schoolid": _inner(row, "schoolreference", "schoolid"),
    }


def _missed_share(duration: object, category: Category, where: str) -> Decimal | None:
    """eventDuration is the share of the day the event lasted (1, 0.5): attended, or missed, by the category."""
    if duration in (None, "") or category is Category.TARDY:
        return None  # how long a late arrival is late is not said in shares of a day
    try:
        share = Decimal(str(duration))
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1 or share.as_integer_ratio()[1] > 100_000:
        raise EdFiRefused(f"{where} must be a share of the day, 0 to 1")
    return 1 - share if category is Category.IN_ATTENDANCE else share


def _modified_us(written: object, where: str) -> int:
    if not written:
        return 0
    try:
        moment = datetime.fromisoformat(str(written))
    except ValueError:
        raise EdFiRefused(f"{where} is not a moment of the form 2021-09-01T12:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _day(written: object, where: str) -> date:
    try:
        return date.fromisoformat(str(written))
    except ValueError:
        raise EdFiRefused(f"{where} is not a date of the form 2021-09-01") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise EdFiRefused(f"{path.name} is not JSON in UTF-8") from error


def _lower_keys(row: object, where: str) -> dict[str, Any]:
    # The API writes schoolId, the data standard's files SchoolId.
    if not isinstance(row, dict):
        raise EdFiRefused(f"{where}: not an object")
    return {str(name).lower(): field for name, field in row.items()}


def _inner(row: dict[str, Any], reference: str, name: str) -> Any:
    inner = row.get(reference)
    return _lower_keys(inner, reference).get(name) if isinstance(inner, dict) else None


def _json(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()

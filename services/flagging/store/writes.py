"""SQL's front door: batches in, changed students out. Every statement is set-based and safe to repeat."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from services.flagging.facts import EnrollmentChanged, Mark, RollCompleted, SchoolCalendarChanged
from services.flagging.store.arguments import moment_text
from services.flagging.store.changes_sql import SHARE
from services.flagging.store.judge_sql import JUDGE
from services.flagging.store.marks_sql import APPLY_MARKS, APPLY_MARKS_OF_UPLOADS, CATEGORY_CODES
from services.flagging.store.school_sql import APPLY_CALENDARS, APPLY_ENROLLMENTS, APPLY_ROLLS, REBUILD, RECORD_ROLLS
from services.runtime.columns import columns


class SchoolYear(NamedTuple):
    """A school's year as one lane knows it."""

    lane: int
    district: str
    school: str
    school_year: int


class StudentYear(NamedTuple):
    """A student's year at a school."""

    student_key: UUID
    district: str
    school: str
    school_year: int


class Candidate(NamedTuple):
    """A student who may have to be judged again: the record is new, or its own standing crossed a line."""

    student_key: UUID
    school_year: int
    arrived: bool
    crossed: bool


async def apply_marks(connection: asyncpg.Connection, marks: Sequence[Mark], *, lane: int) -> list[Candidate]:
    """Make the newest mark of each student's day stand, count repeats, and set the students' days.

    `lane` is any partition the caller owns: it keeps the counters of two workers apart.
    """
    # A place's texts travel once, not with each mark: asyncpg takes as long for each value as PostgreSQL does.
    places: dict[tuple[str, str], int] = {}
    place_of_mark = [places.setdefault((mark.district, mark.school), len(places) + 1) for mark in marks]
    landed = Counter(place_of_mark)
    in_parts = any(mark.day_parts is not None or mark.present_parts is not None for mark in marks)
    arguments = (
        [mark.student_key for mark in marks],
        [mark.school_day for mark in marks],
        place_of_mark,
        [CATEGORY_CODES[mark.category] for mark in marks],
        [mark.source_version for mark in marks],
        [mark.present_parts for mark in marks] if in_parts else [],
        [mark.day_parts for mark in marks] if in_parts else [],
        *columns(places, width=2),
        [landed[place] for place in places.values()],
        lane,
    )
    receipts = [mark.receipt for mark in marks]
    if any(receipts):
        rows = await connection.fetch(APPLY_MARKS_OF_UPLOADS, *arguments, moment_text(), receipts)
    else:
        rows = await connection.fetch(APPLY_MARKS, *arguments)
    return [Candidate(*row) for row in rows]


async def apply_calendars(
    connection: asyncpg.Connection, calendars: Sequence[tuple[int, SchoolCalendarChanged]]
) -> list[SchoolYear]:
    """Make the newest calendar of each (lane, school, year) stand, and name those that changed."""
    lanes, newest = columns(calendars, width=2)
    rows = await connection.fetch(
        APPLY_CALENDARS,
        lanes,
        *columns(newest, "district", "school", "school_year", "source_version", "feed"),
        [_bits(calendar) for calendar in newest],
    )
    return [SchoolYear(*row) for row in rows]


async def record_rolls(connection: asyncpg.Connection, rolls: Sequence[tuple[int, RollCompleted]]) -> list[SchoolYear]:
    """Remember which days are complete, and name the school years heard of for the first time."""
    rows = await connection.fetch(RECORD_ROLLS, *_columns(rolls, "feed"))
    return [SchoolYear(*row) for row in rows]


async def apply_rolls(connection: asyncpg.Connection, rolls: Sequence[tuple[int, RollCompleted]]) -> list[Candidate]:
    """Count completed days for the enrolled students of each roll's own lane.

    On full feeds a completed roll changes no count: every student has a mark.
    """
    silent = [(lane, roll) for lane, roll in rolls if roll.feed == "exceptions"]
    return [Candidate(*row) for row in await connection.fetch(APPLY_ROLLS, *_columns(silent))] if silent else []


async def apply_enrollments(
    connection: asyncpg.Connection, enrollments: Sequence[EnrollmentChanged]
) -> list[StudentYear]:
    """Make the newest version of each stint stand, and name the student years it touches, old and new."""
    rows = await connection.fetch(APPLY_ENROLLMENTS, msgspec.json.encode(enrollments).decode())
    return [StudentYear(*row) for row in rows]


async def rebuild(
    connection: asyncpg.Connection, students: Sequence[StudentYear], schools: Sequence[SchoolYear]
) -> list[Candidate]:
    """Set enrolled and counted days anew from stints, calendars, completed rolls and marked days."""
    rows = await connection.fetch(REBUILD, *columns(students, width=4), *columns(schools, width=4))
    return [Candidate(*row) for row in rows]


async def judge(connection: asyncpg.Connection, candidates: Sequence[Candidate]) -> None:
    """Bring the flags of these students up to their days, with one event for each crossing."""
    students = [(each.student_key, each.school_year) for each in candidates if each.crossed]
    arrived = [(each.student_key, each.school_year) for each in candidates if each.arrived]
    if arrived:
        students += [(row[0], row[1]) for row in await connection.fetch(SHARE, *columns(arrived, width=2))]
    if students:
        await connection.execute(JUDGE, *columns(students, width=2), moment_text())


def _columns(rolls: Sequence[tuple[int, RollCompleted]], *names: str) -> list[list[Any]]:
    lanes, completed = columns(rolls, width=2)
    return [lanes, *columns(completed, "district", "school", "school_day", *names)]


def _bits(calendar: SchoolCalendarChanged) -> str:
    first = date(calendar.school_year, 7, 1)
    places = {(day - first).days for day in calendar.school_days}
    # A day outside the school year is no day of it.
    return "".join("1" if place in places else "0" for place in range(366))

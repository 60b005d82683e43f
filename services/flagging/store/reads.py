"""What people ask: one student's days and why, and the counts of all."""

from collections import defaultdict
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from services.flagging.rules.absence import StintDays
from services.flagging.rules.page import JOINED, NO_GRADE, Page
from services.flagging.rules.register import School
from services.flagging.rules.rolls import Mark
from services.flagging.store import measured, rolls, rosters, waiting
from services.flagging.store.registers import Registers
from services.flagging.store.rosters import Member
from services.runtime.database import Connection


class Part(NamedTuple):
    """One stint's part of a student's year."""

    student_key: UUID
    district: str
    grade: str
    days: StintDays


class FlagChange(NamedTuple):
    """One crossing, newest version last."""

    version: int
    level: int
    previous_level: int
    school: str
    days_absent: int
    days_enrolled: int
    as_of: date
    policy_version: int
    recorded_at: datetime


_OF_SAME_PERSON = """
SELECT DISTINCT student_key FROM member WHERE school_year = $2 AND (student_key = $1 OR person_key IN (
    SELECT own.person_key FROM member own WHERE own.student_key = $1 AND own.person_key IS NOT NULL))"""

# Marks that no enrolment covers are kept, and count when one comes: of a number that a roster doesn't know they wait.
_WAITING = """
SELECT district, school, school_year::int, page, students, enrolled, grades, tracks, yielded, traits, rolls, standings,
    levels, marked, missed
FROM register_page WHERE position('\\xff'::bytea IN grades) > 0"""
_COUNTS = """
SELECT district, coalesce(applied, 0) AS applied, coalesce(duplicate, 0) AS duplicate,
    coalesce(students, 0) AS students, coalesce(at_risk, 0) AS at_risk, coalesce(chronic, 0) AS chronically_absent,
    coalesce(severe, 0) AS severely_chronically_absent
FROM mark_count
FULL JOIN (SELECT district, count(DISTINCT student_key) FILTER (WHERE entry_date IS NOT NULL) AS students
           FROM member GROUP BY district) s USING (district)
LEFT JOIN (SELECT district, count(*) FILTER (WHERE level = 1) AS at_risk, count(*) FILTER (WHERE level = 2) AS chronic,
                  count(*) FILTER (WHERE level = 3) AS severe FROM flag GROUP BY district) f USING (district)
ORDER BY district"""


async def newest_school_year(connection: Connection, student_key: UUID) -> int | None:
    """Find the student's latest year with a record; None: nothing is known of the student."""
    year: int | None = await connection.fetchval(
        "SELECT max(school_year)::int FROM member WHERE student_key = $1", student_key
    )
    return year


async def household_of(connection: Connection, student_key: UUID) -> UUID | None:
    """Find the household of the student's latest year, if a roster named one."""
    household_key: UUID | None = await connection.fetchval(
        "SELECT household_key FROM member WHERE student_key = $1 AND household_key IS NOT NULL"
        " ORDER BY school_year DESC LIMIT 1",
        student_key,
    )
    return household_key


async def children_of(connection: Connection, household_key: UUID) -> list[tuple[UUID, str]]:
    """Name the students of a household and their districts, in the order of their keys."""
    rows = await connection.fetch(
        "SELECT DISTINCT student_key, district FROM enrollment WHERE household_key = $1 ORDER BY student_key",
        household_key,
    )
    return [(row["student_key"], row["district"]) for row in rows]


async def parts_of(connection: Connection, student_key: UUID, school_year: int) -> list[Part]:
    """Load the stints of the student and of the same person elsewhere, earliest entry first."""
    students = [row[0] for row in await connection.fetch(_OF_SAME_PERSON, student_key, school_year)]
    registers = Registers(connection)
    members = await rosters.members_of(connection, students)
    places = await _places(registers, [m for found in members.values() for m in found if m.school_year == school_year])
    parts = []
    for student, stints in (await rosters.stints_of(connection, students)).items():
        for stint in stints:
            found = places.get((student, stint.district, stint.school))
            if found is None or not stint.touches(school_year):
                continue
            school, page, at = found
            days = school.days(page, at)
            days = school.days_of_stint(page, at, days, inside=stint.days_in(school_year), track=stint.track)
            known = StintDays(
                school=stint.school,
                stint=stint.stint,
                entry_date=stint.entry_date,
                counted=days.counted,
                absent=days.absent,
            )
            parts.append(Part(student, stint.district, stint.grade, known))
    return sorted(parts, key=lambda part: (part.days.entry_date, part.days.stint, part.student_key))


async def _places(registers: Registers, members: list[Member]) -> dict[tuple[UUID, str, str], tuple[School, Page, int]]:
    keys = [member.key for member in members]
    await registers.open_schools(keys)
    await registers.open_pages({(key, member.page) for key, member in zip(keys, members, strict=True)})
    return {
        (member.student_key, member.district, member.school): (
            registers.schools[key],
            *registers.schools[key].page_of(member.student_key.bytes),
        )
        for key, member in zip(keys, members, strict=True)
        if member.student_key.bytes in registers.schools[key].index  # or it was carried over, and its pages are to come
    }


async def waiting_of(connection: Connection, student_key: UUID, school_year: int) -> tuple[str, int] | None:
    """Give the district of a number that no enrolment knows and how many days' marks of it wait, or None."""
    members = (await rosters.members_of(connection, [student_key])).get(student_key, [])
    members = [member for member in members if member.school_year == school_year]
    if not members or any(member.entry_date is not None for member in members):
        return None
    places = await _places(Registers(connection), members)
    return members[0].district, sum(page.marked[at].bit_count() for _, page, at in places.values())


async def marks_of(connection: Connection, student_key: UUID, school_year: int) -> dict[date, dict[str, Mark]]:
    """Load the newest marks of the student's year by day and school, under whichever number they came."""
    found: defaultdict[date, dict[str, Mark]] = defaultdict(dict)
    owners = await rosters.owners_of(connection, [student_key])
    keys = [student_key, *(number for number, owner in owners.items() if owner == student_key)]
    for members in (await rosters.members_of(connection, keys)).values():
        for member in members:
            if member.school_year != school_year:
                continue
            for where, page in (await rolls.read_school(connection, member.key, [member.page])).items():
                mark = page.marks.get(member.student_key.bytes)
                known = found[where.school_day].get(member.school)
                if mark is not None and (known is None or mark.beats(known)):
                    found[where.school_day][member.school] = mark
    return found


async def flag_history(connection: Connection, student_key: UUID, school_year: int) -> list[FlagChange]:
    """Load every crossing of the student's year, oldest first."""
    rows = await connection.fetch(
        "SELECT version, level, previous_level, school, days_absent, days_enrolled, as_of, policy_version, recorded_at"
        " FROM flag_history WHERE student_key = $1 AND school_year = $2 ORDER BY version",
        student_key,
        school_year,
    )
    return [FlagChange(*row) for row in rows]


async def counts(connection: Connection, today: date) -> list[dict[str, object]]:
    """Count per district: marks, students and standing flags, and what this school year's rolls leave open.

    That is numbers that wait for an enrolment, rolls that are overdue, students of whom complete rolls say nothing, and
    schools without a calendar.
    """
    numbers: defaultdict[str, set[bytes]] = defaultdict(set)
    days: defaultdict[str, int] = defaultdict(int)
    for row in await connection.fetch(_WAITING):
        page = Page.read(*row[3:])
        for at, key in enumerate(page.keys):
            if page.grades[at] == NO_GRADE and page.marked[at] and not page.traits[at] & JOINED:
                numbers[row[0]].add(key)
                days[row[0]] += page.marked[at].bit_count()
    overdue = await waiting.waiting_rolls(connection, today)
    without_mark = await waiting.without_mark(connection, today)
    schools = {row["district"]: row["without_calendar"] for row in await measured.schools_on(connection, today)}
    found = []
    for row in await connection.fetch(_COUNTS):
        district = row["district"]
        rolls_waiting = overdue.get(district, waiting.NOTHING)
        found.append(
            dict(row)
            | {"waiting_numbers": len(numbers[district]), "waiting_days": days[district]}
            | {"rolls_waiting": rolls_waiting.days, "oldest_roll_waiting": rolls_waiting.oldest}
            | {"days_without_mark": without_mark.get(district, 0)}
            | {"schools_without_calendar": schools.get(district, 0)}
        )
    return found

"""A district in the form of the release before rolls: a row for each mark, as that release's statements left them.

Filled by SQL, so that a district of any size is there in seconds, and read back as facts for the checker.
"""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services.flagging.app import service
from services.runtime.migrate import migrate
from tests.pipeline.year.landed import Landed, Mark, Roll, SchoolDay, Stint

Connection = asyncpg.Connection
DISTRICT = "hartford"
FIRST_DAY, SCHOOL_YEAR = date(2026, 8, 31), 2026
OF_THAT_RELEASE = "0005"
_BEGINNING = date(SCHOOL_YEAR, 7, 1)
_SCHOOL_OF = "'S' || lpad((1 + n % $1)::text, 3, '0')"
_IN_ATTENDANCE, _FIRST_ABSENCE = 1, 8


def school_days(count: int) -> list[date]:
    """Give the first weekdays of the school year."""
    days = (FIRST_DAY + timedelta(days=n) for n in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count]


async def lay_out(connection: "Connection[asyncpg.Record]", folder: Path) -> None:
    """Make the schema of that release."""
    of_that_time = folder / "flagging" / "migrations"
    of_that_time.mkdir(parents=True)
    for file in service.migrations.glob("*.sql"):
        if file.name[:4] <= OF_THAT_RELEASE:
            shutil.copy(file, of_that_time)
    await migrate(connection, of_that_time)


async def fill(
    connection: "Connection[asyncpg.Record]", *, students: int, schools: int, taught: int, planned: int
) -> None:
    """Write a full feed's district: every student has a mark on each of the days taught.

    One in 25 changed schools in the middle; one in 12 misses a quarter of the days, others one in 20; some flags say
    what no day says any more.
    """
    days = school_days(planned)
    middle, told = days[taught // 2], days[:taught]
    await connection.execute(
        f"""
        CREATE TEMPORARY TABLE child AS
        SELECT n, md5('child ' || n)::uuid AS student_key, {_SCHOOL_OF} AS school, n % 25 = 0 AS moves,
               'S' || lpad((1 + (n + 1) % $1)::text, 3, '0') AS next_school,
               CASE WHEN n % 12 = 0 THEN 250 ELSE 50 END AS often,
               (ARRAY['PK', 'K', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'])[1 + n % 14] AS grade
        FROM generate_series(1, $2) AS n
        """,
        schools,
        students,
    )
    await connection.execute(
        """
        INSERT INTO enrollment (student_key, stint, district, lane, school, person_key, household_key, grade,
                                entry_date, exit_date, exit_day_counts, withdrawn, source_version)
        SELECT student_key, 'stint-' || n || '-1', $1, lane_of(student_key), school, md5('person ' || n)::uuid,
               md5('household ' || n / 2)::uuid, grade, $2, CASE WHEN moves THEN $3::date END, false, false, 1
        FROM child
        UNION ALL
        SELECT student_key, 'stint-' || n || '-2', $1, lane_of(student_key), next_school, md5('person ' || n)::uuid,
               md5('household ' || n / 2)::uuid, grade, $3, NULL, false, false, 1
        FROM child WHERE moves
        """,
        DISTRICT,
        FIRST_DAY,
        middle,
    )
    await connection.execute(
        """
        INSERT INTO mark (student_key, school_day, school, district, category, present_parts, day_parts, source_version)
        SELECT student_key, day, CASE WHEN moves AND day >= $2 THEN next_school ELSE school END, $1,
               CASE WHEN abs(hashtext(n || ' ' || day)) % 1000 < often THEN $3 + n % 2 ELSE $4 END, -1, -1, 1
        FROM child CROSS JOIN unnest($5::date[]) AS day
        """,
        DISTRICT,
        middle,
        _FIRST_ABSENCE,
        _IN_ATTENDANCE,
        told,
    )
    await connection.execute(
        """
        INSERT INTO absence_record (student_key, school_year, lane, entry_date, person_key, household_key, school,
                                    district, grade)
        SELECT student_key, $1, lane, entry_date, person_key, household_key, school, district, grade FROM enrollment
        """,
        SCHOOL_YEAR,
    )
    await connection.execute(
        """
        INSERT INTO school_year (lane, district, school, school_year, source_version, feed, school_days, completed,
                                 assumed)
        SELECT lane, $1, school, $2, 1, 'full', $3::text::bit(366), $4::text::bit(366), $4::text::bit(366)
        FROM generate_series(0, 23) AS lane, (SELECT DISTINCT school FROM child) AS of_district
        """,
        DISTRICT,
        SCHOOL_YEAR,
        _bits(days),
        _bits(told),
    )
    await connection.execute(
        """
        INSERT INTO flag (student_key, school_year, district, school, household_key, level, version, days_absent,
                          days_enrolled, as_of, policy_version)
        SELECT student_key, $1, $2, school, md5('household ' || n / 2)::uuid, 1 + n % 3, 1, 9, 30, $3, 1
        FROM child WHERE n % 10 = 0 AND grade <> 'PK'
        """,
        SCHOOL_YEAR,
        DISTRICT,
        told[-1],
    )


async def facts(connection: "Connection[asyncpg.Record]", *, taught: int, planned: int) -> Landed:
    """Read the same as facts, before anything is carried over. A child's number is its key."""
    landed = Landed(latest=school_days(taught)[-1])
    enrolled = await connection.fetch(
        """SELECT stint, school, grade, entry_date, exit_date, student_key::text, person_key::text, household_key::text
           FROM enrollment"""
    )
    for row in enrolled:
        code, school, grade, entry, last, student, person, household = row
        landed.stints[DISTRICT, code] = Stint(
            district=DISTRICT, code=code, version=1, school=school, grade=grade, entry=entry, exit=last,
            exit_day_counts=False, withdrawn=False, number=student, state_number=person, household=household,
            track=None,
        )  # fmt: skip
    days = frozenset(school_days(planned))
    present, absent = Mark(version=1, absent=False), Mark(version=1, absent=True)
    marks = await connection.fetch("SELECT school, student_key::text, school_day, category FROM mark")
    for school, student, day, category in marks:
        of_student: dict[date, Mark] = landed.marks.setdefault((DISTRICT, school, student), {})
        of_student[day] = absent if category >= _FIRST_ABSENCE else present
    for school in {stint.school for stint in landed.stints.values()}:
        landed.calendars[DISTRICT, school, SCHOOL_YEAR, None] = (1, "full", days)
        for day in school_days(taught):
            landed.rolls[SchoolDay(DISTRICT, school, day)] = Roll(version=0, complete=True, feed="full")
    return landed


def afternoon_of(taught: int) -> datetime:
    """Give a moment on the last day taught."""
    return datetime.combine(school_days(taught)[-1], datetime.min.time(), UTC) + timedelta(hours=20)


def _bits(days: list[date]) -> Any:
    places = {(day - _BEGINNING).days for day in days}
    return "".join("1" if place in places else "0" for place in range(366))

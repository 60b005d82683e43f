"""A database of before rolls and registers: every mark is carried over, days are set right and flags judged."""

import shutil
from datetime import date
from pathlib import Path

import asyncpg
import pytest

from contracts.events import FlagCleared
from deploy.local import provision
from services.flagging.app import service
from services.runtime.migrate import migrate
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    conclusions,
    mark,
    published,
    roll,
    school_days,
    stint,
    student,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = student(1)
BEFORE = "0004"
"""Migrations up to here made the form in which marks outside an enrolment counted."""


async def test_days_that_were_nobodys_leave_the_sums_and_their_flag_is_cleared(
    fresh_database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "flagging" / "migrations"
    folder.mkdir(parents=True)
    files = sorted(service.migrations.glob("*.sql"))
    for file in files:
        if file.name[:4] <= BEFORE:
            shutil.copy(file, folder)
    url = (await provision(fresh_database, ["flagging"]))["flagging"]
    connection = await asyncpg.connect(url)
    await migrate(connection, folder)
    days = school_days(60)
    await _of_that_time(connection, days)
    assert await connection.fetchval("SELECT bit_count(counted) FROM absence_record") == 60

    await migrate(connection, service.migrations)

    assert await connection.fetchval("SELECT sum(length(codes)) FROM roll_page") == 10
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        await settle(pool)
        assert [type(event) for event in await published(pool, "flags")] == [FlagCleared]
        concluded = await conclusions(pool)
        assert concluded.flags == {}
        record = concluded.records[ANNA, 2026, "H01"]
        assert (len(record.absent), len(record.counted)) == (0, 50)
        # And goes on from there as a database that never knew otherwise.
        feeder = Feeder(pool)
        await feeder.feed([calendar(days, version=2), stint(ANNA, version=2), *(roll(day) for day in days)])
        await feeder.feed([mark(ANNA, days[0], "in_attendance")])
        # What was sent before and comes again is known.
        await feeder.feed([mark(ANNA, day) for day in days[50:]])
        (counted,) = await pool.fetch("SELECT applied, duplicate FROM mark_count")
        assert tuple(counted) == (1, 10)
        record = (await conclusions(pool)).records[ANNA, 2026, "H01"]
        assert (len(record.absent), len(record.counted)) == (10, 60)
    await connection.close()


async def _of_that_time(connection: "asyncpg.Connection[asyncpg.Record]", days: list[date]) -> None:
    """Write the rows that the statements of that time left: 50 days enrolled, ten absences behind the end."""
    lane = await connection.fetchval("SELECT lane_of($1::uuid)", ANNA)
    bits = [_bits(days), _bits(days[:50]), _bits(days[50:])]
    await connection.execute(
        "INSERT INTO school_year (lane, district, school, school_year, source_version, feed, school_days, completed,"
        " assumed) VALUES ($1, 'hartford', 'H01', 2026, 1, 'exceptions', $2::text::bit(366), $2::text::bit(366),"
        " $2::text::bit(366))",
        lane,
        bits[0],
    )
    await connection.execute(
        "INSERT INTO enrollment (student_key, stint, district, lane, school, grade, entry_date, exit_date,"
        " exit_day_counts, withdrawn, source_version)"
        " VALUES ($1, 'stint-H01', 'hartford', $2, 'H01', '4', $3, $4, false, false, 1)",
        ANNA,
        lane,
        days[0],
        days[50],
    )
    await connection.execute(
        "INSERT INTO absence_record (student_key, school_year, lane, entry_date, school, district, grade, enrolled,"
        " marked, missed, counted) SELECT $1, 2026, $2, $3, 'H01', 'hartford', '4', e, m, m, e | m"
        " FROM (SELECT $4::text::bit(366) AS e, $5::text::bit(366) AS m) AS days",
        ANNA,
        lane,
        days[0],
        bits[1],
        bits[2],
    )
    await connection.execute(
        "INSERT INTO flag (student_key, school_year, district, school, level, version, days_absent, days_enrolled,"
        " as_of, policy_version) VALUES ($1, 2026, 'hartford', 'H01', 2, 1, 10, 60, $2, 1)",
        ANNA,
        days[-1],
    )
    await connection.executemany(
        "INSERT INTO mark (student_key, school_day, school, district, category, present_parts, day_parts,"
        " source_version) VALUES ($1, $2, 'H01', 'hartford', 9, -1, -1, 1)",
        [(ANNA, day) for day in days[50:]],
    )


def _bits(days: list[date]) -> str:
    places = {(day - date(2026, 7, 1)).days for day in days}
    return "".join("1" if place in places else "0" for place in range(366))

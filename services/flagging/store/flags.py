"""Flags as they were last told, and every crossing of theirs."""

from collections.abc import Collection, Iterable
from datetime import date
from typing import NamedTuple
from uuid import UUID

from services.runtime.columns import columns
from services.runtime.database import Connection

_COLUMNS = """student_key, school_year, district, school, household_key, level, version, days_absent, days_enrolled,
    as_of, policy_version, absent"""
_READ = f"SELECT {_COLUMNS} FROM flag WHERE student_key = ANY ($1::uuid[])"
_READ_YEAR = f"SELECT {_COLUMNS} FROM flag WHERE district = $1 AND school_year = $2"
_SAVE = f"""
INSERT INTO flag AS f ({_COLUMNS})
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::uuid[], $6::int[], $7::bigint[], $8::int[],
    $9::int[], $10::date[], $11::int[], $12::bytea[])
ON CONFLICT (student_key, school_year) DO UPDATE
SET district = excluded.district, school = excluded.school, household_key = excluded.household_key,
    level = excluded.level, version = excluded.version, days_absent = excluded.days_absent,
    days_enrolled = excluded.days_enrolled, as_of = excluded.as_of, policy_version = excluded.policy_version,
    absent = excluded.absent"""
_REMEMBER = """
INSERT INTO flag_history (student_key, school_year, version, level, previous_level, school, days_absent, days_enrolled,
                          as_of, policy_version)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::int[], $5::int[], $6::text[], $7::int[], $8::int[],
    $9::date[], $10::int[])"""


class Flag(NamedTuple):
    """A student's flag of a school year, with the figures of its last crossing. Level 0: it was cleared."""

    student_key: UUID
    school_year: int
    district: str
    school: str
    household_key: UUID | None
    level: int
    version: int
    days_absent: int
    days_enrolled: int
    as_of: date
    policy_version: int
    absent: bytes


async def read(connection: Connection, students: Collection[UUID]) -> dict[tuple[UUID, int], Flag]:
    """Read these students' flags, by student and school year."""
    rows = await connection.fetch(_READ, list(students))
    return {(row["student_key"], row["school_year"]): Flag(*row) for row in rows}


async def read_year(connection: Connection, district: str, school_year: int) -> list[Flag]:
    """Read everybody's who was flagged at any time in a district's school year."""
    return [Flag(*row) for row in await connection.fetch(_READ_YEAR, district, school_year)]


async def save(connection: Connection, crossed: Iterable[tuple[Flag, int]]) -> None:
    """Write flags that crossed a line or moved to another household, with the level that each had before."""
    rows = list(crossed)
    if not rows:
        return
    await connection.execute(_SAVE, *columns([flag for flag, _ in rows], width=12))
    history = [
        (
            flag.student_key, flag.school_year, flag.version, flag.level, former, flag.school, flag.days_absent,
            flag.days_enrolled, flag.as_of, flag.policy_version,
        )
        for flag, former in rows
        if flag.level != former
    ]  # fmt: skip
    if history:
        await connection.execute(_REMEMBER, *columns(history, width=10))

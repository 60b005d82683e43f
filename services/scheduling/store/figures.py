"""Figures of a school's flagged students as columns: kept by one statement, with no row made for a student."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.scheduling.store.pricing import INPUTS


async def lock_open_requests(connection: asyncpg.Connection, students: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """Make other writers of these students' open requests wait, and read by household what they are priced by.

    Before any flag is touched and in the order of the households, as everywhere: no two writers deadlock.
    """
    rows = await connection.fetch(
        f"""
        SELECT {INPUTS} FROM request
        WHERE stage <> 'closed'
          AND household_key = ANY (ARRAY (SELECT household_key FROM flagged_student
                                          WHERE student_key = ANY ($1::text::uuid[])))
        ORDER BY household_key FOR UPDATE
        """,
        _as_array(students),
    )
    return {row["household_key"]: row for row in rows}


async def keep_newest_figures(
    connection: asyncpg.Connection,
    records: Sequence[tuple[Any, ...]],
    columns: Sequence[Sequence[Any]],
    *,
    waiting: Sequence[UUID],
) -> list[UUID]:
    """Keep each flagged student's newest figures, which cross no line.

    Names those of the `waiting` households in which a child's figures differ now from what they were.

    Records: school, school_year, as_of. Columns: the place of its record (from 1), student_key, grade, days_absent,
    days_enrolled, version, chronic_last_year, last_20_absent, last_20_counted, before_20_absent, before_20_counted,
    spell, and where in the last column the student's missed days begin and end; that one holds the days of all of them,
    one after the other.
    Of students without a flag, of another school year, or older than what stands, nothing is kept.
    """
    changed = await connection.fetch(
        """
        WITH figures AS (
            SELECT DISTINCT ON (student_key) f.*, ($1::text[])[record] AS school,
                   ($2::integer[])[record] AS school_year, ($3::date[])[record] AS as_of
            FROM unnest($4::text::integer[], $5::text::uuid[], $6::text::text[], $7::text::integer[],
                        $8::text::integer[], $9::text::bigint[], $10::text::boolean[], $11::text::integer[],
                        $12::text::integer[], $13::text::integer[], $14::text::integer[], $15::text::integer[],
                        $16::text::integer[], $17::text::integer[])
                AS f (record, student_key, grade, days_absent, days_enrolled, version, chronic_last_year,
                      last_20_absent, last_20_counted, before_20_absent, before_20_counted, spell, missed_after,
                      missed_until)
            ORDER BY student_key, school_year DESC, version DESC
        ), kept AS (
            UPDATE flagged_student AS kept
            SET school = f.school, grade = coalesce(f.grade, kept.grade), days_absent = f.days_absent,
                days_enrolled = f.days_enrolled, version = f.version, as_of = f.as_of,
                -- A subquery of its own is read once; the cast alone would be made for each student.
                absent_days = (SELECT $18::text::date[])[f.missed_after + 1 : f.missed_until],
                last_20_absent = f.last_20_absent, last_20_counted = f.last_20_counted,
                before_20_absent = f.before_20_absent, before_20_counted = f.before_20_counted, spell = f.spell,
                chronic_last_year = f.chronic_last_year
            FROM figures AS f
            WHERE kept.student_key = f.student_key AND kept.school_year = f.school_year AND kept.version < f.version
            RETURNING new.household_key,
                      new.household_key IN (SELECT unnest($19::text::uuid[]))
                      AND (new.as_of, new.days_absent, new.days_enrolled, new.absent_days, new.last_20_absent,
                           new.last_20_counted, new.before_20_absent, new.before_20_counted, new.spell,
                           new.chronic_last_year, new.school, new.grade)
                          IS DISTINCT FROM
                          (old.as_of, old.days_absent, old.days_enrolled, old.absent_days, old.last_20_absent,
                           old.last_20_counted, old.before_20_absent, old.before_20_counted, old.spell,
                           old.chronic_last_year, old.school, old.grade) AS differ
        )
        SELECT DISTINCT household_key FROM kept WHERE differ
        """,
        *(list(column) for column in zip(*records, strict=True)),
        *map(_as_array, [*columns, waiting]),
    )
    return [row["household_key"] for row in changed]


def _as_array(column: Sequence[Any]) -> str:
    """Spell numbers, dates, keys and codes as PostgreSQL reads an array: as in JSON, but for the brackets.

    asyncpg asks of each element what it is: with thirty for each student that cost more than all the rest.
    """
    return "{" + msgspec.json.encode(column)[1:-1].decode() + "}"

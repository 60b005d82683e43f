"""Reporting's tallies: what schools' months, days and flagged students are now, the newest version of each.

A version is the time at which the newest fact behind it was appended. Of two that are equal, the later record stands.
"""

import asyncpg

from services.reporting.store.projections import Rows, upsert


async def _run_each(connection: asyncpg.Connection, statement: str, records: Rows) -> None:
    if records:
        await connection.executemany(statement, records)


async def keep_student_months(connection: asyncpg.Connection, records: Rows) -> None:
    """Keep each student's newest month at a school.

    Records, in their order: district, school, month, version, and as columns student_key, person_key, grade,
    days_enrolled, days_absent, entered_on. One statement for each, all of them sent at once: with district, school
    and month again for every student, twice as many values would have to be sent.
    """
    await _run_each(
        connection,
        """
        INSERT INTO student_month AS kept (district, month, school, student_key, person_key, grade, days_enrolled,
                                           days_absent, entered_on, version)
        SELECT DISTINCT ON (student_key) $1, $3, $2, student_key, person_key, grade, days_enrolled, days_absent,
               entered_on, $4::bigint
        FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::integer[], $9::integer[], $10::date[]) WITH ORDINALITY
            AS m (student_key, person_key, grade, days_enrolled, days_absent, entered_on, place)
        ORDER BY student_key, place DESC
        ON CONFLICT (district, month, school, student_key) DO UPDATE
        SET person_key = EXCLUDED.person_key, grade = EXCLUDED.grade, days_enrolled = EXCLUDED.days_enrolled,
            days_absent = EXCLUDED.days_absent, entered_on = EXCLUDED.entered_on, version = EXCLUDED.version
        WHERE EXCLUDED.version >= kept.version
        """,
        records,
    )


async def keep_school_months(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep that a school's month has closed, and how many rolls were missing by the newest word of it.

    Rows: district, month, school, missing_rolls (None: no calendar is known), version.
    """
    await upsert(
        connection,
        """
        INSERT INTO school_month AS kept (district, month, school, missing_rolls, version)
        SELECT DISTINCT ON (district, month, school) district, month, school, missing_rolls, version
        FROM unnest($1::text[], $2::date[], $3::text[], $4::integer[], $5::bigint[]) WITH ORDINALITY
            AS m (district, month, school, missing_rolls, version, place)
        ORDER BY district, month, school, version DESC, place DESC
        ON CONFLICT (district, month, school) DO UPDATE
        SET missing_rolls = EXCLUDED.missing_rolls, version = EXCLUDED.version
        WHERE EXCLUDED.version >= kept.version
        """,
        rows,
    )


async def keep_flag_figures(connection: asyncpg.Connection, records: Rows) -> None:
    """Keep where each flagged student stands by the newest figures.

    Records, in their order: district, school, school_year, as_of, and as columns student_key, version, grade, level.
    """
    await _run_each(
        connection,
        """
        INSERT INTO flag_figures AS kept (student_key, school_year, version, as_of, district, school, grade, level)
        SELECT DISTINCT ON (student_key) student_key, $3::integer, version, $4::date, $1, $2, grade, level
        FROM unnest($5::uuid[], $6::bigint[], $7::text[], $8::text[]) WITH ORDINALITY
            AS f (student_key, version, grade, level, place)
        ORDER BY student_key, version DESC, place DESC
        ON CONFLICT (student_key, school_year) DO UPDATE
        SET version = EXCLUDED.version, as_of = EXCLUDED.as_of, district = EXCLUDED.district,
            school = EXCLUDED.school, grade = EXCLUDED.grade, level = EXCLUDED.level
        WHERE EXCLUDED.version >= kept.version
        """,
        records,
    )


async def keep_school_days(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each whole school's day.

    Rows: district, school, school_day, students_counted, students_absent, version.
    """
    await upsert(
        connection,
        """
        INSERT INTO day_tally AS kept (district, school, school_day, students_counted, students_absent, version)
        SELECT DISTINCT ON (district, school, school_day) district, school, school_day, students_counted,
               students_absent, version
        FROM unnest($1::text[], $2::text[], $3::date[], $4::integer[], $5::integer[], $6::bigint[]) WITH ORDINALITY
            AS d (district, school, school_day, students_counted, students_absent, version, place)
        ORDER BY district, school, school_day, version DESC, place DESC
        ON CONFLICT (district, school, school_day) DO UPDATE
        SET students_counted = EXCLUDED.students_counted, students_absent = EXCLUDED.students_absent,
            version = EXCLUDED.version
        WHERE EXCLUDED.version >= kept.version
        """,
        rows,
    )


async def keep_parts_of_days(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep the newest version of each part of a school's day, as days were told before they came whole.

    Rows: district, school, school_day, part, students_counted, students_absent, version.
    """
    await upsert(
        connection,
        """
        INSERT INTO school_day AS kept (district, school, school_day, part, students_counted, students_absent, version)
        SELECT DISTINCT ON (district, school, school_day, part) district, school, school_day, part, students_counted,
               students_absent, version
        FROM unnest($1::text[], $2::text[], $3::date[], $4::integer[], $5::integer[], $6::integer[], $7::bigint[])
            WITH ORDINALITY
            AS d (district, school, school_day, part, students_counted, students_absent, version, place)
        ORDER BY district, school, school_day, part, version DESC, place DESC
        ON CONFLICT (district, school, school_day, part) DO UPDATE
        SET students_counted = EXCLUDED.students_counted, students_absent = EXCLUDED.students_absent,
            version = EXCLUDED.version
        WHERE EXCLUDED.version >= kept.version
        """,
        rows,
    )

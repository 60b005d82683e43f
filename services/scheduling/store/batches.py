"""What flags and contacts do to scheduling's tables: a batch costs a handful of statements, whatever its size.

Whoever touches requests locks them first and in the order of their household keys, so no two writers deadlock.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts.identities import microseconds, request_identity
from services.runtime.columns import columns

# Nobody claimed it, or the lease lapsed without any contact by $2; a promise or a wish to reopen is a touch.
UNTOUCHED = """NOT pinned AND contacted_at IS NULL
    AND (stage = 'new' OR (stage = 'claimed' AND claimed_until <= $2))"""


async def lock_open_requests(
    connection: asyncpg.Connection, *, households: Iterable[UUID], students: Iterable[UUID]
) -> None:
    """Make other writers of these households, and of those the students are in by now, wait.

    Two siblings' flags come on two partitions: without the lock each clearing would still see the other's flag.
    """
    await connection.execute(
        """
        SELECT FROM request
        WHERE stage <> 'closed'
          -- One array, not an OR with a subquery: only so is the index used.
          AND household_key = ANY ($1::uuid[] || ARRAY (SELECT household_key FROM flagged_student
                                                        WHERE student_key = ANY ($2::uuid[])))
        ORDER BY household_key
        FOR UPDATE
        """,
        list(households),
        list(students),
    )


async def keep_newest_flags(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> list[asyncpg.Record]:
    """Keep each student's newest flag and return the students whose flag is another now.

    Rows: student_key, household_key, district, school, grade, level, days_absent, days_enrolled, school_year,
    version, as_of, absent_days and corrected_days as text "{2026-09-01,...}", last_20_absent, last_20_counted,
    before_20_absent, before_20_counted, spell, chronic_last_year, new_to_district, over_level: how far it had gone,
    where its school year is over.
    The newest version of the newest school year stands; older and repeated ones change nothing. Of a crossing that
    comes behind newer figures (on the other topic), what only a crossing says stands all the same.
    """
    if not rows:
        return []
    changed: list[asyncpg.Record] = await connection.fetch(
        """
        WITH newest AS (
            SELECT DISTINCT ON (student_key) *
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[],
                        $8::integer[], $9::integer[], $10::bigint[], $11::date[], $12::text[], $13::text[],
                        $14::integer[], $15::integer[], $16::integer[], $17::integer[], $18::integer[],
                        $19::boolean[], $20::boolean[], $21::text[])
                AS f (student_key, household_key, district, school, grade, level, days_absent, days_enrolled,
                      school_year, version, as_of, absent_days, corrected_days, last_20_absent, last_20_counted,
                      before_20_absent, before_20_counted, spell, chronic_last_year, new_to_district, over_level)
            ORDER BY student_key, school_year DESC, version DESC
        ), behind AS (
            UPDATE flagged_student AS kept
            SET household_key = f.household_key, district = f.district, level = f.level, crossed_version = f.version,
                corrected_days = f.corrected_days::date[], new_to_district = f.new_to_district,
                over_level = f.over_level
            FROM newest AS f
            WHERE kept.student_key = f.student_key AND kept.school_year = f.school_year
              AND f.version > kept.crossed_version AND f.version <= kept.version
            RETURNING new.student_key, new.household_key, old.household_key AS former_household_key,
                      new.level <> 'none' AS flagged, old.level <> 'none' AS was_flagged, new.district, new.school_year
        ), kept AS (
            INSERT INTO flagged_student AS kept (
                student_key, household_key, district, school, grade, level, days_absent, days_enrolled, school_year,
                version, crossed_version, as_of, absent_days, corrected_days, last_20_absent, last_20_counted,
                before_20_absent, before_20_counted, spell, chronic_last_year, new_to_district, over_level)
            SELECT student_key, household_key, district, school, grade, level, days_absent, days_enrolled,
                   school_year, version, version, as_of, absent_days::date[], corrected_days::date[], last_20_absent,
                   last_20_counted, before_20_absent, before_20_counted, spell, chronic_last_year, new_to_district,
                   over_level
            FROM newest WHERE student_key NOT IN (SELECT student_key FROM behind) ORDER BY student_key
            ON CONFLICT (student_key) DO UPDATE
            SET household_key = EXCLUDED.household_key, district = EXCLUDED.district, school = EXCLUDED.school,
                grade = EXCLUDED.grade, level = EXCLUDED.level, days_absent = EXCLUDED.days_absent,
                days_enrolled = EXCLUDED.days_enrolled, school_year = EXCLUDED.school_year,
                version = EXCLUDED.version, crossed_version = EXCLUDED.version, as_of = EXCLUDED.as_of,
                absent_days = EXCLUDED.absent_days,
                corrected_days = EXCLUDED.corrected_days, last_20_absent = EXCLUDED.last_20_absent,
                last_20_counted = EXCLUDED.last_20_counted, before_20_absent = EXCLUDED.before_20_absent,
                before_20_counted = EXCLUDED.before_20_counted, spell = EXCLUDED.spell,
                chronic_last_year = EXCLUDED.chronic_last_year, new_to_district = EXCLUDED.new_to_district,
                over_level = EXCLUDED.over_level
            WHERE (EXCLUDED.school_year, EXCLUDED.version) > (kept.school_year, kept.version)
            RETURNING new.student_key, new.household_key, old.household_key AS former_household_key,
                      new.level <> 'none' AS flagged,
                      -- A flag belongs to its school year: last year's is no reason not to be raised this year.
                      coalesce(old.level, 'none') <> 'none' AND old.school_year = new.school_year AS was_flagged,
                      new.district, new.school_year
        )
        TABLE kept UNION ALL TABLE behind
        """,
        *columns(rows, width=21),
    )
    return changed


async def open_requests(
    connection: asyncpg.Connection, *, households: Sequence[UUID], today: date, as_of: datetime
) -> list[asyncpg.Record]:
    """Open a request for each household that has none, and let the flag join where there is one.

    Not where a decline is respected: the family said no, whichever child is flagged next. A note that no flag was
    left is taken off. Returns one row per flagged student of each request that changed; `is_new` for the opened.
    """
    named = await _next_requests(connection, households)
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        WITH opened AS (
            INSERT INTO request AS standing (request_id, household_key, district, school, opened_at, tries_from,
                                             aged_from, version)
            SELECT DISTINCT ON (household_key) request_id, household_key, district, school, $2::timestamptz, $2,
                   $3::date, $5
            FROM flagged_student AS s
                 JOIN unnest($1::uuid[], $4::uuid[]) AS next (household_key, request_id) USING (household_key)
            WHERE level <> 'none'
              AND s.household_key = ANY ($1::uuid[])  -- said again for the index
              AND NOT EXISTS (SELECT FROM request AS d
                              WHERE d.household_key = s.household_key AND d.respected_until > $3)
            ORDER BY household_key, student_key
            ON CONFLICT (household_key) WHERE stage <> 'closed' DO UPDATE
            SET flags_cleared_at = NULL, version = greatest(standing.version + 1, EXCLUDED.version)
            RETURNING new.request_id, new.household_key, new.district, new.school, new.version, new.stage,
                      old.request_id IS NULL AS is_new, old.flags_cleared_at IS NOT NULL AS was_cleared
        )
        SELECT o.request_id, o.household_key, o.district, o.school AS request_school, o.version, o.stage, o.is_new,
               o.was_cleared, s.student_key, s.school, s.grade, s.level, s.days_absent, s.days_enrolled
        FROM opened AS o JOIN flagged_student AS s USING (household_key)
        WHERE s.level <> 'none'
          AND s.household_key = ANY ($1::uuid[])  -- said again for the index: the join alone scans every student
        ORDER BY o.household_key, s.student_key
        """,
        list(named),
        as_of,
        today,
        list(named.values()),
        microseconds(as_of),
    )
    return rows


async def _next_requests(connection: asyncpg.Connection, households: Sequence[UUID]) -> dict[UUID, UUID]:
    """Name the request that each of these households would have next, if it had none open."""
    rows = await connection.fetch(
        """
        SELECT household_key, max(school_year) AS school_year,
               (SELECT count(*) FROM request AS r WHERE r.household_key = s.household_key) AS before
        FROM flagged_student AS s WHERE household_key = ANY ($1::uuid[]) AND level <> 'none'
        GROUP BY household_key ORDER BY household_key
        """,
        list(households),
    )
    return {row["household_key"]: request_identity(**dict(row)) for row in rows}


async def withdraw_or_annotate(
    connection: asyncpg.Connection, *, households: Sequence[UUID], as_of: datetime
) -> list[asyncpg.Record]:
    """Close the untouched requests of households with no flag left, and note the fact on the others.

    Returns each changed request with the stage it came from and, as JSON, the children whose flags went.
    """
    rows: list[asyncpg.Record] = await connection.fetch(
        f"""
        WITH unflagged AS (
            UPDATE request AS r
            SET stage = CASE WHEN untouched THEN 'closed' ELSE stage END,
                closed_because = CASE WHEN untouched THEN 'no_longer_flagged' END,
                closed_at = CASE WHEN untouched THEN $2::timestamptz END,
                claimed_by = CASE WHEN NOT untouched THEN claimed_by END,
                claimed_until = CASE WHEN NOT untouched THEN claimed_until END,
                flags_cleared_at = $2,
                version = greatest(version + 1, $3)
            FROM (
                SELECT request_id AS touched_id, {UNTOUCHED} AS untouched
                FROM request WHERE household_key = ANY ($1::uuid[]) AND stage <> 'closed'
            ) AS judged
            WHERE r.request_id = judged.touched_id
              AND r.household_key = ANY ($1::uuid[]) AND r.stage <> 'closed'  -- said again for the index
              AND r.flags_cleared_at IS NULL
              AND NOT EXISTS (SELECT FROM flagged_student AS s
                              WHERE s.household_key = r.household_key AND s.level <> 'none')
            RETURNING new.request_id, new.household_key, new.district, new.version, new.stage,
                      old.stage AS from_stage
        )
        SELECT u.*, coalesce(gone.children, '[]') AS children
        FROM unflagged AS u LEFT JOIN LATERAL (
            SELECT json_agg(json_build_object(
                       'student_key', student_key, 'days_absent', days_absent, 'days_enrolled', days_enrolled,
                       'corrected_days', corrected_days) ORDER BY student_key) AS children
            FROM flagged_student AS s WHERE s.household_key = u.household_key
        ) AS gone ON true
        ORDER BY u.household_key
        """,
        list(households),
        as_of,
        microseconds(as_of),
    )
    return rows


async def households_waiting(connection: asyncpg.Connection, households: Sequence[UUID]) -> set[UUID]:
    """Tell which of these households have an open request."""
    if not households:
        return set()
    rows = await connection.fetch(
        "SELECT household_key FROM request WHERE household_key = ANY ($1::uuid[]) AND stage <> 'closed'",
        list(households),
    )
    return {row["household_key"] for row in rows}


async def open_request_ids(connection: asyncpg.Connection, households: Sequence[UUID]) -> list[UUID]:
    """Find the open requests of these households."""
    rows = await connection.fetch(
        "SELECT request_id FROM request WHERE household_key = ANY ($1::uuid[]) AND stage <> 'closed'",
        list(households),
    )
    return [row["request_id"] for row in rows]


async def keep_newest_contacts(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep each household's newest contact data; nothing from before it was taken back.

    Rows: household_key, district, contact_name, phones (JSON list), address, language, interpreter_needed,
    students (JSON list), source_version, occurred_at.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO household_contact AS kept (household_key, district, contact_name, phones, address, language,
                                               interpreter_needed, students, source_version, told_at)
        SELECT DISTINCT ON (household_key) household_key, district, contact_name,
               ARRAY (SELECT json_array_elements_text(phones)), address, language, interpreter_needed, students,
               source_version, occurred_at
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::json[], $5::text[], $6::text[], $7::boolean[],
                    $8::jsonb[], $9::bigint[], $10::timestamptz[])
            AS c (household_key, district, contact_name, phones, address, language, interpreter_needed, students,
                  source_version, occurred_at)
        WHERE NOT EXISTS (SELECT FROM household_forgotten AS f
                          WHERE f.household_key = c.household_key
                            AND (c.source_version <= f.source_version OR c.occurred_at <= f.forgotten_at))
        ORDER BY household_key, source_version DESC
        ON CONFLICT (household_key) DO UPDATE
        SET district = EXCLUDED.district, contact_name = EXCLUDED.contact_name, phones = EXCLUDED.phones,
            address = EXCLUDED.address, language = EXCLUDED.language,
            interpreter_needed = EXCLUDED.interpreter_needed, students = EXCLUDED.students,
            source_version = EXCLUDED.source_version, told_at = EXCLUDED.told_at
        WHERE EXCLUDED.source_version > kept.source_version
        """,
        *columns(rows, width=10),
    )


async def forget_contacts(connection: asyncpg.Connection, rows: Sequence[tuple[UUID, int, datetime]]) -> None:
    """Delete the contact data of these households, and keep which version of it was the newest, and since when.

    Rows: household_key, the newest version that was told before (-1: none), forgotten_at.
    """
    await connection.execute(
        """
        WITH given AS (
            SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[])
                AS f (household_key, source_version, forgotten_at)
        ), gone AS (
            DELETE FROM household_contact AS c USING given WHERE c.household_key = given.household_key
            RETURNING c.household_key, c.source_version
        )
        INSERT INTO household_forgotten AS kept (household_key, source_version, forgotten_at)
        SELECT household_key, greatest(given.source_version, gone.source_version), forgotten_at
        FROM given LEFT JOIN gone USING (household_key) ORDER BY household_key
        ON CONFLICT (household_key) DO UPDATE
        SET source_version = greatest(kept.source_version, EXCLUDED.source_version),
            forgotten_at = greatest(kept.forgotten_at, EXCLUDED.forgotten_at)
        """,
        *columns(rows, width=3),
    )

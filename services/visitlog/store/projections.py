"""What other services said, a batch at a time: appointments, requests, contacts, calendars, visitors."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.runtime.columns import columns


async def keep_newest_visits(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep what was agreed last of each visit; older and repeated news changes nothing.

    Rows: visit_id, request_id, household_key, district, cancelled, starts_at, place, language, minutes, interpreter,
    follow_up, first visitor, second visitor, request_version. A cancelled visit keeps the time and pair it had.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO visit AS kept (visit_id, request_id, household_key, district, cancelled, starts_at, place,
                                   language, minutes, interpreter, follow_up, pair, request_version)
        SELECT DISTINCT ON (visit_id) visit_id, request_id, household_key, district, cancelled,
               first_value(starts_at) OVER agreed, first_value(place) OVER agreed,
               first_value(language) OVER agreed, coalesce(first_value(minutes) OVER agreed, 60),
               coalesce(first_value(interpreter) OVER agreed, false),
               coalesce(first_value(follow_up) OVER agreed, false),
               first_value(CASE WHEN first_visitor IS NOT NULL THEN ARRAY[first_visitor, second_visitor] END)
                   OVER agreed,
               request_version
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::timestamptz[], $7::text[],
                    $8::text[], $9::integer[], $10::boolean[], $11::boolean[], $12::text[], $13::text[], $14::bigint[])
            AS v (visit_id, request_id, household_key, district, cancelled, starts_at, place, language, minutes,
                  interpreter, follow_up, first_visitor, second_visitor, request_version)
        WINDOW agreed AS (PARTITION BY visit_id ORDER BY cancelled, request_version DESC)
        ORDER BY visit_id, request_version DESC
        ON CONFLICT (visit_id) DO UPDATE
        SET cancelled = EXCLUDED.cancelled,
            starts_at = coalesce(EXCLUDED.starts_at, kept.starts_at),
            place = coalesce(EXCLUDED.place, kept.place),
            language = coalesce(EXCLUDED.language, kept.language),
            -- A cancellation brings no pair: what was agreed before it stays to be read.
            minutes = CASE WHEN EXCLUDED.pair IS NULL THEN kept.minutes ELSE EXCLUDED.minutes END,
            interpreter = CASE WHEN EXCLUDED.pair IS NULL THEN kept.interpreter ELSE EXCLUDED.interpreter END,
            follow_up = CASE WHEN EXCLUDED.pair IS NULL THEN kept.follow_up ELSE EXCLUDED.follow_up END,
            pair = coalesce(EXCLUDED.pair, kept.pair),
            request_version = EXCLUDED.request_version
        WHERE EXCLUDED.request_version > kept.request_version
        """,
        *columns(rows, width=14),
    )


async def keep_newest_contacts(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep each household's newest contact data; nothing from before it was taken back.

    Rows: household_key, district, contact_name, phones (JSON list), address, language, interpreter_needed,
    students (JSON list), source_version, occurred_at; one row per household.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO household_contact AS kept (household_key, district, contact_name, phones, address, language,
                                               interpreter_needed, students, source_version, told_at)
        SELECT household_key, district, contact_name, ARRAY (SELECT json_array_elements_text(phones)), address,
               language, interpreter_needed, students, source_version, occurred_at
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::json[], $5::text[], $6::text[], $7::boolean[],
                    $8::jsonb[], $9::bigint[], $10::timestamptz[])
            AS c (household_key, district, contact_name, phones, address, language, interpreter_needed, students,
                  source_version, occurred_at)
        WHERE NOT EXISTS (SELECT FROM household_forgotten AS f
                          WHERE f.household_key = c.household_key
                            AND (c.source_version <= f.source_version OR c.occurred_at <= f.forgotten_at))
        ORDER BY household_key
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


async def keep_newest_requests(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep which schools a request's students go to. Rows: request_id, district, schools (JSON list), version."""
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO request AS kept (request_id, district, schools, version)
        SELECT DISTINCT ON (request_id) request_id, district, ARRAY (SELECT json_array_elements_text(schools)), version
        FROM unnest($1::uuid[], $2::text[], $3::json[], $4::bigint[]) AS r (request_id, district, schools, version)
        ORDER BY request_id, version DESC
        ON CONFLICT (request_id) DO UPDATE
        SET district = EXCLUDED.district, schools = EXCLUDED.schools, version = EXCLUDED.version
        WHERE EXCLUDED.version > kept.version
        """,
        *columns(rows, width=4),
    )


async def keep_newest_calendars(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep each school year's newest calendar; it comes on every partition, so most of it is known.

    Rows: district, school, school_year, school_days (JSON list), source_version; one row per calendar.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO school_calendar AS kept (district, school, school_year, school_days, source_version)
        SELECT district, school, school_year, ARRAY (SELECT json_array_elements_text(days)::date), source_version
        FROM unnest($1::text[], $2::text[], $3::integer[], $4::json[], $5::bigint[])
            AS c (district, school, school_year, days, source_version)
        ORDER BY district, school, school_year
        ON CONFLICT (district, school, school_year) DO UPDATE
        SET school_days = EXCLUDED.school_days, source_version = EXCLUDED.source_version
        WHERE EXCLUDED.source_version > kept.source_version
        """,
        *columns(rows, width=5),
    )


async def keep_newest_visitors(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep each visitor's newest version.

    Rows: visitor_id, district, affiliation, languages (JSON list), valid_from, valid_until, active, version.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO visitor AS kept (visitor_id, district, affiliation, languages, valid_from, valid_until, active,
                                     version)
        SELECT DISTINCT ON (visitor_id) visitor_id, district, affiliation,
               ARRAY (SELECT json_array_elements_text(languages)), valid_from, valid_until, active, version
        FROM unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::date[], $6::date[], $7::boolean[],
                    $8::bigint[])
            AS v (visitor_id, district, affiliation, languages, valid_from, valid_until, active, version)
        ORDER BY visitor_id, version DESC
        ON CONFLICT (visitor_id) DO UPDATE
        SET district = EXCLUDED.district, affiliation = EXCLUDED.affiliation, languages = EXCLUDED.languages,
            valid_from = EXCLUDED.valid_from, valid_until = EXCLUDED.valid_until, active = EXCLUDED.active,
            version = EXCLUDED.version
        WHERE EXCLUDED.version > kept.version
        """,
        *columns(rows, width=8),
    )


async def keep_policies(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep the log's part of what districts decided; a decision never changes.

    Rows: district, version, effective_from, policy (JSON), set_at.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO log_policy (district, version, effective_from, policy, set_at, at_desk)
        SELECT d.*, true FROM unnest($1::text[], $2::integer[], $3::date[], $4::jsonb[], $5::timestamptz[]) AS d
        ON CONFLICT DO NOTHING
        """,
        *columns(rows, width=5),
    )


async def keep_retention(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep for how many years districts keep what. Rows: district, version, effective_from, retention (JSON)."""
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO retention_policy (district, version, effective_from, retention)
        SELECT * FROM unnest($1::text[], $2::integer[], $3::date[], $4::jsonb[])
        ON CONFLICT DO NOTHING
        """,
        *columns(rows, width=4),
    )

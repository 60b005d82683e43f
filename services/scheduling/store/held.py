"""All that scheduling holds of one household, for a family that asks; and a household's key from a parent's name."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

MOST_NAMESAKES = 20


async def households_named(
    connection: asyncpg.Connection, *, name: str, districts: Sequence[str] | None
) -> list[asyncpg.Record]:
    """Find household_key and district of those whose contact has exactly this name, accents and case aside."""
    return await connection.fetch(
        f"""
        SELECT household_key, district FROM household_contact
        WHERE words LIKE '%' || lower(unaccent($1)) || '%' AND lower(unaccent(contact_name)) = lower(unaccent($1))
          AND ($2::text[] IS NULL OR district = ANY ($2))
        ORDER BY household_key LIMIT {MOST_NAMESAKES}
        """,
        name,
        None if districts is None else list(districts),
    )


async def district_of(connection: asyncpg.Connection, household_key: UUID) -> str | None:
    """Say whose district the household is; None where nothing is known of it."""
    district: str | None = await connection.fetchval(
        """
        SELECT district FROM household_contact WHERE household_key = $1
        UNION ALL SELECT district FROM request WHERE household_key = $1
        UNION ALL SELECT district FROM flagged_student WHERE household_key = $1 LIMIT 1
        """,
        household_key,
    )
    return district


async def read_held(connection: asyncpg.Connection, household_key: UUID) -> dict[str, Any]:
    """Read contact, children, requests, contacts with the family, and visits, each oldest first."""
    contact = await connection.fetchrow(
        """
        SELECT contact_name, phones, address, language, interpreter_needed, students FROM household_contact
        WHERE household_key = $1
        """,
        household_key,
    )
    children = await connection.fetch(
        """
        SELECT student_key, school, grade, school_year, level, days_absent, days_enrolled, as_of, absent_days
        FROM flagged_student WHERE household_key = $1 ORDER BY student_key
        """,
        household_key,
    )
    requests = await connection.fetch(
        """
        SELECT request_id, school, stage, closed_because, opened_at, closed_at, wish FROM request
        WHERE household_key = $1 ORDER BY opened_at, request_id
        """,
        household_key,
    )
    attempts = await connection.fetch(
        """
        SELECT way, answer, contact_attempt.contact_again_on, made_by, made_at, withdrawn_at
        FROM contact_attempt JOIN request USING (request_id) WHERE household_key = $1 ORDER BY made_at
        """,
        household_key,
    )
    visits = await connection.fetch(
        """
        SELECT DISTINCT ON (visit_id) visit_id, state, starts_at, appointment.minutes, place, place_text,
               appointment.language, ARRAY[first_visitor, second_visitor] AS pair
        FROM visit JOIN request USING (request_id) JOIN appointment USING (visit_id)
        WHERE household_key = $1 ORDER BY visit_id, revision DESC
        """,
        household_key,
    )
    return {
        "contact": {**dict(contact), "students": json.loads(contact["students"])} if contact else None,
        "children": [dict(row) for row in children],
        "requests": [dict(row) for row in requests],
        "contacts": [dict(row) for row in attempts],
        "visits": sorted((dict(row) for row in visits), key=lambda row: row["starts_at"]),
    }

"""Agreed visits and how their logs stand, and how to reach a household."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Which agreed visits a list is of; `districts` None is all of them, `after` the last row that was seen before."""

    districts: Sequence[str] | None
    visitor_id: str | None = None
    due: Sequence[str]
    starts_from: datetime
    starts_before: datetime
    limit: int
    after: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class OverdueLimits:
    """Before which start a visit's log is overdue: in general, and where a district says otherwise."""

    general: datetime
    by_district: Mapping[str, datetime]


# The CASE says what outcomes.due_of says; a test holds the two together.
_STANDING = """
SELECT visit_id, request_id, visit.household_key, visit.district, starts_at, visit.minutes, place, visit.language,
       visit.interpreter, follow_up, coalesce(pair, ARRAY[]::text[]) AS pair, log.log_ids,
       CASE WHEN 'took_place' = ANY (log.outcomes) THEN 'logged'
            WHEN log.outcomes IS NOT NULL THEN 'attempted'
            WHEN cancelled THEN 'cancelled'
            WHEN starts_at < coalesce(limits.overdue_before, $2) THEN 'overdue'
            ELSE 'expected'
       END AS due
FROM visit
LEFT JOIN unnest($3::text[], $4::timestamptz[]) AS limits (district, overdue_before)
       ON limits.district = visit.district
LEFT JOIN LATERAL (
    SELECT array_agg(outcome) AS outcomes, array_agg(log_id ORDER BY started_at, log_id) AS log_ids
    FROM visit_log WHERE visit_log.visit_id = visit.visit_id
) AS log ON true
"""


async def list_visits(connection: asyncpg.Connection, listed: Listed, limits: OverdueLimits) -> list[asyncpg.Record]:
    """List agreed visits with the standing of their logs, by start."""
    return await connection.fetch(
        f"""
        SELECT * FROM ({_STANDING}
            WHERE ($1::text[] IS NULL OR visit.district = ANY ($1))
              AND ($5::text IS NULL OR pair @> ARRAY[$5])
              AND starts_at >= $6 AND starts_at < $7
              AND ($9::timestamptz IS NULL OR (starts_at, visit_id) > ($9, $10::uuid))
        ) AS standing
        WHERE due = ANY ($8::text[])
        ORDER BY starts_at, visit_id LIMIT $11
        """,
        None if listed.districts is None else list(listed.districts),
        limits.general,
        list(limits.by_district),
        list(limits.by_district.values()),
        listed.visitor_id,
        listed.starts_from,
        listed.starts_before,
        list(listed.due),
        listed.after[0] if listed.after else None,
        listed.after[1] if listed.after else None,
        listed.limit,
    )


async def standing_of_visit(
    connection: asyncpg.Connection, visit_id: UUID, limits: OverdueLimits
) -> asyncpg.Record | None:
    """Read one visit with the standing of its log."""
    return await connection.fetchrow(
        f"{_STANDING} WHERE visit_id = $1",
        visit_id,
        limits.general,
        list(limits.by_district),
        list(limits.by_district.values()),
    )


async def contacts_of(connection: asyncpg.Connection, households: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """Read how to reach these households. Personal data: whoever shows it records the disclosure."""
    rows = await connection.fetch(
        """
        SELECT household_key, district, contact_name, phones, address, language, interpreter_needed, students
        FROM household_contact WHERE household_key = ANY ($1::uuid[])
        """,
        list(households),
    )
    return {UUID(bytes=row["household_key"].bytes): row for row in rows}


async def children_of(connection: asyncpg.Connection, households: Sequence[UUID]) -> list[asyncpg.Record]:
    """Read household_key and student_key of the children of these households, as far as they are known."""
    return await connection.fetch(
        """
        SELECT household_key, (child ->> 'student_key')::uuid AS student_key
        FROM household_contact, jsonb_array_elements(students) AS child WHERE household_key = ANY ($1::uuid[])
        """,
        list(households),
    )


async def start_safety_timer(
    connection: asyncpg.Connection, *, visit_id: UUID, person: str, back_by: datetime, as_of: datetime
) -> None:
    """Start the person's timer for this visit, or set it anew."""
    await connection.execute(
        """
        INSERT INTO safety_timer (visit_id, person, started_at, back_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT (visit_id, person) DO UPDATE
        SET started_at = EXCLUDED.started_at, back_by = EXCLUDED.back_by, ended_at = NULL
        """,
        visit_id,
        person,
        as_of,
        back_by,
    )


async def end_safety_timer(connection: asyncpg.Connection, *, visit_id: UUID, person: str, as_of: datetime) -> None:
    """End the person's timer: they are out and well. One that has ended stays as it is."""
    await connection.execute(
        "UPDATE safety_timer SET ended_at = $3 WHERE visit_id = $1 AND person = $2 AND ended_at IS NULL",
        visit_id,
        person,
        as_of,
    )


async def list_safety_timers(
    connection: asyncpg.Connection, *, districts: Sequence[str] | None = None, visit_id: UUID | None = None
) -> list[asyncpg.Record]:
    """List the timers that run, the one that ends first at the top."""
    return await connection.fetch(
        """
        SELECT visit_id, person, safety_timer.started_at, back_by, visit.place
        FROM safety_timer JOIN visit USING (visit_id)
        WHERE ended_at IS NULL AND ($1::text[] IS NULL OR district = ANY ($1)) AND ($2::uuid IS NULL OR visit_id = $2)
        ORDER BY back_by, visit_id
        """,
        None if districts is None else list(districts),
        visit_id,
    )

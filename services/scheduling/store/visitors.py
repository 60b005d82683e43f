"""Visitors, one row at a time: who they are, when they can, whom they are not to visit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts.identities import microseconds
from services.scheduling.rules.pairing import Away, Booking, Visitor, Window

# One row per visitor with what hangs on it, so that a list of sixty costs one statement.
_SELECT = """
    SELECT visitor_id, district, affiliation, school, languages, leap101_valid_from, leap101_valid_until, weekly_cap,
           active, version,
           ARRAY (SELECT (weekday, begins, ends) FROM visitor_window AS w WHERE w.visitor_id = v.visitor_id
                  ORDER BY weekday, begins) AS windows,
           ARRAY (SELECT (first_day, last_day) FROM visitor_away AS a WHERE a.visitor_id = v.visitor_id
                  ORDER BY first_day) AS away,
           ARRAY (SELECT household_key FROM visitor_exclusion AS e WHERE e.visitor_id = v.visitor_id) AS excluded
    FROM visitor AS v
"""


def _visitor(row: asyncpg.Record) -> Visitor:
    return Visitor(
        visitor_id=row["visitor_id"],
        district=row["district"],
        affiliation=row["affiliation"],
        school=row["school"],
        languages=tuple(row["languages"]),
        leap101_valid_from=row["leap101_valid_from"],
        leap101_valid_until=row["leap101_valid_until"],
        windows=tuple(Window(weekday=w[0], begins=w[1], ends=w[2]) for w in row["windows"]),
        away=tuple(Away(first_day=a[0], last_day=a[1]) for a in row["away"]),
        weekly_cap=row["weekly_cap"],
        excluded_households=frozenset(row["excluded"]),
        active=row["active"],
        version=row["version"],
    )


async def find_visitor(connection: asyncpg.Connection, visitor_id: str) -> Visitor | None:
    """Read one visitor, without a lock."""
    row = await connection.fetchrow(f"{_SELECT} WHERE visitor_id = $1", visitor_id)
    return _visitor(row) if row else None


async def own_id(connection: asyncpg.Connection, visitor_id: str, districts: Sequence[str]) -> str:
    """Find what a district's own id of a visitor is everywhere: itself, or behind the district's code.

    One that is none of theirs comes back as it is.
    """
    found: str | None = await connection.fetchval(
        """
        SELECT visitor_id FROM visitor
        WHERE visitor_id = ANY ($1::text[] || ARRAY (SELECT code || '.' || $3 FROM unnest($2::text[]) AS code))
            AND district = ANY ($2)
        ORDER BY visitor_id <> $3, visitor_id LIMIT 1
        """,
        [visitor_id],
        list(districts),
        visitor_id,
    )
    return visitor_id if found is None else found


async def list_visitors(
    connection: asyncpg.Connection, *, district: str | None = None, active_only: bool = False
) -> list[Visitor]:
    """Read a district's visitors, or everyone's, by id."""
    rows = await connection.fetch(
        f"""
        {_SELECT} WHERE ($1::text IS NULL OR district = $1) AND (active OR NOT $2) ORDER BY district, visitor_id
        """,
        district,
        active_only,
    )
    return [_visitor(row) for row in rows]


async def lock_visitors(connection: asyncpg.Connection, visitor_ids: Sequence[str]) -> dict[str, Visitor]:
    """Read visitors and make whoever else wants to book or change them wait.

    In the order of their ids: two appointments that want the same two people never wait in a circle. What is read
    afterwards about their bookings stays true until the commit.
    """
    await connection.execute(
        "SELECT FROM visitor WHERE visitor_id = ANY ($1) ORDER BY visitor_id FOR NO KEY UPDATE", list(visitor_ids)
    )
    rows = await connection.fetch(f"{_SELECT} WHERE visitor_id = ANY ($1)", list(visitor_ids))
    return {row["visitor_id"]: _visitor(row) for row in rows}


async def insert_visitor(connection: asyncpg.Connection, visitor: Visitor) -> bool:
    """Register a visitor at their version; False when the id is taken."""
    inserted = await connection.fetchval(
        """
        INSERT INTO visitor (visitor_id, district, affiliation, school, languages, leap101_valid_from,
                             leap101_valid_until, weekly_cap, active, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (visitor_id) DO NOTHING RETURNING true
        """,
        *_columns(visitor),
        visitor.version,
    )
    if inserted:
        await _replace_details(connection, visitor)
    return bool(inserted)


async def update_visitor(connection: asyncpg.Connection, visitor: Visitor, *, as_of: datetime) -> int:
    """Write a locked visitor's newest facts over the former ones and return the new version."""
    version: int = await connection.fetchval(
        """
        UPDATE visitor
        SET district = $2, affiliation = $3, school = $4, languages = $5, leap101_valid_from = $6,
            leap101_valid_until = $7, weekly_cap = $8, active = $9, version = greatest(version + 1, $10)
        WHERE visitor_id = $1 RETURNING version
        """,
        *_columns(visitor),
        microseconds(as_of),
    )
    await _replace_details(connection, visitor)
    return version


def _columns(visitor: Visitor) -> tuple[Any, ...]:
    return (
        visitor.visitor_id,
        visitor.district,
        visitor.affiliation,
        visitor.school,
        list(visitor.languages),
        visitor.leap101_valid_from,
        visitor.leap101_valid_until,
        visitor.weekly_cap,
        visitor.active,
    )


async def _replace_details(connection: asyncpg.Connection, visitor: Visitor) -> None:
    who = visitor.visitor_id
    for table in ("visitor_window", "visitor_away", "visitor_exclusion"):
        await connection.execute(f"DELETE FROM {table} WHERE visitor_id = $1", who)
    await connection.executemany(
        "INSERT INTO visitor_window (visitor_id, weekday, begins, ends) VALUES ($1, $2, $3, $4)",
        [(who, window.weekday, window.begins, window.ends) for window in visitor.windows],
    )
    await connection.executemany(
        "INSERT INTO visitor_away (visitor_id, first_day, last_day) VALUES ($1, $2, $3)",
        [(who, away.first_day, away.last_day) for away in visitor.away],
    )
    await connection.executemany(
        "INSERT INTO visitor_exclusion (visitor_id, household_key) VALUES ($1, $2)",
        [(who, household_key) for household_key in sorted(visitor.excluded_households)],
    )


async def bookings_between(
    connection: asyncpg.Connection, *, visitor_ids: Sequence[str], begins_at: datetime, ends_at: datetime
) -> dict[str, list[Booking]]:
    """Read when these visitors are booked, by visitor and in the order of time."""
    rows = await connection.fetch(
        """
        SELECT visit_id, visitor_id, household_key, school, starts_at, ends_at, free_at
        FROM unnest($1::text[]) AS visitor_id  -- joined, not an array to search in: only so is the GiST index used
             JOIN booking USING (visitor_id) JOIN visit USING (visit_id) JOIN request USING (request_id)
        WHERE tstzrange(starts_at, free_at) && tstzrange($2, $3)
        ORDER BY starts_at, visit_id
        """,
        list(visitor_ids),
        begins_at,
        ends_at,
    )
    bookings: dict[str, list[Booking]] = {}
    for row in rows:
        bookings.setdefault(row["visitor_id"], []).append(Booking(**dict(row)))
    return bookings


async def visits_to_household(connection: asyncpg.Connection, household_key: UUID) -> dict[str, int]:
    """Count each visitor's completed visits to a household."""
    rows = await connection.fetch(
        """
        SELECT visitor_id, count(*) AS visits
        FROM request JOIN visit USING (request_id) JOIN booking USING (visit_id)
        WHERE household_key = $1 AND state = 'completed'
        GROUP BY visitor_id
        """,
        household_key,
    )
    return {row["visitor_id"]: row["visits"] for row in rows}

"""What people do to scheduling's requests, one row at a time, and what they are shown of them."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts.identities import microseconds
from services.scheduling.rules.visits import Answer, Request, Way
from services.scheduling.store.changes import REQUEST_COLUMNS, find_request, lock_request, request_of

__all__ = ["REQUEST_COLUMNS", "find_request", "lock_request", "request_of"]


async def claim(
    connection: asyncpg.Connection,
    *,
    request_id: UUID,
    version: int,
    districts: Sequence[str] | None,
    actor: str,
    claimed_until: datetime,
    as_of: datetime,
) -> tuple[Request, str] | None:
    """Take the lease in one statement, or change nothing when the request is held, stale, closed or foreign.

    Returns the request and the stage it came from. `districts`: where it may lie; None for anywhere.
    """
    row = await connection.fetchrow(
        f"""
        WITH claimed AS (
            UPDATE request
            SET claimed_by = $3, claimed_until = $4, version = greatest(version + 1, $7),
                stage = CASE stage WHEN 'new' THEN 'claimed' ELSE stage END
            WHERE request_id = $1 AND version = $2 AND stage <> 'closed'
              AND ($6::text[] IS NULL OR district = ANY ($6))
              AND (claimed_by IS NULL OR claimed_by = $3 OR claimed_until <= $5)
            RETURNING new.*, old.stage AS from_stage, to_jsonb(old) - 'priority' AS before
        ), {_TOLD}
        SELECT {REQUEST_COLUMNS}, from_stage FROM claimed
        """,
        request_id,
        version,
        actor,
        claimed_until,
        as_of,
        None if districts is None else list(districts),
        microseconds(as_of),
    )
    return (request_of(row), row["from_stage"]) if row else None


# A claim and its row of history are one statement: nobody holds a request that does not say since when.
_TOLD = """told AS (
            INSERT INTO request_history (request_id, version, what, from_stage, to_stage, actor, at, before)
            SELECT request_id, version, 'claimed', from_stage, stage, $3, $5, before FROM claimed
        )"""


async def claim_next(
    connection: asyncpg.Connection,
    *,
    district: str,
    actor: str,
    claimed_until: datetime,
    today: date,
    as_of: datetime,
) -> tuple[Request, str] | None:
    """Lease the request of highest priority that nobody holds; None when nothing waits.

    SKIP LOCKED: two schedulers at the same instant get two requests, and neither waits for the other.
    Returns the request and the stage it came from.
    """
    row = await connection.fetchrow(
        f"""
        WITH claimed AS (
            UPDATE request
            SET claimed_by = $3, claimed_until = $4, version = greatest(version + 1, $6),
                stage = CASE stage WHEN 'new' THEN 'claimed' ELSE stage END
            WHERE request_id = (
                SELECT request_id FROM request
                WHERE stage IN ('new', 'claimed', 'contacting') AND district = $1
                  AND (claimed_until IS NULL OR claimed_until <= $5)
                  AND (contact_again_on IS NULL OR contact_again_on <= $2)
                ORDER BY pinned DESC, points DESC, opened_at, request_id LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING new.*, old.stage AS from_stage, to_jsonb(old) - 'priority' AS before
        ), {_TOLD}
        SELECT {REQUEST_COLUMNS}, from_stage FROM claimed
        """,
        district,
        today,
        actor,
        claimed_until,
        as_of,
        microseconds(as_of),
    )
    return (request_of(row), row["from_stage"]) if row else None


async def record_contact_attempt(
    connection: asyncpg.Connection,
    *,
    request: Request,
    way: Way,
    answer: Answer,
    contact_again_on: date | None,
    actor: str,
    as_of: datetime,
) -> None:
    """Append what came of one contact, under the version it made of the request."""
    await connection.execute(
        """
        INSERT INTO contact_attempt (request_id, request_version, way, answer, contact_again_on, made_by, made_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        request.request_id,
        request.version,
        way.value,
        answer.value,
        contact_again_on,
        actor,
        as_of,
    )


async def withdraw_answer(connection: asyncpg.Connection, *, request: Request, as_of: datetime) -> None:
    """Note on the contact that made the request's standing version that its answer was entered wrongly."""
    await connection.execute(
        "UPDATE contact_attempt SET withdrawn_at = $3 WHERE request_id = $1 AND request_version = $2",
        request.request_id,
        request.version,
        as_of,
    )


async def attempts(connection: asyncpg.Connection, request_id: UUID) -> list[dict[str, Any]]:
    """Read every contact with the family about a request, oldest first."""
    rows = await connection.fetch(
        """
        SELECT request_version, way, answer, contact_again_on, made_by, made_at, withdrawn_at FROM contact_attempt
        WHERE request_id = $1 ORDER BY request_version
        """,
        request_id,
    )
    return [dict(row) for row in rows]


async def tries_in_vain(connection: asyncpg.Connection, request: Request) -> list[datetime]:
    """Read when the family was tried in vain since it was last reached, or the request last opened."""
    rows = await connection.fetch(
        """
        SELECT made_at FROM contact_attempt
        WHERE request_id = $1 AND withdrawn_at IS NULL AND answer = 'not_reached' AND made_at >= $2
          AND request_version > coalesce((SELECT max(request_version) FROM contact_attempt
                                          WHERE request_id = $1 AND withdrawn_at IS NULL
                                            AND answer <> 'not_reached'), 0)
        ORDER BY made_at
        """,
        request.request_id,
        request.tries_from,
    )
    return [row["made_at"] for row in rows]


async def flags_stand(connection: asyncpg.Connection, household_key: UUID) -> bool:
    """Tell whether any child of the household is flagged."""
    stand: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM flagged_student WHERE household_key = $1 AND level <> 'none')", household_key
    )
    return stand


async def other_open_request(connection: asyncpg.Connection, request: Request) -> bool:
    """Tell whether the household has another request that is open."""
    other: bool = await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM request
                       WHERE household_key = $1 AND stage <> 'closed' AND request_id <> $2)
        """,
        request.household_key,
        request.request_id,
    )
    return other


async def students(connection: asyncpg.Connection, household_key: UUID) -> list[dict[str, Any]]:
    """Read a household's students with their newest flags and the days behind them."""
    rows = await connection.fetch(
        """
        SELECT student_key, school, grade, level, days_absent, days_enrolled, as_of, absent_days, corrected_days,
               last_20_absent, last_20_counted, before_20_absent, before_20_counted, spell, chronic_last_year,
               new_to_district
        FROM flagged_student WHERE household_key = $1 ORDER BY student_key
        """,
        household_key,
    )
    return [dict(row) for row in rows]


async def reasons(connection: asyncpg.Connection, request_id: UUID) -> tuple[dict[str, Any] | None, int]:
    """Read what a request was priced by, and the school days by which its target is missed."""
    row = await connection.fetchrow("SELECT priority, days_beyond FROM request WHERE request_id = $1", request_id)
    if row is None or row["priority"] is None:
        return None, 0
    return json.loads(row["priority"]), row["days_beyond"]


async def list_requests(
    connection: asyncpg.Connection,
    *,
    districts: Sequence[str] | None,
    stage: str | None,
    after: Request | None,
    limit: int,
) -> list[Request]:
    """List requests, most urgent first; without a stage, all open ones. `after`: a page's last request."""
    rows = await connection.fetch(
        f"""
        SELECT {REQUEST_COLUMNS} FROM request
        WHERE ($1::text[] IS NULL OR district = ANY ($1))
          AND (stage = $2 OR ($2::text IS NULL AND stage <> 'closed'))
          AND ($3::uuid IS NULL
               OR (NOT pinned, -points, opened_at, request_id) > (NOT $4::boolean, -$5::integer, $7::timestamptz, $3))
        ORDER BY pinned DESC, points DESC, opened_at, request_id LIMIT $6
        """,
        None if districts is None else list(districts),
        stage,
        after and after.request_id,
        after and after.pinned,
        after and after.points,
        limit,
        after and after.opened_at,
    )
    return [request_of(row) for row in rows]


async def contact_of(connection: asyncpg.Connection, household_key: UUID) -> dict[str, Any] | None:
    """Read a household's contact data; None where none is known. Whoever shows it records the disclosure."""
    row = await connection.fetchrow(
        """
        SELECT contact_name, phones, address, language, interpreter_needed, students FROM household_contact
        WHERE household_key = $1
        """,
        household_key,
    )
    return {**dict(row), "students": json.loads(row["students"])} if row is not None else None


async def count_requests(connection: asyncpg.Connection, *, districts: Sequence[str] | None) -> list[asyncpg.Record]:
    """Count requests by district and stage."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT district, stage, count(*) AS requests FROM request
        WHERE $1::text[] IS NULL OR district = ANY ($1)
        GROUP BY district, stage ORDER BY district, stage
        """,
        None if districts is None else list(districts),
    )
    return rows

"""What people do to scheduling's tables, one row at a time, and what they are shown of them."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.scheduling.visits import Answer, Request, Stage, VisitState

REQUEST_COLUMNS = """request_id, household_key, district, school, stage, closed_because, version, claimed_by,
    claimed_until, contact_again_on, flags_cleared_at, opened_at"""


def _request(row: asyncpg.Record) -> Request:
    return Request(
        request_id=row["request_id"],
        household_key=row["household_key"],
        district=row["district"],
        school=row["school"],
        stage=Stage(row["stage"]),
        closed_because=row["closed_because"],
        version=row["version"],
        claimed_by=row["claimed_by"],
        claimed_until=row["claimed_until"],
        contact_again_on=row["contact_again_on"],
        flags_cleared_at=row["flags_cleared_at"],
        opened_at=row["opened_at"],
    )


async def find_request(connection: asyncpg.Connection, request_id: UUID) -> Request | None:
    """This will read one request, without a lock."""
    row = await connection.fetchrow(f"SELECT {REQUEST_COLUMNS} FROM request WHERE request_id = $1", request_id)
    return _request(row) if row else None


async def lock_request(connection: asyncpg.Connection, request_id: UUID) -> Request | None:
    """This will read one request and make other writers of it wait."""
    row = await connection.fetchrow(
        f"SELECT {REQUEST_COLUMNS} FROM request WHERE request_id = $1 FOR UPDATE", request_id
    )
    return _request(row) if row else None


async def claim(
    connection: asyncpg.Connection,
    *,
    request_id: UUID,
    version: int,
    actor: str,
    claimed_until: datetime,
    as_of: datetime,
) -> Request | None:
    """This will take the lease in one statement, or change nothing when the request is held, stale or closed."""
    row = await connection.fetchrow(
        f"""
        UPDATE request
        SET claimed_by = $3, claimed_until = $4, version = version + 1,
            stage = CASE stage WHEN 'new' THEN 'claimed' ELSE stage END
        WHERE request_id = $1 AND version = $2 AND stage <> 'closed'
          AND (claimed_by IS NULL OR claimed_by = $3 OR claimed_until <= $5)
        RETURNING {REQUEST_COLUMNS}
        """,
        request_id,
        version,
        actor,
        claimed_until,
        as_of,
    )
    return _request(row) if row else None


async def claim_next(
    connection: asyncpg.Connection, *, district: str | None, actor: str, claimed_until: datetime, as_of: datetime
) -> Request | None:
    """This will lease the longest waiting request that nobody holds; None when nothing waits.

    SKIP LOCKED: two schedulers at the same instant get two requests, and neither waits for the other.
    """
    row = await connection.fetchrow(
        f"""
        UPDATE request
        SET claimed_by = $2, claimed_until = $3, version = version + 1,
            stage = CASE stage WHEN 'new' THEN 'claimed' ELSE stage END
        WHERE request_id = (
            SELECT request_id FROM request
            WHERE stage IN ('new', 'claimed', 'contacting')
              AND ($1::text IS NULL OR district = $1)
              AND (claimed_until IS NULL OR claimed_until <= $4)
              AND (contact_again_on IS NULL OR contact_again_on <= ($4 AT TIME ZONE 'America/New_York')::date)
            ORDER BY request_id LIMIT 1 FOR UPDATE SKIP LOCKED
        )
        RETURNING {REQUEST_COLUMNS}
        """,
        district,
        actor,
        claimed_until,
        as_of,
    )
    return _request(row) if row else None


async def save_stage(
    connection: asyncpg.Connection, *, request_id: UUID, stage: Stage, contact_again_on: date | None = None
) -> Request:
    """This will set the stage of a locked request, count the version up, and end the lease of a closed one."""
    (row,) = await connection.fetch(
        f"""
        UPDATE request
        SET stage = $2, contact_again_on = $3, version = version + 1,
            closed_because = CASE WHEN $2 = 'closed' THEN 'declined' END,
            claimed_by = CASE WHEN $2 <> 'closed' THEN claimed_by END,
            claimed_until = CASE WHEN $2 <> 'closed' THEN claimed_until END
        WHERE request_id = $1
        RETURNING {REQUEST_COLUMNS}
        """,
        request_id,
        stage.value,
        contact_again_on,
    )
    return _request(row)


async def record_contact_attempt(
    connection: asyncpg.Connection, *, request: Request, answer: Answer, actor: str, as_of: datetime
) -> None:
    """This will append what came of one contact."""
    await connection.execute(
        """
        INSERT INTO contact_attempt (request_id, request_version, answer, contact_again_on, made_by, made_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        request.request_id,
        request.version,
        answer.value,
        request.contact_again_on,
        actor,
        as_of,
    )


async def scheduled_visit(connection: asyncpg.Connection, request_id: UUID) -> UUID | None:
    """This will find the visit that still lies ahead of a request."""
    visit_id: UUID | None = await connection.fetchval(
        "SELECT visit_id FROM visit WHERE request_id = $1 AND state = 'scheduled'", request_id
    )
    return visit_id


async def open_visit(connection: asyncpg.Connection, request_id: UUID) -> UUID:
    """This will add a scheduled visit to a request."""
    visit_id: UUID = await connection.fetchval(
        "INSERT INTO visit (request_id) VALUES ($1) RETURNING visit_id", request_id
    )
    return visit_id


async def set_visit_state(connection: asyncpg.Connection, visit_id: UUID, state: VisitState) -> None:
    """This will say what became of a visit."""
    await connection.execute("UPDATE visit SET state = $2 WHERE visit_id = $1", visit_id, state.value)


async def append_appointment(
    connection: asyncpg.Connection,
    *,
    visit_id: UUID,
    starts_at: datetime,
    place: str,
    language: str,
    pair: tuple[str, str],
    actor: str,
    as_of: datetime,
) -> None:
    """This will write the next revision of a visit's appointment; earlier ones stay.

    Raises asyncpg's CheckViolationError, leap101_is_current, for a visitor unknown or without valid training.
    """
    await connection.execute(
        """
        INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor,
                                 made_by, made_at)
        SELECT $1, coalesce(max(revision), 0) + 1, $2, $3, $4, $5, $6, $7, $8 FROM appointment WHERE visit_id = $1
        """,
        visit_id,
        starts_at,
        place,
        language,
        pair[0],
        pair[1],
        actor,
        as_of,
    )


async def household_language(connection: asyncpg.Connection, household_key: UUID) -> str:
    """This will name the household's language; English where nothing is known."""
    language: str | None = await connection.fetchval(
        "SELECT language FROM household_contact WHERE household_key = $1", household_key
    )
    return language or "en"


async def save_visitor(
    connection: asyncpg.Connection,
    *,
    visitor_id: str,
    district: str,
    languages: Sequence[str],
    valid_from: date,
    valid_until: date,
    version: int,
) -> int | None:
    """This will register a visitor (version 0) or renew one whose version is `version`; None when it is another.

    Returns the visitor's new version.
    """
    saved: int | None = await connection.fetchval(
        """
        INSERT INTO visitor AS kept (visitor_id, district, languages, leap101_valid_from, leap101_valid_until)
        SELECT $1, $2, $3::text[], $4, $5
        WHERE $6 = 0 OR EXISTS (SELECT FROM visitor WHERE visitor_id = $1)
        ON CONFLICT (visitor_id) DO UPDATE
        SET district = EXCLUDED.district, languages = EXCLUDED.languages,
            leap101_valid_from = EXCLUDED.leap101_valid_from, leap101_valid_until = EXCLUDED.leap101_valid_until,
            version = kept.version + 1
        WHERE kept.version = $6
        RETURNING version
        """,
        visitor_id,
        district,
        list(languages),
        valid_from,
        valid_until,
        version,
    )
    return saved


async def list_requests(
    connection: asyncpg.Connection, *, district: str | None, stage: str | None, after: UUID | None, limit: int
) -> list[Request]:
    """This will list requests, longest waiting first; without a stage, all open ones. `after` pages on."""
    rows = await connection.fetch(
        f"""
        SELECT {REQUEST_COLUMNS} FROM request
        WHERE ($1::text IS NULL OR district = $1)
          AND (stage = $2 OR ($2::text IS NULL AND stage <> 'closed'))
          AND ($3::uuid IS NULL OR request_id > $3)
        ORDER BY request_id LIMIT $4
        """,
        district,
        stage,
        after,
        limit,
    )
    return [_request(row) for row in rows]


async def students_and_visits(connection: asyncpg.Connection, request: Request) -> tuple[list[Any], list[Any]]:
    """This will read a household's students with their newest flags, and the request's visits, newest last."""
    students = await connection.fetch(
        """
        SELECT student_key, school, grade, level, days_absent, days_enrolled FROM flagged_student
        WHERE household_key = $1 ORDER BY student_key
        """,
        request.household_key,
    )
    visits = await connection.fetch(
        """
        SELECT DISTINCT ON (visit_id) visit_id, state, starts_at, place, language,
               ARRAY[first_visitor, second_visitor] AS pair, revision
        FROM visit JOIN appointment USING (visit_id)
        WHERE request_id = $1 ORDER BY visit_id, revision DESC
        """,
        request.request_id,
    )
    return [dict(row) for row in students], [dict(row) for row in visits]


async def disclose_contact(
    connection: asyncpg.Connection, *, request: Request, actor: str, as_of: datetime
) -> dict[str, Any] | None:
    """This will read a household's contact data and record to whom it was shown; None where none is known."""
    row = await connection.fetchrow(
        """
        SELECT contact_name, phones, address, language, interpreter_needed, students FROM household_contact
        WHERE household_key = $1
        """,
        request.household_key,
    )
    if row is None:
        return None

    await connection.execute(
        "INSERT INTO contact_disclosure (request_id, shown_to, shown_at) VALUES ($1, $2, $3)",
        request.request_id,
        actor,
        as_of,
    )
    return {**dict(row), "students": json.loads(row["students"])}


async def count_requests(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """This will count requests by district and stage."""
    rows: list[asyncpg.Record] = await connection.fetch(
        "SELECT district, stage, count(*) AS requests FROM request GROUP BY district, stage ORDER BY district, stage"
    )
    return rows

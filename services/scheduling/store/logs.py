"""What logged visits and their promises do to scheduling's tables."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts.calendar import school_year_of
from contracts.identities import microseconds, request_identity
from services.runtime.columns import columns
from services.scheduling.rules.visits import Request
from services.scheduling.store.changes import REQUEST_COLUMNS, request_of


async def apply_logged_visits(
    connection: asyncpg.Connection,
    rows: Sequence[tuple[UUID, str, str]],
    *,
    follow_up_on_by_district: Mapping[str, date],
    as_of: datetime,
) -> list[asyncpg.Record]:
    """Mark visits attempted or completed and move their requests on. Rows: visit_id, state, stage.

    Completed wins over attempted, and a visit moves its request once: a repeated log changes nothing. A completed
    visit counts two versions up, one for `visited` and one for `logged`. Returns each request that moved.
    """
    if not rows:
        return []
    moved: list[asyncpg.Record] = await connection.fetch(
        """
        WITH logged AS (
            SELECT DISTINCT ON (visit_id) visit_id, state, stage
            FROM unnest($1::uuid[], $2::text[], $3::text[]) AS l (visit_id, state, stage)
            ORDER BY visit_id, state = 'completed' DESC
        ), moved AS (
            UPDATE visit SET state = logged.state FROM logged
            WHERE visit.visit_id = logged.visit_id
              AND (visit.state IN ('scheduled', 'cancelled')
                   OR (visit.state = 'attempted' AND logged.state = 'completed'))
            RETURNING visit.visit_id, visit.request_id, logged.state, logged.stage
        ), next AS (
            SELECT DISTINCT ON (request_id) request_id, visit_id, state, stage FROM moved
            ORDER BY request_id, state = 'completed' DESC, visit_id
        )
        UPDATE request AS r
        SET stage = next.stage,
            version = greatest(r.version + 1, $6) + CASE next.state WHEN 'completed' THEN 1 ELSE 0 END,
            follow_up_on = CASE next.state WHEN 'completed' THEN f.follow_up_on ELSE r.follow_up_on END,
            claimed_by = CASE WHEN next.state <> 'completed' THEN r.claimed_by END,
            claimed_until = CASE WHEN next.state <> 'completed' THEN r.claimed_until END
        FROM next, unnest($4::text[], $5::date[]) AS f (district, follow_up_on)
        WHERE r.request_id = next.request_id AND f.district = r.district
          AND (r.stage IN ('paired', 'confirmed')
               OR (next.state = 'completed' AND r.stage IN ('agreed', 'contacting', 'claimed', 'visited')))
          -- A late log of a visit that was given up moves nothing while another lies ahead.
          AND NOT EXISTS (SELECT FROM visit AS ahead
                          WHERE ahead.request_id = r.request_id AND ahead.state = 'scheduled'
                            AND ahead.visit_id NOT IN (SELECT visit_id FROM moved))
        RETURNING new.request_id, new.household_key, new.district, new.version, new.stage, old.stage AS from_stage,
                  next.visit_id, next.state
        """,
        *columns(rows, width=3),
        list(follow_up_on_by_district),
        list(follow_up_on_by_district.values()),
        microseconds(as_of),
    )
    return sorted(moved, key=lambda row: row["household_key"])


async def keep_promises(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep what logs promise. Rows: log_id, kind, due, visit_id, household_key. A repeat changes nothing."""
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO promise (log_id, kind, due, visit_id, household_key)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::date[], $4::uuid[], $5::uuid[]) ON CONFLICT DO NOTHING
        """,
        *columns(rows, width=5),
    )


async def due_promises(connection: asyncpg.Connection, *, today: date, limit: int) -> list[asyncpg.Record]:
    """Lock promises whose day has come, each with the request they came from, the oldest first."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT p.log_id, p.kind, p.due, p.household_key, v.request_id
        FROM promise AS p LEFT JOIN visit AS v USING (visit_id)
        WHERE p.state = 'waiting' AND p.due <= $1
        ORDER BY p.household_key, p.due LIMIT $2 FOR UPDATE OF p SKIP LOCKED
        """,
        today,
        limit,
    )
    return rows


async def settle_promise(connection: asyncpg.Connection, *, log_id: UUID, kind: str, due: date, state: str) -> None:
    """Say what became of a promise on its day."""
    await connection.execute(
        "UPDATE promise SET state = $4 WHERE log_id = $1 AND kind = $2 AND due = $3", log_id, kind, due, state
    )


async def newest_request(connection: asyncpg.Connection, household_key: UUID) -> Request | None:
    """Lock a household's open request, or else its newest closed one."""
    row = await connection.fetchrow(
        f"""
        SELECT {REQUEST_COLUMNS} FROM request WHERE household_key = $1
        ORDER BY stage = 'closed', opened_at DESC, request_id LIMIT 1 FOR UPDATE
        """,
        household_key,
    )
    return request_of(row) if row else None


async def open_promised_request(
    connection: asyncpg.Connection, *, like: Request, due: date, kind: str, today: date, as_of: datetime
) -> Request:
    """Open a pinned request for a household whose former one is closed: a promise is kept all the same."""
    before = await connection.fetchval("SELECT count(*) FROM request WHERE household_key = $1", like.household_key)
    row = await connection.fetchrow(
        f"""
        WITH opened AS (
            INSERT INTO request (request_id, household_key, district, school, opened_at, tries_from, aged_from,
                                 pinned, promise_due, promise_kind, version)
            VALUES ($8, $1, $2, $3, $4, $4, $5, true, $6, $7, $9)
            RETURNING *
        ), told AS (
            INSERT INTO request_history (request_id, version, what, to_stage, at, detail)
            SELECT request_id, version, 'opened', stage, $4, jsonb_build_object('promise_due', $6::date) FROM opened
        )
        SELECT {REQUEST_COLUMNS} FROM opened
        """,
        like.household_key,
        like.district,
        like.school,
        as_of,
        today,
        due,
        kind,
        request_identity(household_key=like.household_key, school_year=school_year_of(due), before=before),
        microseconds(as_of),
    )
    assert row is not None
    return request_of(row)


async def follow_ups_due(
    connection: asyncpg.Connection, *, today: date, limit: int
) -> list[tuple[Request, bool, bool]]:
    """Lock logged requests whose follow-up day has come, each with whether a flag stands, and one ended with its year.

    A request whose log promises a day of its own waits for that one.
    """
    rows = await connection.fetch(
        f"""
        SELECT {REQUEST_COLUMNS},
               EXISTS (SELECT FROM flagged_student AS s
                       WHERE s.household_key = r.household_key AND s.level <> 'none') AS flagged,
               EXISTS (SELECT FROM flagged_student AS s
                       WHERE s.household_key = r.household_key AND s.over_level <> 'none') AS year_over
        FROM request AS r
        WHERE stage = 'logged' AND follow_up_on <= $1
          AND NOT EXISTS (SELECT FROM promise AS p
                          WHERE p.household_key = r.household_key AND p.state = 'waiting')
        ORDER BY household_key LIMIT $2 FOR UPDATE OF r SKIP LOCKED
        """,
        today,
        limit,
    )
    return [(request_of(row), row["flagged"], row["year_over"]) for row in rows]


async def missing_logs(
    connection: asyncpg.Connection, *, districts: Sequence[str] | None, as_of: datetime
) -> list[asyncpg.Record]:
    """List visits whose time is over and of which nobody has said anything: request, visit, time, pair."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT * FROM (
            SELECT DISTINCT ON (visit_id) r.request_id, r.district, visit_id, starts_at,
                   starts_at + make_interval(mins => minutes) AS ends_at,
                   ARRAY[first_visitor, second_visitor] AS pair
            FROM visit AS v JOIN appointment USING (visit_id) JOIN request AS r USING (request_id)
            WHERE v.state = 'scheduled' AND ($1::text[] IS NULL OR r.district = ANY ($1))
            ORDER BY visit_id, revision DESC
        ) AS standing
        WHERE ends_at <= $2 ORDER BY ends_at, visit_id
        """,
        None if districts is None else list(districts),
        as_of,
    )
    return rows

"""What a desk's restored tables are told again: requests and visits, visitors, decisions, promises."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from contracts.events import DistrictPolicyDecided, DistrictStatusChanged, VisitorChanged
from services.runtime.columns import columns
from services.scheduling.rules.told import NOBODY, UNKNOWN_SCHOOL, Taken, TakenVisit
from services.scheduling.rules.visits import Request, Stage, VisitState
from services.scheduling.store.changes import REQUEST_COLUMNS, request_of


async def versions(connection: asyncpg.Connection, request_ids: Collection[UUID]) -> dict[UUID, int]:
    """Read at which versions these requests stand; one that is not there has none."""
    rows = await connection.fetch(
        "SELECT request_id, version FROM request WHERE request_id = ANY ($1::uuid[])", list(request_ids)
    )
    return {row["request_id"]: row["version"] for row in rows}


async def visitor_versions(connection: asyncpg.Connection, visitor_ids: Collection[str]) -> dict[str, int]:
    """Read at which versions these visitors stand; one that is not there has none."""
    rows = await connection.fetch(
        "SELECT visitor_id, version FROM visitor WHERE visitor_id = ANY ($1::text[])", list(visitor_ids)
    )
    return {row["visitor_id"]: row["version"] for row in rows}


async def decided(connection: asyncpg.Connection) -> set[tuple[str, str, int]]:
    """Name every decision that is known: kind, district, version."""
    rows = await connection.fetch(
        """
        SELECT 'policy' AS kind, district, version FROM policy
        UNION ALL SELECT 'status', district, version FROM district_status
        """
    )
    return {(row["kind"], row["district"], row["version"]) for row in rows}


async def standing(
    connection: asyncpg.Connection, request_ids: Collection[UUID]
) -> dict[UUID, tuple[Request, UUID | None]]:
    """Read these requests as the tables know them, each with the visit that lies ahead of it."""
    rows = await connection.fetch(
        f"""
        SELECT {REQUEST_COLUMNS}, (SELECT visit_id FROM visit AS v
                                   WHERE v.request_id = r.request_id AND v.state = 'scheduled') AS ahead
        FROM request AS r WHERE request_id = ANY ($1::uuid[])
        """,
        list(request_ids),
    )
    return {row["request_id"]: (request_of(row), row["ahead"]) for row in rows}


async def keep_policies(connection: asyncpg.Connection, told: Iterable[DistrictPolicyDecided]) -> None:
    """Keep decisions as they were told. Who decided was not."""
    await connection.executemany(
        """
        INSERT INTO policy (district, version, effective_from, body, changed_by, changed_at)
        VALUES ($1, $2, $3, $4::jsonb, $5, $6) ON CONFLICT DO NOTHING
        """,
        [
            (
                each.district,
                each.version,
                each.effective_from,
                each.model_dump_json(include={"absence", "desk", "log"}),
                NOBODY,
                each.occurred_at,
            )
            for each in told
        ],
    )


async def keep_statuses(connection: asyncpg.Connection, told: Iterable[DistrictStatusChanged]) -> None:
    """Keep how districts were declared. Who declared it was not told."""
    await connection.executemany(
        """
        INSERT INTO district_status (district, version, status, since, changed_by) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        [(each.district, each.version, each.status.value, each.since, NOBODY) for each in told],
    )


async def keep_visitors(connection: asyncpg.Connection, told: Iterable[VisitorChanged]) -> None:
    """Keep visitors by their newest word. Hours, days away, caps and whom they are not to visit were not told."""
    await connection.executemany(
        """
        INSERT INTO visitor AS kept (visitor_id, district, affiliation, school, languages, leap101_valid_from,
                                     leap101_valid_until, active, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (visitor_id) DO UPDATE
        SET district = EXCLUDED.district, affiliation = EXCLUDED.affiliation,
            school = coalesce(kept.school, EXCLUDED.school), languages = EXCLUDED.languages,
            leap101_valid_from = EXCLUDED.leap101_valid_from, leap101_valid_until = EXCLUDED.leap101_valid_until,
            active = EXCLUDED.active, version = EXCLUDED.version
        WHERE EXCLUDED.version > kept.version
        """,
        [
            (
                each.visitor_id,
                each.district,
                each.affiliation,
                UNKNOWN_SCHOOL if each.affiliation == "school" else None,
                list(each.languages),
                each.leap101_valid_from,
                each.leap101_valid_until,
                each.active,
                each.version,
            )
            for each in told
        ],
    )


async def keep_requests(connection: asyncpg.Connection, requests: Sequence[Request]) -> None:
    """Let requests stand as they were told last. Closed ones first: a household has one that is open."""
    await connection.executemany(
        """
        INSERT INTO request AS r (request_id, household_key, district, school, stage, closed_because, version,
                                  claimed_by, claimed_until, contact_again_on, flags_cleared_at, opened_at, closed_at,
                                  contacted_at, tries_from, aged_from, follow_up_on, respected_until, pinned,
                                  promise_due)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
        ON CONFLICT (request_id) DO UPDATE
        SET stage = EXCLUDED.stage, closed_because = EXCLUDED.closed_because, version = EXCLUDED.version,
            claimed_by = EXCLUDED.claimed_by, claimed_until = EXCLUDED.claimed_until,
            contact_again_on = EXCLUDED.contact_again_on, flags_cleared_at = EXCLUDED.flags_cleared_at,
            closed_at = EXCLUDED.closed_at, contacted_at = EXCLUDED.contacted_at, tries_from = EXCLUDED.tries_from,
            aged_from = EXCLUDED.aged_from, follow_up_on = EXCLUDED.follow_up_on,
            respected_until = EXCLUDED.respected_until, pinned = EXCLUDED.pinned, promise_due = EXCLUDED.promise_due
        WHERE EXCLUDED.version > r.version
        """,
        [
            (
                each.request_id, each.household_key, each.district, each.school, each.stage.value, each.closed_because,
                each.version, each.claimed_by, each.claimed_until, each.contact_again_on, each.flags_cleared_at,
                each.opened_at, each.closed_at, each.contacted_at, each.tries_from, each.aged_from, each.follow_up_on,
                each.respected_until, each.pinned, each.promise_due,
            )
            for each in sorted(requests, key=lambda each: each.stage is not Stage.CLOSED)
        ],
    )  # fmt: skip


async def keep_history(connection: asyncpg.Connection, taken: Iterable[Taken]) -> None:
    """Write what happened to the requests, and which contacts there were, as far as it was told."""
    requests = list(taken)
    happened = [
        (each.request.request_id, version, what.value, since, stage, at)
        for each in requests
        for version, (what, since, stage, at) in each.history.items()
    ]
    await connection.execute(
        """
        INSERT INTO request_history (request_id, version, what, from_stage, to_stage, at, detail)
        SELECT h.*, '{"taken_back": true}'
        FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS h
        ON CONFLICT DO NOTHING
        """,
        *columns(happened, width=6),
    )
    tried = [
        (each.request.request_id, version, attempt.way, answer.value, NOBODY, attempt.occurred_at)
        for each in requests
        for version, (attempt, answer) in each.attempts.items()
        if answer is not None
    ]
    await connection.execute(
        """
        INSERT INTO contact_attempt (request_id, request_version, way, answer, made_by, made_at)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
        ON CONFLICT DO NOTHING
        """,
        *columns(tried, width=6),
    )


async def keep_visits(
    connection: asyncpg.Connection, taken: Iterable[Taken], *, travel_minutes: dict[UUID, int]
) -> None:
    """Let visits stand as they were agreed last, their pairs booked. Travel minutes by visit.

    First every booking that changes is taken away, then the last word of each is booked: what one visit gave up on its
    way another one may have taken.
    """
    visits = [(each.request.request_id, visit_id, visit) for each in taken for visit_id, visit in each.visits.items()]
    visits.sort(key=lambda each: each[2].state is VisitState.SCHEDULED)  # a request has one ahead of it at most
    await connection.execute(
        "DELETE FROM booking WHERE visit_id = ANY ($1::uuid[])",
        [visit_id for _, visit_id, visit in visits if visit.agreed is not None or visit.state is VisitState.CANCELLED],
    )
    for request_id, visit_id, visit in visits:
        await connection.execute(
            """
            INSERT INTO visit (visit_id, request_id, state) VALUES ($1, $2, $3)
            ON CONFLICT (visit_id) DO UPDATE SET state = EXCLUDED.state
            """,
            visit_id,
            request_id,
            visit.state.value,
        )
    # Who was trained when it was agreed was asked then; a training that was shortened since shows on the desk.
    await connection.execute("SELECT set_config('leap.taking_back', 'on', true)")
    for _, visit_id, visit in visits:
        if visit.agreed is not None and visit.state is not VisitState.CANCELLED:
            await _agree(connection, visit_id, visit, travel_minutes=travel_minutes[visit_id])
    await connection.execute("SELECT set_config('leap.taking_back', 'off', true)")


async def _agree(connection: asyncpg.Connection, visit_id: UUID, visit: TakenVisit, *, travel_minutes: int) -> None:
    agreed = visit.agreed
    assert agreed is not None
    await connection.execute(
        """
        INSERT INTO appointment (visit_id, revision, starts_at, minutes, travel_minutes, place, language, interpreter,
                                 follow_up, first_visitor, second_visitor, made_by, made_at)
        SELECT $1, coalesce(max(revision), 0) + $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
        FROM appointment WHERE visit_id = $1
        """,
        visit_id,
        visit.revisions,
        agreed.starts_at,
        agreed.minutes,
        travel_minutes,
        agreed.place.value,
        agreed.language,
        agreed.interpreter,
        agreed.follow_up,
        *agreed.pair,
        NOBODY,
        agreed.occurred_at,
    )


async def waiting_promises(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Read the promises that wait for their day: log_id, kind, due, household_key."""
    rows: list[asyncpg.Record] = await connection.fetch(
        "SELECT log_id, kind, due, household_key FROM promise WHERE state = 'waiting' ORDER BY log_id, kind, due"
    )
    return rows


async def settle_promises(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Say what became of promises. Rows: log_id, kind, due, state."""
    await connection.executemany(
        "UPDATE promise SET state = $4 WHERE log_id = $1 AND kind = $2 AND due = $3 AND state = 'waiting'", rows
    )


async def pin(connection: asyncpg.Connection, requests: Iterable[Request]) -> None:
    """Put requests on top again that a promise had put there."""
    await connection.executemany(
        "UPDATE request SET pinned = true, promise_due = $2 WHERE request_id = $1",
        [(each.request_id, each.promise_due) for each in requests],
    )


async def flagged_without_request(connection: asyncpg.Connection, households: Sequence[UUID]) -> list[asyncpg.Record]:
    """Read the flagged students of those households that have no open request, and how their last one ended.

    Rows: household_key, student_key, district, school_year; closed_because and closed_at, NULL where there was none.
    """
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT s.household_key, s.student_key, s.district, s.school_year, last.closed_because, last.closed_at
        FROM flagged_student AS s LEFT JOIN LATERAL (
            SELECT closed_because, closed_at FROM request AS r WHERE r.household_key = s.household_key
            ORDER BY opened_at DESC, request_id LIMIT 1
        ) AS last ON true
        WHERE s.household_key = ANY ($1::uuid[]) AND s.level <> 'none'
          AND NOT EXISTS (SELECT FROM request AS r WHERE r.household_key = s.household_key AND r.stage <> 'closed')
        ORDER BY s.household_key, s.student_key
        """,
        list(households),
    )
    return rows

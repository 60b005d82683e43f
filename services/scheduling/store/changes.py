"""A request as it stands, and how it changes: every version of it leaves a row of history."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from contracts.identities import microseconds
from services.runtime.columns import columns
from services.scheduling.rules.visits import Request, Stage, What

REQUEST_COLUMNS = """request_id, household_key, district, school, stage, closed_because, version, claimed_by,
    claimed_until, contact_again_on, flags_cleared_at, opened_at, closed_at, points, pinned, promise_due, wish,
    contacted_at, tries_from, aged_from, due_on, waiting_on_family, follow_up_on, respected_until"""

_AS_READ = (
    "request_id", "household_key", "district", "school", "closed_because", "version", "claimed_by", "claimed_until",
    "contact_again_on", "flags_cleared_at", "opened_at", "closed_at", "points", "pinned", "promise_due", "wish",
    "contacted_at", "tries_from", "aged_from", "due_on", "follow_up_on", "respected_until",
)  # fmt: skip

# What a change may set, with its type. Points are priced elsewhere: they change no version.
_CHANGEABLE = {
    "stage": "text",
    "closed_because": "text",
    "closed_at": "timestamptz",
    "claimed_by": "text",
    "claimed_until": "timestamptz",
    "contact_again_on": "date",
    "wish": "text",
    "contacted_at": "timestamptz",
    "tries_from": "timestamptz",
    "aged_from": "date",
    "due_on": "date",
    "waiting_on_family": "datemultirange",
    "follow_up_on": "date",
    "respected_until": "date",
    "pinned": "boolean",
    "promise_due": "date",
    "promise_kind": "text",
    "flags_cleared_at": "timestamptz",
}


def request_of(row: asyncpg.Record) -> Request:
    """Read a row with the REQUEST_COLUMNS."""
    pauses = tuple((each.lower, each.upper) for each in row["waiting_on_family"])
    return Request(stage=Stage(row["stage"]), waiting_on_family=pauses, **{name: row[name] for name in _AS_READ})


async def find_request(connection: asyncpg.Connection, request_id: UUID) -> Request | None:
    """Read one request, without a lock."""
    row = await connection.fetchrow(f"SELECT {REQUEST_COLUMNS} FROM request WHERE request_id = $1", request_id)
    return request_of(row) if row else None


async def lock_request(connection: asyncpg.Connection, request_id: UUID) -> Request | None:
    """Read one request and make other writers of it wait."""
    row = await connection.fetchrow(
        f"SELECT {REQUEST_COLUMNS} FROM request WHERE request_id = $1 FOR UPDATE", request_id
    )
    return request_of(row) if row else None


async def save_change(
    connection: asyncpg.Connection,
    *,
    request_id: UUID,
    what: What,
    actor: str | None,
    as_of: datetime,
    detail: Mapping[str, Any],
    columns: Mapping[str, Any],
) -> Request:
    """Set the columns of a locked request, bring its version on and write the row of its history.

    `before` of that row is how the request stood, for an undo.
    """
    # Only names of the table above reach the statement.
    names = [name for name in _CHANGEABLE if name in columns]
    if len(names) != len(columns):
        raise ValueError(f"not a column of a change: {sorted(set(columns) - set(names))}")
    sets = "".join(f"{name} = ${place}::{_CHANGEABLE[name]}, " for place, name in enumerate(names, start=7))
    row = await connection.fetchrow(
        f"""
        WITH changed AS (
            UPDATE request SET {sets}version = greatest(version + 1, $6) WHERE request_id = $1
            RETURNING new.*, old.stage AS from_stage, to_jsonb(old) - 'priority' AS before
        ), told AS (
            INSERT INTO request_history (request_id, version, what, from_stage, to_stage, actor, at, detail, before)
            SELECT request_id, version, $2, from_stage, stage, $3, $4, $5::jsonb, before FROM changed
        )
        SELECT {REQUEST_COLUMNS} FROM changed
        """,
        request_id,
        what.value,
        actor,
        as_of,
        json.dumps(detail),
        microseconds(as_of),
        *(_stored(name, columns[name]) for name in names),
    )
    assert row is not None, "the request is locked, so it is there"
    return request_of(row)


def _stored(name: str, value: Any) -> Any:
    if name == "waiting_on_family":
        return [asyncpg.Range(begins, ends) for begins, ends in value]
    return value


class HistoryRow(NamedTuple):
    """One change of a request that no person made alone: a batch of flags, logs or dates makes many."""

    request_id: UUID
    version: int
    what: str
    from_stage: str | None
    to_stage: str
    at: datetime
    detail: Mapping[str, Any]


async def append_history(connection: asyncpg.Connection, rows: Sequence[HistoryRow]) -> None:
    """Write the history of changes made by one statement to many requests."""
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO request_history (request_id, version, what, from_stage, to_stage, at, detail)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                             $7::jsonb[])
        """,
        *columns([(*row[:-1], json.dumps(row.detail)) for row in rows], width=7),
    )


async def history(connection: asyncpg.Connection, request_id: UUID) -> list[dict[str, Any]]:
    """Read everything that happened to a request, oldest first: version, what, stages, actor, at, detail."""
    rows = await connection.fetch(
        """
        SELECT version, what, from_stage, to_stage, actor, at, detail FROM request_history
        WHERE request_id = $1 ORDER BY version
        """,
        request_id,
    )
    return [{**dict(row), "detail": json.loads(row["detail"])} for row in rows]


async def last_change(connection: asyncpg.Connection, request: Request) -> dict[str, Any] | None:
    """Read the row of history that made the request's standing version, with how it stood before."""
    row = await connection.fetchrow(
        """
        SELECT what, actor, at, detail, before FROM request_history WHERE request_id = $1 AND version = $2
        """,
        request.request_id,
        request.version,
    )
    if row is None:
        return None
    before = json.loads(row["before"]) if row["before"] else None
    return {**dict(row), "detail": json.loads(row["detail"]), "before": before}


def columns_before(before: Mapping[str, Any]) -> dict[str, Any]:
    """Read from a row of history what an undo sets back."""
    day = {name: before[name] and date.fromisoformat(before[name]) for name in _DAYS}
    moment = {name: before[name] and datetime.fromisoformat(before[name]) for name in _MOMENTS}
    return {name: before[name] for name in _PLAIN} | day | moment


_PLAIN = ("stage", "closed_because", "wish", "claimed_by", "pinned", "promise_kind")
_DAYS = ("contact_again_on", "aged_from", "follow_up_on", "respected_until", "promise_due")
_MOMENTS = ("closed_at", "contacted_at", "tries_from", "claimed_until")

"""Visit log's tables: projections of visits and contacts by batch, logs and amendments one at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg


async def keep_newest_visits(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """This will keep what was agreed last of each visit; older and repeated news changes nothing.

    Rows: visit_id, request_id, household_key, district, cancelled, starts_at, place, language, first visitor,
    second visitor, request_version. A cancelled visit keeps the time and pair it had.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO visit AS kept (visit_id, request_id, household_key, district, cancelled, starts_at, place,
                                   language, pair, request_version)
        SELECT DISTINCT ON (visit_id) visit_id, request_id, household_key, district, cancelled,
               first_value(starts_at) OVER agreed, first_value(place) OVER agreed,
               first_value(language) OVER agreed,
               first_value(CASE WHEN first_visitor IS NOT NULL THEN ARRAY[first_visitor, second_visitor] END)
                   OVER agreed,
               request_version
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::timestamptz[], $7::text[],
                    $8::text[], $9::text[], $10::text[], $11::integer[])
            AS v (visit_id, request_id, household_key, district, cancelled, starts_at, place, language,
                  first_visitor, second_visitor, request_version)
        WINDOW agreed AS (PARTITION BY visit_id ORDER BY cancelled, request_version DESC)
        ORDER BY visit_id, request_version DESC
        ON CONFLICT (visit_id) DO UPDATE
        SET cancelled = EXCLUDED.cancelled,
            starts_at = coalesce(EXCLUDED.starts_at, kept.starts_at),
            place = coalesce(EXCLUDED.place, kept.place),
            language = coalesce(EXCLUDED.language, kept.language),
            pair = coalesce(EXCLUDED.pair, kept.pair),
            request_version = EXCLUDED.request_version
        WHERE EXCLUDED.request_version > kept.request_version
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def keep_newest_contacts(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """This will keep each household's newest contact data.

    Rows: household_key, district, contact_name, phones (JSON list), address, language, interpreter_needed,
    students (JSON list), source_version; one row per household.
    """
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO household_contact AS kept (household_key, district, contact_name, phones, address, language,
                                               interpreter_needed, students, source_version)
        SELECT household_key, district, contact_name, ARRAY (SELECT json_array_elements_text(phones)), address,
               language, interpreter_needed, students, source_version
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::json[], $5::text[], $6::text[], $7::boolean[],
                    $8::jsonb[], $9::bigint[])
            AS c (household_key, district, contact_name, phones, address, language, interpreter_needed, students,
                  source_version)
        ORDER BY household_key
        ON CONFLICT (household_key) DO UPDATE
        SET district = EXCLUDED.district, contact_name = EXCLUDED.contact_name, phones = EXCLUDED.phones,
            address = EXCLUDED.address, language = EXCLUDED.language,
            interpreter_needed = EXCLUDED.interpreter_needed, students = EXCLUDED.students,
            source_version = EXCLUDED.source_version
        WHERE EXCLUDED.source_version > kept.source_version
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def forget_contacts(connection: asyncpg.Connection, households: Sequence[UUID]) -> None:
    """This will delete the contact data of these households."""
    await connection.execute("DELETE FROM household_contact WHERE household_key = ANY ($1::uuid[])", list(households))


async def find_visit(connection: asyncpg.Connection, visit_id: UUID) -> asyncpg.Record | None:
    """This will read the household and district of an agreed visit, cancelled or not."""
    return await connection.fetchrow(
        "SELECT visit_id, household_key, district FROM visit WHERE visit_id = $1", visit_id
    )


async def insert_log(
    connection: asyncpg.Connection,
    *,
    log_id: UUID,
    visit_id: UUID,
    outcome: str,
    started_at: datetime,
    ended_at: datetime | None,
    pair: tuple[str, str],
    body: str,
    actor: str,
    as_of: datetime,
) -> bool:
    """This will write the log; False when one stands under its id, also one that another request writes just now."""
    inserted = await connection.fetchval(
        """
        INSERT INTO visit_log (log_id, visit_id, outcome, started_at, ended_at, pair, body, logged_by, logged_at)
        VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9)
        ON CONFLICT (log_id) DO NOTHING
        RETURNING true
        """,
        log_id,
        visit_id,
        outcome,
        started_at,
        ended_at,
        list(pair),
        body,
        actor,
        as_of,
    )
    return bool(inserted)


async def find_log(connection: asyncpg.Connection, log_id: UUID, *, lock: bool = False) -> asyncpg.Record | None:
    """This will read a log with its visit's household and district; with `lock`, amendments wait for each other."""
    return await connection.fetchrow(
        f"""
        SELECT log_id, visit_id, household_key, district, body, logged_by, logged_at
        FROM visit_log JOIN visit USING (visit_id) WHERE log_id = $1 {"FOR UPDATE OF visit_log" if lock else ""}
        """,
        log_id,
    )


async def append_amendment(
    connection: asyncpg.Connection, *, log_id: UUID, note: str, actor: str, as_of: datetime
) -> int:
    """This will add to a locked log and return the amendment's number, from 1."""
    number: int = await connection.fetchval(
        """
        INSERT INTO amendment (log_id, amendment, note, made_by, made_at)
        SELECT $1, coalesce(max(amendment), 0) + 1, $2, $3, $4 FROM amendment WHERE log_id = $1
        RETURNING amendment
        """,
        log_id,
        note,
        actor,
        as_of,
    )
    return number


async def list_amendments(connection: asyncpg.Connection, log_id: UUID) -> list[asyncpg.Record]:
    """This will read what was added to a log, first to last."""
    rows: list[asyncpg.Record] = await connection.fetch(
        "SELECT amendment, note, made_by, made_at FROM amendment WHERE log_id = $1 ORDER BY amendment", log_id
    )
    return rows


async def count_logs(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """This will count logs by district and outcome."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT district, outcome, count(*) AS logs FROM visit_log JOIN visit USING (visit_id)
        GROUP BY district, outcome ORDER BY district, outcome
        """
    )
    return rows

"""Logs, amendments and referrals, one at a time. The visit's row is the lock: two phones wait for each other."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from contracts.events import Effort
from services.runtime.columns import columns
from services.visitlog.rules.form import Log, Referral, referral_id_of
from services.visitlog.rules.outcomes import Training
from services.visitlog.store.taking_back import NOBODY


async def find_visit(connection: asyncpg.Connection, visit_id: UUID, *, lock: bool = False) -> asyncpg.Record | None:
    """Read an agreed visit, cancelled or not; with `lock`, logs of the same visit wait for each other."""
    return await connection.fetchrow(
        f"""
        SELECT visit_id, household_key, district, cancelled, starts_at, place, language, minutes, interpreter,
               follow_up, coalesce(pair, ARRAY[]::text[]) AS pair
        FROM visit WHERE visit_id = $1 {"FOR UPDATE" if lock else ""}
        """,
        visit_id,
    )


async def logs_of_visit(connection: asyncpg.Connection, visit_id: UUID) -> list[asyncpg.Record]:
    """Read the logs of one visit, first to last."""
    return await connection.fetch(
        """
        SELECT log_id, outcome, started_at, logged_by, logged_at FROM visit_log
        WHERE visit_id = $1 ORDER BY started_at, log_id
        """,
        visit_id,
    )


async def find_trainings(connection: asyncpg.Connection, visitor_ids: Sequence[str]) -> list[Training]:
    """Read where these visitors belong and when their training holds."""
    rows = await connection.fetch(
        "SELECT visitor_id, district, valid_from, valid_until, active FROM visitor WHERE visitor_id = ANY ($1::text[])",
        list(visitor_ids),
    )
    return [Training(**dict(row)) for row in rows]


async def list_visitors(connection: asyncpg.Connection, district: str) -> list[str]:
    """Name the district's active visitors: whoever may step in."""
    rows = await connection.fetch(
        "SELECT visitor_id FROM visitor WHERE district = $1 AND active ORDER BY visitor_id", district
    )
    return [row["visitor_id"] for row in rows]


async def insert_log(
    connection: asyncpg.Connection,
    *,
    log_id: UUID,
    log: Log,
    efforts: Sequence[Effort],
    actor: str,
    as_of: datetime,
) -> bool:
    """Write the log and its efforts; False when one stands under its id, also one being written just now."""
    inserted = await connection.fetchval(
        """
        INSERT INTO visit_log (log_id, visit_id, outcome, started_at, ended_at, pair, body, written_at, logged_by,
                               logged_at)
        VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8, $9, $10)
        ON CONFLICT (log_id) DO NOTHING
        RETURNING true
        """,
        log_id,
        log.visit_id,
        log.outcome.value,
        log.started_at,
        log.ended_at,
        log.pair,
        log.in_one_spelling(),
        min(log.written_at or as_of, as_of),
        actor,
        as_of,
    )
    if not inserted:
        return False
    await connection.execute(
        """
        INSERT INTO effort (log_id, visitor_id, minutes, travel_minutes, mileage_tenths)
        SELECT $1, visitor_id, minutes, travel_minutes, mileage_tenths
        FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[])
            AS e (visitor_id, minutes, travel_minutes, mileage_tenths)
        """,
        log_id,
        *columns(efforts, "visitor_id", "minutes", "travel_minutes", "mileage_tenths"),
    )
    return True


async def complete_log(connection: asyncpg.Connection, *, log_id: UUID, log: Log, actor: str) -> bool:
    """Write the whole of a log over what was taken back of it; False where somebody was faster."""
    completed = await connection.fetchval(
        "UPDATE visit_log SET body = $2, logged_by = $3 WHERE log_id = $1 AND logged_by = $4 RETURNING true",
        log_id,
        log.in_one_spelling(),
        actor,
        NOBODY,
    )
    return bool(completed)


async def insert_referrals(
    connection: asyncpg.Connection, *, log_id: UUID, referrals: Sequence[Referral], actor: str, as_of: datetime
) -> None:
    """Write a new log's referrals, each with its first step."""
    if not referrals:
        return
    referral_ids = [referral_id_of(log_id, position) for position in range(len(referrals))]
    await connection.execute(
        """
        INSERT INTO referral (referral_id, log_id, resource)
        SELECT referral_id, $1, resource FROM unnest($2::uuid[], $3::text[]) AS r (referral_id, resource)
        """,
        log_id,
        referral_ids,
        [referral.resource for referral in referrals],
    )
    await connection.execute(
        """
        INSERT INTO referral_step (referral_id, step, status, made_by, made_at)
        SELECT referral_id, 1, status, $3, $4 FROM unnest($1::uuid[], $2::text[]) AS r (referral_id, status)
        """,
        referral_ids,
        [referral.status.value for referral in referrals],
        actor,
        as_of,
    )


async def find_log(connection: asyncpg.Connection, log_id: UUID, *, lock: bool = False) -> asyncpg.Record | None:
    """Read a log with its visit's household and district; with `lock`, amendments wait for each other."""
    return await connection.fetchrow(
        f"""
        SELECT log_id, visit_id, household_key, district, outcome, started_at, ended_at, body, logged_by, logged_at,
               coalesce(visit.pair, ARRAY[]::text[]) AS agreed_pair, visit_log.pair AS pair
        FROM visit_log JOIN visit USING (visit_id) WHERE log_id = $1 {"FOR UPDATE OF visit_log" if lock else ""}
        """,
        log_id,
    )


async def append_amendment(
    connection: asyncpg.Connection, *, log_id: UUID, amendment_id: UUID | None, note: str, actor: str, as_of: datetime
) -> tuple[int, bool]:
    """Add to a locked log and return the amendment's number, from 1, and whether it is new."""
    known = await connection.fetchval(
        "SELECT amendment FROM amendment WHERE log_id = $1 AND amendment_id = $2", log_id, amendment_id
    )
    if known is not None:
        return known, False
    number: int = await connection.fetchval(
        """
        INSERT INTO amendment (log_id, amendment, amendment_id, note, made_by, made_at)
        SELECT $1, coalesce(max(amendment), 0) + 1, $2, $3, $4, $5 FROM amendment WHERE log_id = $1
        RETURNING amendment
        """,
        log_id,
        amendment_id,
        note,
        actor,
        as_of,
    )
    return number, True


async def list_amendments(connection: asyncpg.Connection, log_id: UUID) -> list[asyncpg.Record]:
    """Read what was added to a log, first to last."""
    return await connection.fetch(
        "SELECT amendment, note, made_by, made_at FROM amendment WHERE log_id = $1 ORDER BY amendment", log_id
    )


async def list_referrals(connection: asyncpg.Connection, log_id: UUID) -> list[asyncpg.Record]:
    """Read a log's referrals as they stand, and since when."""
    return await connection.fetch(
        """
        SELECT DISTINCT ON (resource, referral_id) referral_id, resource, status, made_by, made_at
        FROM referral JOIN referral_step USING (referral_id)
        WHERE log_id = $1 ORDER BY resource, referral_id, step DESC
        """,
        log_id,
    )


async def find_referral(connection: asyncpg.Connection, *, log_id: UUID, referral_id: UUID) -> asyncpg.Record | None:
    """Read one referral of a log that the caller has locked, with its last step."""
    return await connection.fetchrow(
        """
        SELECT referral_id, resource, status, step FROM referral JOIN referral_step USING (referral_id)
        WHERE log_id = $1 AND referral_id = $2 ORDER BY step DESC LIMIT 1
        """,
        log_id,
        referral_id,
    )


async def append_referral_step(
    connection: asyncpg.Connection, *, referral_id: UUID, step: int, status: str, actor: str, as_of: datetime
) -> None:
    """Add the next step of a referral."""
    await connection.execute(
        "INSERT INTO referral_step (referral_id, step, status, made_by, made_at) VALUES ($1, $2, $3, $4, $5)",
        referral_id,
        step,
        status,
        actor,
        as_of,
    )


async def last_log_of_household(
    connection: asyncpg.Connection, *, household_key: UUID, before: datetime
) -> asyncpg.Record | None:
    """Read the household's last visit that took place: what was agreed then is taken up again."""
    return await connection.fetchrow(
        """
        SELECT log_id, started_at, body FROM visit_log JOIN visit USING (visit_id)
        WHERE household_key = $1 AND outcome = 'took_place' AND started_at < $2
        ORDER BY started_at DESC LIMIT 1
        """,
        household_key,
        before,
    )

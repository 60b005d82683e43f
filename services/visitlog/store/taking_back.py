"""What restored tables are asked, and told again, of logs."""

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from contracts.events import ReferralMade

NOBODY = "taken-back"
"""Stands where the person's code was: it was not told. Nobody signs in by it."""


async def known_logs(connection: asyncpg.Connection, log_ids: Collection[UUID]) -> set[UUID]:
    """Name those of the logs that are there."""
    rows = await connection.fetch("SELECT log_id FROM visit_log WHERE log_id = ANY ($1::uuid[])", list(log_ids))
    return {UUID(bytes=row["log_id"].bytes) for row in rows}


async def known_steps(connection: asyncpg.Connection, log_ids: Collection[UUID]) -> set[tuple[UUID | None, str]]:
    """Name the steps that these logs' referrals have made: referral and status."""
    rows = await connection.fetch(
        """
        SELECT referral_id, status FROM referral JOIN referral_step USING (referral_id)
        WHERE log_id = ANY ($1::uuid[])
        """,
        list(log_ids),
    )
    return {(UUID(bytes=row["referral_id"].bytes), row["status"]) for row in rows}


async def add_steps(connection: asyncpg.Connection, told: Sequence[ReferralMade]) -> None:
    """Add steps of referrals, oldest first; one that is there, or of a referral that is not, adds nothing."""
    for each in told:
        await connection.execute(
            """
            INSERT INTO referral_step (referral_id, step, status, made_by, made_at)
            SELECT referral_id, (SELECT coalesce(max(step), 0) + 1 FROM referral_step WHERE referral_id = $1),
                   $2, $3, $4
            FROM referral
            WHERE referral_id = $1
              AND NOT EXISTS (SELECT FROM referral_step WHERE referral_id = $1 AND status = $2)
            """,
            each.referral_id,
            each.status,
            NOBODY,
            each.occurred_at,
        )

"""All that the visit log holds of one household, for a family that asks."""

import json
from typing import Any
from uuid import UUID

import asyncpg


async def district_of(connection: asyncpg.Connection, household_key: UUID) -> str | None:
    """Say whose district the household is; None where nothing is known of it."""
    district: str | None = await connection.fetchval(
        """
        SELECT district FROM household_contact WHERE household_key = $1
        UNION ALL SELECT district FROM visit WHERE household_key = $1 LIMIT 1
        """,
        household_key,
    )
    return district


async def read_held(connection: asyncpg.Connection, household_key: UUID) -> dict[str, Any]:
    """Read contact, and each log with what was added to it and its referrals, oldest first."""
    contact = await connection.fetchrow(
        """
        SELECT contact_name, phones, address, language, interpreter_needed, students FROM household_contact
        WHERE household_key = $1
        """,
        household_key,
    )
    logs = await connection.fetch(
        """
        SELECT log_id, visit_id, outcome, visit_log.started_at, ended_at, visit_log.pair, logged_by, logged_at, body,
               (SELECT coalesce(json_agg(json_build_object('note', note, 'made_by', made_by, 'made_at', made_at)
                                         ORDER BY amendment), '[]')
                FROM amendment WHERE amendment.log_id = visit_log.log_id) AS amendments,
               (SELECT coalesce(json_agg(json_build_object('resource', resource, 'status', status, 'made_at', made_at)
                                         ORDER BY resource), '[]')
                FROM (SELECT DISTINCT ON (referral_id) resource, status, made_at
                      FROM referral JOIN referral_step USING (referral_id)
                      WHERE referral.log_id = visit_log.log_id ORDER BY referral_id, step DESC) AS newest) AS referrals
        FROM visit_log JOIN visit USING (visit_id) WHERE household_key = $1 ORDER BY visit_log.started_at, log_id
        """,
        household_key,
    )
    return {
        "contact": {**dict(contact), "students": json.loads(contact["students"])} if contact else None,
        "logs": [
            {**dict(row), **{name: json.loads(row[name]) for name in ("body", "amendments", "referrals")}}
            for row in logs
        ],
    }

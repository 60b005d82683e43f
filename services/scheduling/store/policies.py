"""The districts' policies: every version stays, the newest stands."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from services.scheduling.rules.policy import DEFAULT, Policy, Weights


async def of_districts(connection: asyncpg.Connection, districts: Sequence[str]) -> dict[str, Policy]:
    """Read the standing policies of these districts; the default for one that has decided nothing."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district, version, body FROM policy
        WHERE district = ANY ($1::text[]) ORDER BY district, version DESC
        """,
        list(districts),
    )
    known = {row["district"]: policy_of(row["version"], json.loads(row["body"])) for row in rows}
    return {district: known.get(district, DEFAULT) for district in districts}


async def current(connection: asyncpg.Connection, district: str) -> Policy:
    """Read one district's standing policy."""
    return (await of_districts(connection, [district]))[district]


async def save(
    connection: asyncpg.Connection, *, district: str, policy: Policy, changed_by: str, changed_at: datetime
) -> bool:
    """Add the policy's version, and say False when that number is taken: somebody was faster."""
    saved = await connection.fetchval(
        """
        INSERT INTO policy (district, version, body, changed_by, changed_at) VALUES ($1, $2, $3::jsonb, $4, $5)
        ON CONFLICT DO NOTHING RETURNING version
        """,
        district,
        policy.version,
        policy.model_dump_json(exclude={"version"}),
        changed_by,
        changed_at,
    )
    return saved is not None


def policy_of(version: int, body: dict[str, Any]) -> Policy:
    """Read a stored policy; what it does not say is the default's, what nobody knows any more is left out."""
    # As it was decided: a bound that was drawn since does not undo a decision.
    weights = Weights.model_construct(**body.get("weights", {}))
    return Policy.model_construct(**body | {"version": version, "weights": weights})

"""The districts' policies: every version stays; in force is the newest whose day has come."""

import json
from collections.abc import Sequence
from datetime import date, datetime

import asyncpg

from contracts.events import AbsencePolicy, DeskPolicy, DistrictPolicy, LogPolicy, RetentionPolicy, Weights
from services.runtime.database import Connection
from services.scheduling.rules.policy import STANDARD, Policy, desk_part


async def in_force(connection: Connection, districts: Sequence[str], *, day: date) -> dict[str, DistrictPolicy]:
    """Read the policies in force on a day; the standard one for a district whose first decision is still to come."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district, version, effective_from, body FROM policy
        WHERE district = ANY ($1::text[]) AND effective_from <= $2 ORDER BY district, version DESC
        """,
        list(districts),
        day,
    )
    known = {row["district"]: _policy_of(row) for row in rows}
    return {district: known.get(district, STANDARD) for district in districts}


async def of_districts(connection: asyncpg.Connection, districts: Sequence[str], *, day: date) -> dict[str, Policy]:
    """Read the desk's part of the policies in force on a day."""
    policy_by_district = await in_force(connection, districts, day=day)
    return {district: desk_part(policy) for district, policy in policy_by_district.items()}


async def current(connection: asyncpg.Connection, district: str, *, day: date) -> Policy:
    """Read the desk's part of one district's policy in force on a day."""
    return (await of_districts(connection, [district], day=day))[district]


async def decided_last(connection: asyncpg.Connection, district: str) -> DistrictPolicy:
    """Read a district's newest decision, whether its day has come or not."""
    row = await connection.fetchrow(
        """
        SELECT district, version, effective_from, body FROM policy WHERE district = $1 ORDER BY version DESC LIMIT 1
        """,
        district,
    )
    return STANDARD if row is None else _policy_of(row)


async def save(
    connection: asyncpg.Connection, *, district: str, policy: DistrictPolicy, changed_by: str, changed_at: datetime
) -> bool:
    """Add the policy's version, and say False when that number is taken: somebody was faster."""
    saved = await connection.fetchval(
        """
        INSERT INTO policy (district, version, effective_from, body, changed_by, changed_at)
        VALUES ($1, $2, $3, $4::jsonb, $5, $6) ON CONFLICT DO NOTHING RETURNING version
        """,
        district,
        policy.version,
        policy.effective_from,
        policy.model_dump_json(exclude={"version", "effective_from"}),
        changed_by,
        changed_at,
    )
    return saved is not None


def _policy_of(row: asyncpg.Record) -> DistrictPolicy:
    # As it was decided: a bound that was drawn since does not undo a decision. What it does not say is the default's.
    body = json.loads(row["body"])
    desk = body.get("desk", {})
    return DistrictPolicy.model_construct(
        version=row["version"],
        effective_from=row["effective_from"],
        absence=AbsencePolicy.model_validate(body.get("absence", {})),
        desk=DeskPolicy.model_construct(**desk | {"weights": Weights.model_construct(**desk.get("weights", {}))}),
        log=LogPolicy.model_validate(body.get("log", {})),
        retention=RetentionPolicy.model_validate(body.get("retention", {})),
    )

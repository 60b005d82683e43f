"""What a request's points and dates are made of, and where they are kept. No change here counts a version up."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from services.runtime.columns import columns
from services.scheduling.rules.ageing import Pause
from services.scheduling.rules.priority import Child

ROUND = 1000
"""Requests changed by one statement: a claim waits for no more than that."""


async def unpriced(connection: asyncpg.Connection, *, rule_version: int, day: date) -> list[UUID]:
    """Find open requests priced by an another rule or policy than is in force on the day, a round of them."""
    rows = await connection.fetch(
        """
        SELECT request_id FROM request
        LEFT JOIN (SELECT district, max(version) AS version FROM policy WHERE effective_from <= $3
                   GROUP BY district) AS p USING (district)
        WHERE stage <> 'closed' AND (rule_version <> $1 OR policy_version <> coalesce(p.version, 0))
        ORDER BY request_id LIMIT $2
        """,
        rule_version,
        ROUND,
        day,
    )
    return [row["request_id"] for row in rows]


# What a request is priced by, but for its children.
INPUTS = """request_id, household_key, district, stage, aged_from, contacted_at IS NOT NULL AS contacted,
    waiting_on_family, pinned, promise_due, promise_kind"""


async def lock_inputs(connection: asyncpg.Connection, request_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Lock these requests, in the order of their households, and read their INPUTS."""
    rows: list[asyncpg.Record] = await connection.fetch(
        f"SELECT {INPUTS} FROM request WHERE request_id = ANY ($1::uuid[]) ORDER BY household_key FOR UPDATE",
        list(request_ids),
    )
    return rows


async def flagged_children(connection: asyncpg.Connection, households: Sequence[UUID]) -> dict[UUID, list[Child]]:
    """Read the flagged children of these households, each family's in the order of their keys."""
    rows = await connection.fetch(
        """
        SELECT household_key, student_key, grade, level, days_absent, days_enrolled, as_of, absent_days,
               last_20_absent, last_20_counted, before_20_absent, before_20_counted, spell, chronic_last_year,
               new_to_district
        FROM flagged_student WHERE household_key = ANY ($1::uuid[]) AND level <> 'none' ORDER BY student_key
        """,
        list(households),
    )
    children: dict[UUID, list[Child]] = {}
    for household_key, *of_child in rows:
        children.setdefault(household_key, []).append(Child(**dict(zip(_CHILD, of_child, strict=True))))
    return children


_CHILD = (
    "student_key", "grade", "level", "days_absent", "days_enrolled", "as_of", "absent_days", "last_20_absent",
    "last_20_counted", "before_20_absent", "before_20_counted", "spell", "chronic_last_year", "new_to_district",
)  # fmt: skip


class Price(NamedTuple):
    """The points of one request with what they were made of."""

    request_id: UUID
    base_points: int
    waiting_points: int
    days_beyond: int
    due_on: date | None
    priority: dict[str, Any]
    rule_version: int
    policy_version: int


async def save_prices(connection: asyncpg.Connection, prices: Sequence[Price]) -> None:
    """Keep the points of these requests."""
    if not prices:
        return
    rows = [(*price[:5], msgspec.json.encode(price.priority).decode(), *price[6:]) for price in prices]
    await connection.execute(
        """
        UPDATE request AS r
        SET base_points = p.base_points, waiting_points = p.waiting_points, days_beyond = p.days_beyond,
            due_on = p.due_on, priority = p.priority, rule_version = p.rule_version,
            policy_version = p.policy_version
        FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::date[], $6::jsonb[], $7::integer[],
                    $8::integer[])
            AS p (request_id, base_points, waiting_points, days_beyond, due_on, priority, rule_version,
                  policy_version)
        WHERE r.request_id = p.request_id
        """,
        *columns(rows, width=8),
    )


class Wait(NamedTuple):
    """Requests of one district that have waited alike: one answer for all of them."""

    district: str
    aged_from: date
    contacted: bool
    pauses: tuple[Pause, ...]


async def waits(connection: asyncpg.Connection) -> list[Wait]:
    """List in how many ways the requests in the queue have waited: far fewer than there are requests."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT district, aged_from, contacted_at IS NOT NULL AS contacted, waiting_on_family FROM request
        WHERE stage IN ('new', 'claimed', 'contacting')
        """
    )
    return [
        Wait(row["district"], row["aged_from"], row["contacted"], pauses_of(row["waiting_on_family"])) for row in rows
    ]


async def save_waits(connection: asyncpg.Connection, judged: Sequence[tuple[Wait, date | None, int, int]]) -> int:
    """Keep due day, days beyond it and points of what waited so, and return how many requests changed.

    Rows: wait, due_on, days_beyond, waiting_points. A round at most, and none that somebody changes at this moment.
    """
    if not judged:
        return 0
    rows = [(*wait[:3], _multirange(wait.pauses), *judgement) for wait, *judgement in judged]
    changed: int = await connection.fetchval(
        """
        WITH judged AS (
            SELECT * FROM unnest($1::text[], $2::date[], $3::boolean[], $4::text[], $5::date[], $6::integer[],
                                 $7::integer[])
                AS j (district, aged_from, contacted, pauses, due_on, days_beyond, waiting_points)
        ), late AS (
            SELECT r.request_id, j.due_on, j.days_beyond, j.waiting_points
            FROM request AS r JOIN judged AS j
              ON j.district = r.district AND j.aged_from = r.aged_from
                 AND j.contacted = (r.contacted_at IS NOT NULL) AND j.pauses::datemultirange = r.waiting_on_family
            WHERE r.stage IN ('new', 'claimed', 'contacting')
              AND (r.due_on, r.days_beyond, r.waiting_points)
                  IS DISTINCT FROM (j.due_on, j.days_beyond, j.waiting_points)
            LIMIT $8 FOR UPDATE OF r SKIP LOCKED
        ), changed AS (
            UPDATE request AS r
            SET due_on = late.due_on, days_beyond = late.days_beyond, waiting_points = late.waiting_points
            FROM late WHERE r.request_id = late.request_id
            RETURNING 1
        )
        SELECT count(*) FROM changed
        """,
        *columns(rows, width=7),
        ROUND,
    )
    return changed


def pauses_of(multirange: Sequence[Any]) -> tuple[Pause, ...]:
    """Read the spans of days on which the family was waited for."""
    return tuple((each.lower, each.upper) for each in multirange)


def _multirange(pauses: Sequence[Pause]) -> str:
    return "{" + ",".join(f"[{begins},{ends})" for begins, ends in pauses) + "}"

"""What the coordinator works with: policies, rates, payroll, and what the quiet checks read."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg

from contracts.calendar import LOG_DUE_BUSINESS_DAYS
from services.visitlog.rules.pay import Rate
from services.visitlog.rules.policy import LogPolicy


class Standing(NamedTuple):
    """The log's part of the policy in force. Not `at_desk`: set here, before the desk decided."""

    version: int
    at_desk: bool
    policy: LogPolicy


async def list_policies(connection: asyncpg.Connection, district: str, *, day: date) -> list[LogPolicy]:
    """Read every version that was ever in force by the day, the one in force first; the default one if none."""
    rows = await connection.fetch(
        """
        SELECT policy FROM log_policy WHERE district = $1 AND (NOT at_desk OR effective_from <= $2)
        ORDER BY at_desk DESC, version DESC
        """,
        district,
        day,
    )
    return [LogPolicy.model_validate_json(row["policy"]) for row in rows] or [LogPolicy()]


async def standing_policy(connection: asyncpg.Connection, district: str, *, day: date) -> Standing:
    """Read the policy in force on the day; version 0 means the default stands."""
    row = await connection.fetchrow(
        """
        SELECT version, at_desk, policy FROM log_policy
        WHERE district = $1 AND (NOT at_desk OR effective_from <= $2) ORDER BY at_desk DESC, version DESC LIMIT 1
        """,
        district,
        day,
    )
    if row is None:
        return Standing(0, False, LogPolicy())
    return Standing(row["version"], row["at_desk"], LogPolicy.model_validate_json(row["policy"]))


async def log_due_days_by_district(
    connection: asyncpg.Connection, districts: Sequence[str] | None, *, day: date
) -> dict[str, int]:
    """Read, of districts with a policy in force on the day, within how many business days a visit is to be logged."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district,
               coalesce((policy ->> 'log_due_business_days')::integer, $3) AS business_days
        FROM log_policy
        WHERE ($1::text[] IS NULL OR district = ANY ($1)) AND (NOT at_desk OR effective_from <= $2)
        ORDER BY district, at_desk DESC, version DESC
        """,
        None if districts is None else list(districts),
        day,
        LOG_DUE_BUSINESS_DAYS,
    )
    return {row["district"]: row["business_days"] for row in rows}


async def list_rates(connection: asyncpg.Connection, districts: Sequence[str] | None) -> list[Rate]:
    """Read every rate that was ever set, by day and revision."""
    rows = await connection.fetch(
        """
        SELECT district, effective_from, revision, hourly_cents, travel_hourly_cents, mile_tenth_cents, show_up_cents
        FROM pay_rate WHERE $1::text[] IS NULL OR district = ANY ($1) ORDER BY district, effective_from, revision
        """,
        None if districts is None else list(districts),
    )
    return [Rate(**dict(row)) for row in rows]


async def append_rate(connection: asyncpg.Connection, *, rate: Rate, actor: str, as_of: datetime) -> bool:
    """Add a rate; False when somebody else has just added that revision."""
    added = await connection.fetchval(
        """
        INSERT INTO pay_rate (district, effective_from, revision, hourly_cents, travel_hourly_cents, mile_tenth_cents,
                              show_up_cents, set_by, set_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        rate.district,
        rate.effective_from,
        rate.revision,
        rate.hourly_cents,
        rate.travel_hourly_cents,
        rate.mile_tenth_cents,
        rate.show_up_cents,
        actor,
        as_of,
    )
    return bool(added)


async def list_efforts(
    connection: asyncpg.Connection, *, districts: Sequence[str] | None, starts_from: datetime, starts_before: datetime
) -> list[asyncpg.Record]:
    """List what each logged visit took of each visitor, by visitor and start."""
    return await connection.fetch(
        """
        SELECT district, household_key, visitor_id, visit_id, log_id, outcome, started_at, effort.minutes,
               travel_minutes, mileage_tenths
        FROM effort JOIN visit_log USING (log_id) JOIN visit USING (visit_id)
        WHERE ($1::text[] IS NULL OR district = ANY ($1)) AND started_at >= $2 AND started_at < $3
        ORDER BY district, visitor_id, started_at, log_id
        """,
        None if districts is None else list(districts),
        starts_from,
        starts_before,
    )


async def logs_to_check(
    connection: asyncpg.Connection,
    *,
    districts: Sequence[str] | None,
    starts_from: datetime,
    starts_before: datetime,
    school_years: Mapping[date, int],
    zone: ZoneInfo,
) -> list[dict[str, Any]]:
    """Read what the quiet checks need of each log.

    `is_school_day` asks the calendars of the household's schools, or of the district where the schools are unknown;
    null where no calendar of that year is. `school_years` names the year of each local day in between.
    """
    rows = await connection.fetch(
        """
        SELECT log_id, household_key, visit.district, outcome, started_at, ended_at, written_at, logged_by, body,
               (SELECT json_object_agg(visitor_id, json_build_array(travel_minutes, mileage_tenths))
                FROM effort WHERE effort.log_id = visit_log.log_id) AS travel,
               (SELECT bool_or(day = ANY (school_days)) FROM school_calendar
                WHERE school_calendar.district = visit.district
                  AND school_calendar.school_year = local.school_year
                  AND (request.schools IS NULL OR school = ANY (request.schools))) AS is_school_day
        FROM visit_log JOIN visit USING (visit_id) LEFT JOIN request USING (request_id)
        JOIN unnest($5::date[], $6::integer[]) AS local (day, school_year)
            ON local.day = (started_at AT TIME ZONE $4)::date
        WHERE ($1::text[] IS NULL OR visit.district = ANY ($1)) AND started_at >= $2 AND started_at < $3
        ORDER BY started_at, log_id
        """,
        None if districts is None else list(districts),
        starts_from,
        starts_before,
        zone.key,
        list(school_years),
        list(school_years.values()),
    )
    return [{**dict(row), "travel": json.loads(row["travel"] or "{}")} for row in rows]


async def list_private_notes(
    connection: asyncpg.Connection, *, districts: Sequence[str] | None, since: datetime, limit: int
) -> list[asyncpg.Record]:
    """List the notes that visitors wrote to the coordinator, the latest first."""
    return await connection.fetch(
        """
        SELECT log_id, visit_id, household_key, district, started_at, logged_by,
               body::jsonb ->> 'private_note' AS private_note
        FROM visit_log JOIN visit USING (visit_id)
        WHERE ($1::text[] IS NULL OR district = ANY ($1)) AND logged_at >= $2
          AND body::jsonb ->> 'private_note' IS NOT NULL
        ORDER BY logged_at DESC, log_id LIMIT $3
        """,
        None if districts is None else list(districts),
        since,
        limit,
    )


async def count_logs(connection: asyncpg.Connection, districts: Sequence[str] | None) -> list[asyncpg.Record]:
    """Count logs by district and outcome."""
    return await connection.fetch(
        """
        SELECT district, outcome, count(*) AS logs FROM visit_log JOIN visit USING (visit_id)
        WHERE $1::text[] IS NULL OR district = ANY ($1)
        GROUP BY district, outcome ORDER BY district, outcome
        """,
        None if districts is None else list(districts),
    )

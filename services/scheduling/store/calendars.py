"""The districts' school days, from the newest calendar of each school."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import asyncpg

from contracts.calendar import SchoolDays
from services.runtime.columns import columns


async def keep_newest(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep each school's newest calendar, and the days on which any school of its district teaches.

    Rows: district, school, school_year, source_version, school days as text "{2026-09-01,...}". Every partition
    brings every calendar, so most of these rows are known already.
    """
    if not rows:
        return
    changed = await connection.fetch(
        """
        WITH kept AS (
            INSERT INTO school_calendar AS kept (district, school, school_year, source_version, school_days)
            SELECT DISTINCT ON (district, school, school_year) district, school, school_year, source_version,
                   school_days::date[]
            FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[])
                AS c (district, school, school_year, source_version, school_days)
            ORDER BY district, school, school_year, source_version DESC
            ON CONFLICT (district, school, school_year) DO UPDATE
            SET source_version = EXCLUDED.source_version, school_days = EXCLUDED.school_days
            WHERE EXCLUDED.source_version > kept.source_version
            RETURNING district, school_year
        )
        SELECT DISTINCT district, school_year FROM kept ORDER BY district, school_year
        """,
        *columns(rows, width=5),
    )
    if not changed:
        return
    # One writer at a time: two partitions' batches with two schools' calendars must both end up in the days.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.teaching_day', 0))")
    districts, years = [row["district"] for row in changed], [row["school_year"] for row in changed]
    await connection.execute(
        """
        DELETE FROM teaching_day USING unnest($1::text[], $2::integer[]) AS c (district, school_year)
        WHERE teaching_day.district = c.district AND teaching_day.school_year = c.school_year
        """,
        districts,
        years,
    )
    await connection.execute(
        """
        INSERT INTO teaching_day (district, school_year, day)
        SELECT DISTINCT district, school_year, day
        FROM unnest($1::text[], $2::integer[]) AS c (district, school_year)
        JOIN school_calendar USING (district, school_year), unnest(school_days) AS day
        """,
        districts,
        years,
    )


async def of_districts(connection: asyncpg.Connection, districts: Sequence[str]) -> dict[str, SchoolDays]:
    """Read the calendars of these districts; one that sent none gets Monday to Friday."""
    rows = await connection.fetch(
        """
        SELECT district, array_agg(DISTINCT school_year) AS years, array_agg(day) AS days FROM teaching_day
        WHERE district = ANY ($1::text[]) GROUP BY district
        """,
        list(districts),
    )
    known = {
        row["district"]: SchoolDays(days=frozenset[date](row["days"]), years=frozenset[int](row["years"]))
        for row in rows
    }
    return {district: known.get(district, SchoolDays()) for district in districts}


async def of_district(connection: asyncpg.Connection, district: str) -> SchoolDays:
    """Read one district's calendar."""
    return (await of_districts(connection, [district]))[district]

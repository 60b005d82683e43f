"""Which school year has begun where, and what ends with the one before it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from contracts.identities import microseconds
from services.scheduling.store.batches import UNTOUCHED


async def begun(connection: asyncpg.Connection, districts: Iterable[str]) -> dict[str, int]:
    """Read the newest school year of which these districts have a complete roll, as far as one is known."""
    rows = await connection.fetch(
        "SELECT district, school_year FROM school_year_begun WHERE district = ANY ($1::text[])", list(districts)
    )
    return {row["district"]: row["school_year"] for row in rows}


async def begin(connection: asyncpg.Connection, year_by_district: Mapping[str, int]) -> list[UUID]:
    """Keep that a school year has begun, end the flags of former ones, and name the households that had any.

    The open requests of those households are locked first, in their order.
    """
    districts = sorted(year_by_district)
    years = [year_by_district[district] for district in districts]
    await connection.execute(
        """
        INSERT INTO school_year_begun AS known (district, school_year)
        SELECT * FROM unnest($1::text[], $2::integer[])
        ON CONFLICT (district) DO UPDATE SET school_year = EXCLUDED.school_year
        WHERE EXCLUDED.school_year > known.school_year
        """,
        districts,
        years,
    )
    await connection.execute(
        """
        SELECT FROM request
        WHERE stage <> 'closed' AND household_key IN (
            SELECT s.household_key FROM flagged_student AS s
            JOIN unnest($1::text[], $2::integer[]) AS y (district, school_year) USING (district)
            WHERE s.school_year < y.school_year AND s.level <> 'none')
        ORDER BY household_key FOR UPDATE
        """,
        districts,
        years,
    )
    rows = await connection.fetch(
        """
        UPDATE flagged_student AS s SET over_level = level, level = 'none'
        FROM unnest($1::text[], $2::integer[]) AS y (district, school_year)
        WHERE s.district = y.district AND s.school_year < y.school_year AND s.level <> 'none'
        RETURNING s.household_key
        """,
        districts,
        years,
    )
    return sorted({row["household_key"] for row in rows})


async def close_untouched(
    connection: asyncpg.Connection, households: Sequence[UUID], *, as_of: datetime
) -> list[asyncpg.Record]:
    """Close the untouched requests of these households in which no flag stands, and return them."""
    rows: list[asyncpg.Record] = await connection.fetch(
        f"""
        UPDATE request AS r
        SET stage = 'closed', closed_because = 'year_over', closed_at = $2::timestamptz, claimed_by = NULL,
            claimed_until = NULL, version = greatest(version + 1, $3)
        WHERE household_key = ANY ($1::uuid[]) AND stage <> 'closed' AND {UNTOUCHED}
          AND NOT EXISTS (SELECT FROM flagged_student AS s
                          WHERE s.household_key = r.household_key AND s.level <> 'none')
        RETURNING new.request_id, new.household_key, new.district, new.version, new.stage, old.stage AS from_stage
        """,
        list(households),
        as_of,
        microseconds(as_of),
    )
    return sorted(rows, key=lambda row: row["household_key"])

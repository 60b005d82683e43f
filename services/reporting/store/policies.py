"""The districts' own policies, every version of them."""

from typing import NamedTuple

import asyncpg

from services.reporting.rules.policies import Minimum
from services.reporting.store.projections import Rows, upsert
from services.runtime.database import Connection


class KeptYears(NamedTuple):
    """For how many years a district keeps who read of its families, and dead letters; 0: as long as nobody says."""

    disclosures: int
    dead_letters: int


async def keep_policies(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each version; told again, it says the same.

    Rows: district, version, effective_from, minimum_enrolled, disclosures_years, dead_letters_years.
    """
    await upsert(
        connection,
        """
        INSERT INTO district_policy (
            district, version, effective_from, minimum_enrolled, disclosures_years, dead_letters_years)
        SELECT DISTINCT ON (district, version)
            district, version, effective_from, minimum_enrolled, disclosures_years, dead_letters_years
        FROM unnest($1::text[], $2::integer[], $3::date[], $4::integer[], $5::integer[], $6::integer[])
            AS p (district, version, effective_from, minimum_enrolled, disclosures_years, dead_letters_years)
        ORDER BY district, version
        ON CONFLICT (district, version) DO NOTHING
        """,
        rows,
    )


async def kept_years(connection: Connection) -> dict[str, KeptYears]:
    """Read by district for how many years it keeps what, as it decided for today."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district, disclosures_years, dead_letters_years FROM district_policy
        WHERE effective_from <= (clock_timestamp() AT TIME ZONE current_setting('leap.time_zone'))::date
        ORDER BY district, version DESC
        """
    )
    return {row[0]: KeptYears(row[1], row[2]) for row in rows}


async def of_district(connection: Connection, district: str) -> list[Minimum]:
    """List the versions of a district's policy."""
    rows = await connection.fetch(
        "SELECT version, effective_from, minimum_enrolled FROM district_policy WHERE district = $1", district
    )
    return [Minimum(**dict(row)) for row in rows]

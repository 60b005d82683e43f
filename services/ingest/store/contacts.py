"""Which version of each household's contact data was published last: a number per key, and nothing of the data."""

from collections.abc import Mapping
from uuid import UUID

from services.runtime.database import Connection


async def raise_versions(connection: Connection, version_by_household: Mapping[UUID, int]) -> dict[UUID, int]:
    """Note these versions as published and return the newest of each household, which may be a newer one.

    The rows stay locked until the transaction ends: who would publish of the same household meanwhile waits.
    """
    ordered = sorted(version_by_household.items())  # in one order for every writer: no deadlocks
    rows = await connection.fetch(
        """
        INSERT INTO contact_version AS known (household_key, source_version)
        SELECT * FROM unnest($1::uuid[], $2::bigint[])
        ON CONFLICT (household_key) DO UPDATE
        SET source_version = greatest(known.source_version, excluded.source_version)
        RETURNING household_key, source_version
        """,
        [household for household, _ in ordered],
        [version for _, version in ordered],
    )
    return {UUID(bytes=row["household_key"].bytes): row["source_version"] for row in rows}

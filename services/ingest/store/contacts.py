"""Which version of each household's contact data was published last: a number per key, and nothing of the data."""

from collections.abc import Mapping
from uuid import UUID

from services.runtime.database import Connection


async def raise_versions(connection: Connection, version_by_household: Mapping[UUID, int]) -> set[UUID]:
    """Note these versions as told and return the households of which none such was: neither newer nor the same.

    The rows stay locked until the transaction ends: who would publish of the same household meanwhile waits.
    """
    ordered = sorted(version_by_household.items())  # in one order for every writer: no deadlocks
    rows = await connection.fetch(
        """
        INSERT INTO contact_version AS known (household_key, source_version)
        SELECT * FROM unnest($1::uuid[], $2::bigint[])
        ON CONFLICT (household_key) DO UPDATE
        SET source_version = excluded.source_version WHERE excluded.source_version > known.source_version
        RETURNING household_key
        """,
        [household for household, _ in ordered],
        [version for _, version in ordered],
    )
    return {UUID(bytes=row["household_key"].bytes) for row in rows}


async def known_version(connection: Connection, household_key: UUID) -> int:
    """Give the newest version of a household's contact data that was told; -1: none ever was."""
    known = await connection.fetchval(
        "SELECT source_version FROM contact_version WHERE household_key = $1", household_key
    )
    return -1 if known is None else int(known)


async def is_newest(connection: Connection, household_key: UUID, version: int) -> bool:
    """Tell whether this version was told last, and keep everybody from telling another until the transaction ends."""
    known = await connection.fetchval(
        "SELECT source_version FROM contact_version WHERE household_key = $1 FOR UPDATE", household_key
    )
    return bool(known == version)

"""Which version of each household's contact data was published last: a number and a keyed hash, nothing of the data."""

from collections.abc import Collection, Mapping
from uuid import UUID

from services.ingest.rules.contacts import Known
from services.runtime.database import Connection


async def lock_versions(connection: Connection, households: Collection[UUID]) -> dict[UUID, Known]:
    """Read what was told of these households. The rows stay locked until the transaction ends."""
    rows = await connection.fetch(
        """
        SELECT household_key, source_version, CASE WHEN content_version = source_version THEN content END AS content
        FROM contact_version WHERE household_key = ANY($1::uuid[])
        ORDER BY household_key FOR UPDATE  -- in one order for every writer: no deadlocks
        """,
        sorted(households),
    )
    return {row["household_key"]: Known(row["source_version"], row["content"]) for row in rows}


async def raise_versions(connection: Connection, told: Mapping[UUID, Known]) -> set[UUID]:
    """Note these versions as told and return the households of which none such was: neither newer nor the same.

    The rows stay locked until the transaction ends: who would publish of the same household meanwhile waits.
    """
    ordered = sorted(told.items())
    rows = await connection.fetch(
        """
        INSERT INTO contact_version AS known (household_key, source_version, content, content_version)
        SELECT household_key, source_version, content, source_version
        FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS told (household_key, source_version, content)
        ON CONFLICT (household_key) DO UPDATE
        SET source_version = excluded.source_version, content = excluded.content,
            content_version = excluded.content_version
        WHERE excluded.source_version > known.source_version
        RETURNING household_key
        """,
        [household for household, _ in ordered],
        [each.version for _, each in ordered],
        [each.content for _, each in ordered],
    )
    return {row["household_key"] for row in rows}


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

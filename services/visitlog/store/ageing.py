"""For how many years districts keep what lies in the visit log, and what is older."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from contracts.events import RetentionPolicy
from services.runtime.database import Connection
from services.runtime.delivery import letting_go
from services.runtime.web import disclosing


async def decided(connection: Connection) -> Mapping[str, RetentionPolicy]:
    """Read by district for how many years it keeps what, as it is in force today."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district, retention::text FROM retention_policy
        WHERE effective_from <= (clock_timestamp() AT TIME ZONE current_setting('leap.time_zone'))::date
        ORDER BY district, version DESC
        """
    )
    return {row[0]: RetentionPolicy.model_validate_json(row[1]) for row in rows}


async def old_bodies(connection: Connection, district: str, before: datetime, most: int) -> list[tuple[UUID, str]]:
    """Read logs of visits before a moment in which words still stand."""
    rows = await connection.fetch(
        """
        SELECT log_id, body FROM visit_log JOIN visit USING (visit_id)
        WHERE district = $1 AND started_at < $2 AND wordless IS NULL
        ORDER BY log_id LIMIT $3 FOR UPDATE OF visit_log
        """,
        district,
        before,
        most,
    )
    return [(UUID(bytes=row[0].bytes), row[1]) for row in rows]


async def take_contacts(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete how to reach families of whom the district told nothing since a moment."""
    return await _count(
        connection,
        """
        DELETE FROM household_contact WHERE household_key IN (
            SELECT household_key FROM household_contact WHERE district = $1 AND told_at < $2 LIMIT $3)
        """,
        district,
        before,
        most,
    )


async def take_disclosures(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete who read what of a family before a moment, also as an earlier release wrote it down."""
    gone = await disclosing.let_go_disclosed(connection, district, before, most)
    if gone < most:
        of_before = "SELECT let_go_disclosure($1, $2, $3)"
        gone += int(await connection.fetchval(of_before, district, before, most - gone))
    return gone


async def take_dead_letters(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete records of a district that were set aside before a moment: of those that say whose they are."""
    return await letting_go.take_dead_letters(connection, f'"district":"{district}"', before, most)


async def _count(connection: Connection, statement: str, district: str, before: datetime, most: int) -> int:
    status: str = await connection.execute(statement, district, before, most)
    return int(status.rpartition(" ")[2])

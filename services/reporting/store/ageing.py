"""For how many years districts keep records that could not be applied here, and what is older."""

from collections.abc import Mapping
from datetime import datetime

from services.runtime.database import Connection
from services.runtime.delivery import letting_go


async def decided(connection: Connection) -> Mapping[str, int]:
    """Read by district for how many years it keeps them, as it is in force today."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district, dead_letters_years FROM district_policy
        WHERE effective_from <= (clock_timestamp() AT TIME ZONE current_setting('leap.time_zone'))::date
        ORDER BY district, version DESC
        """
    )
    return {row[0]: row[1] for row in rows}


async def take_dead_letters(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete records of a district that were set aside before a moment: of those that say whose they are."""
    return await letting_go.take_dead_letters(connection, f'"district":"{district}"', before, most)

"""For how many years districts keep what lies here, and what is older."""

from collections.abc import Mapping
from datetime import datetime

from contracts.events import RetentionPolicy
from contracts.topics import landing_topics
from services.runtime.database import Connection


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


async def take_receipts(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete receipts of uploads that came before a moment, and with each the rows that went back."""
    gone = await connection.fetch(
        """
        DELETE FROM receipt WHERE (district, receipt) IN (
            SELECT district, receipt FROM receipt WHERE district = $1 AND received_at < $2
            ORDER BY received_at LIMIT $3)
        RETURNING 1
        """,
        district,
        before,
        most,
    )
    return len(gone)


async def take_dead_letters(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete records of a district's landing logs that were set aside before a moment."""
    gone = await connection.fetch(
        """
        DELETE FROM dead_letter WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM dead_letter
            WHERE topic = ANY ($1::text[]) AND recorded_at < $2 ORDER BY recorded_at LIMIT $3))
        RETURNING 1
        """,
        list(landing_topics(district)),
        before,
        most,
    )
    return len(gone)

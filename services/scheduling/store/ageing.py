"""For how many years districts keep what lies at the desk, and what is older."""

from collections.abc import Mapping
from datetime import datetime

from contracts.events import RetentionPolicy
from services.runtime.database import Connection
from services.runtime.delivery import letting_go
from services.runtime.web import disclosing
from services.scheduling.store import policies

_OF_REQUESTS = ("contact_attempt", "offered_time", "request_history")


async def decided(connection: Connection) -> Mapping[str, RetentionPolicy]:
    """Read by district for how many years it keeps what, as it is in force today."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT district, (clock_timestamp() AT TIME ZONE current_setting('leap.time_zone'))::date FROM policy
        """
    )
    if not rows:
        return {}
    in_force = await policies.in_force(connection, [row[0] for row in rows], day=rows[0][1])
    return {district: policy.retention for district, policy in in_force.items()}


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


async def take_requests(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Empty requests that were closed before a moment: who tried, answered and wished what, and when.

    That there was one stays: the household's next is named by how many there were.
    """
    rows = await connection.fetch(
        """
        SELECT request_id FROM request AS r
        WHERE district = $1 AND closed_at < $2
          AND (priority IS NOT NULL OR EXISTS (SELECT FROM request_history AS h WHERE h.request_id = r.request_id))
        ORDER BY closed_at LIMIT $3
        """,
        district,
        before,
        most,
    )
    chosen = [row[0] for row in rows]
    if chosen:
        for table in _OF_REQUESTS:
            await connection.execute(f"DELETE FROM {table} WHERE request_id = ANY ($1::uuid[])", chosen)
        await connection.execute(
            """
            UPDATE appointment SET place_text = NULL FROM visit
            WHERE visit.visit_id = appointment.visit_id AND visit.request_id = ANY ($1::uuid[])
            """,
            chosen,
        )
        await connection.execute(
            "UPDATE request SET priority = NULL, wish = NULL WHERE request_id = ANY ($1::uuid[])", chosen
        )
    return len(chosen)


async def take_disclosures(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete who read what of a family before a moment, also as an earlier release wrote it down."""
    gone = await disclosing.let_go_disclosed(connection, district, before, most)
    if gone < most:
        of_before = "SELECT let_go_contact_disclosure($1, $2, $3)"
        gone += int(await connection.fetchval(of_before, district, before, most - gone))
    return gone


async def take_dead_letters(connection: Connection, district: str, before: datetime, most: int) -> int:
    """Delete records of a district that were set aside before a moment: of those that say whose they are."""
    return await letting_go.take_dead_letters(connection, f'"district":"{district}"', before, most)


async def _count(connection: Connection, statement: str, district: str, before: datetime, most: int) -> int:
    status: str = await connection.execute(statement, district, before, most)
    return int(status.rpartition(" ")[2])

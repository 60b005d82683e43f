"""Who reads what of whom: one record of each reading, in the transaction that reads. No record, no answer.

A service says of whom it shows something and what, here it is written down: with the person, their role, why they may,
and through which door they came. What names somebody is bounded by the hour, so that nobody copies an address book.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.runtime.columns import columns
from services.runtime.database import Connection
from services.runtime.seen.metric import about, counter, snapshot
from services.runtime.web.people import Person

REFUSED = counter("leap_disclosures_refused_total", "Readings refused, since they were too many in an hour", ["role"])
# By role and never by person: who it was stands in the records.
READ = snapshot("gauge", "leap_disclosures_last_hour", "Readings about somebody named, to tens", ["role"])
MOST_READ = snapshot("gauge", "leap_disclosures_most_last_hour", "Most that one person read of, to tens", ["role"])
RETRY_SECONDS = 900
_MEASURED = """
SELECT coalesce(role, 'unknown') AS role, sum(readings)::bigint AS readings, max(of) AS most FROM (
    SELECT role, person, count(*) AS readings, count(DISTINCT one) AS of
    FROM disclosed, unnest(whose) AS one
    WHERE counted AND at > $1::timestamptz - interval '1 hour' GROUP BY role, person
) AS by_person GROUP BY role
"""


class ReadTooMuch(Exception):
    """The person has read about more people within an hour than the installation allows; nothing was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one kind of answer shows, and why.

    `door` says what the answer is, where that is more than the page or the API it came through. `counted`: it says who
    somebody is, or what they said.
    """

    what: tuple[str, ...]
    purpose: str
    door: str = ""
    counted: bool = True


class Shown(NamedTuple):
    """Of whom: `whose` is who belongs together, `member` a single one of them, where only that one was meant."""

    scope: str
    whose: UUID
    member: UUID | None = None


# One statement for a page of fifty. What it counts was written before: its own rows it does not see, so they are added.
_WRITE = """
WITH shown AS (
    SELECT scope, whose, member FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS s (scope, whose, member)
), written AS (
    INSERT INTO disclosed (at, person, role, what, scope, whose, members, purpose, door, route, counted)
    SELECT $4::timestamptz, $5::text, $6::text, $7::text[], scope, array_agg(DISTINCT whose),
           coalesce(array_agg(DISTINCT member) FILTER (WHERE member IS NOT NULL), '{}'), $8::text, $9::text, $10::text,
           $11::boolean
    FROM shown GROUP BY scope
)
SELECT count(*) FROM (
    SELECT unnest(whose) FROM disclosed
    WHERE $11 AND counted AND person = $5 AND at > $4::timestamptz - interval '1 hour'
    UNION SELECT whose FROM shown WHERE $11
) AS read
"""


async def disclose(
    connection: Connection, person: Person, shown: Iterable[Shown], reading: Reading, *, as_of: datetime
) -> None:
    """Record that the person is shown this of these. Call it in the transaction that reads, before it is answered.

    Raises ReadTooMuch: the transaction then ends without a record, and nothing must be answered.
    """
    of = list(shown)
    if not of:
        return
    read: int = await connection.fetchval(
        _WRITE,
        *columns(of, width=3),
        as_of,
        person.name,
        person.role,
        list(reading.what),
        reading.purpose,
        reading.door or person.door.name,
        person.door.route,
        reading.counted,
    )
    if read > person.door.names_per_hour:
        REFUSED.labels(person.role).inc()
        raise ReadTooMuch


async def let_go_disclosed(connection: Connection, scope: str, older_than: datetime, most: int) -> int:
    """Delete so many records of a scope that are older than a moment, and count them; none of the last year goes."""
    return int(await connection.fetchval("SELECT let_go_disclosed($1, $2, $3)", scope, older_than, most))


async def erase_disclosed_of_ended(connection: Connection) -> None:
    """Delete the records of scopes whose contract is over, as the service remembers them."""
    await connection.execute("SELECT erase_disclosed_of_ended()")


async def measure_disclosures(connection: Connection, *, as_of: datetime) -> None:
    """Count, by role, how often somebody was read of in the last hour, and of how many one person read at most."""
    rows = await connection.fetch(_MEASURED, as_of)
    READ.replace({(row["role"],): about(row["readings"]) for row in rows})
    MOST_READ.replace({(row["role"],): about(row["most"]) for row in rows})

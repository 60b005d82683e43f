"""The days on which any school of a district teaches: they say when a school without a calendar is late."""

from collections import defaultdict
from collections.abc import Iterable

from services.flagging.rules import packing
from services.flagging.rules.register import School
from services.runtime.database import Connection

_READ = """
SELECT district, school_year::int, school_days FROM school_year
WHERE calendar_version >= 0 AND district = ANY ($1::text[])"""


async def of_districts(connection: Connection, schools: Iterable[School]) -> dict[tuple[str, int], int]:
    """Read the school days of these schools' districts, by district and school year."""
    days: defaultdict[tuple[str, int], int] = defaultdict(int)
    for row in await connection.fetch(_READ, sorted({school.key.district for school in schools})):
        days[row[0], row[1]] |= packing.unpack_set(row[2])
    return days

"""Children whom two districts claim by the state's number in one school year, and whether the first has let go."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from contracts.calendar import school_year_of
from services.runtime.database import Connection

_SHARED_WITH = """
SELECT from_district FROM transfer JOIN member m USING (person_key)
WHERE m.student_key = $1 AND m.school_year = $2 AND transfer.district = $3"""
# One line for each district with which the district's own student shares the number, and both ways of a transfer.
_CLAIMS = """
SELECT DISTINCT own.district, own.student_key, own.person_key, other.district AS elsewhere,
    EXISTS (SELECT FROM transfer t WHERE t.person_key = own.person_key
            AND t.from_district = own.district AND t.district = other.district) AS told_by_us,
    EXISTS (SELECT FROM transfer t WHERE t.person_key = own.person_key
            AND t.from_district = other.district AND t.district = own.district) AS told_by_them
FROM member own JOIN member other USING (person_key, school_year)
WHERE own.district <> other.district AND own.school_year = $1 AND ($2::text[] IS NULL OR own.district = ANY ($2))
    AND own.entry_date IS NOT NULL AND other.entry_date IS NOT NULL
ORDER BY own.district, own.student_key, other.district LIMIT $3"""
_UNCONFIRMED = """
SELECT own.district, count(DISTINCT own.person_key) AS persons
FROM member own JOIN member other USING (person_key, school_year)
WHERE own.district <> other.district AND own.school_year = $1
    AND own.entry_date IS NOT NULL AND other.entry_date IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM transfer t WHERE t.person_key = own.person_key AND (t.from_district, t.district) IN (
            (own.district, other.district), (other.district, own.district)))
GROUP BY own.district"""


class Claim(NamedTuple):
    """A student of ours whose state number another district enrols too. Nothing of days, on neither side.

    `told_by_us`: our days are shown to them; `told_by_them`: theirs to us.
    """

    district: str
    student_key: UUID
    person_key: UUID
    elsewhere: str
    told_by_us: bool
    told_by_them: bool


async def shared_with(connection: Connection, student_key: UUID, school_year: int, district: str) -> set[str]:
    """Name the districts that confirmed that the student moved from them to this one: theirs may be shown here."""
    return {row[0] for row in await connection.fetch(_SHARED_WITH, student_key, school_year, district)}


async def list_claims(
    connection: Connection, *, districts: Sequence[str] | None, school_year: int, limit: int
) -> list[Claim]:
    """List the claims that these districts share with others; None: of all."""
    return [Claim(*row) for row in await connection.fetch(_CLAIMS, school_year, districts, limit)]


async def unconfirmed(connection: Connection, today: date) -> dict[str, int]:
    """Count, per district, the persons whom another one claims too this school year and no transfer explains."""
    return {row["district"]: row["persons"] for row in await connection.fetch(_UNCONFIRMED, school_year_of(today))}

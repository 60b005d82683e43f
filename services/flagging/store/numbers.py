"""One child, two numbers: the newest enrolment that names a number beside another decides whose its stints are."""

from collections.abc import Collection
from datetime import date
from uuid import UUID

from services.runtime.database import Connection

# Content breaks the tie, never arrival.
OWNERS = """
SELECT DISTINCT ON (number_key) number_key, student_key FROM enrollment
WHERE number_key {} AND number_key <> student_key AND NOT withdrawn
ORDER BY number_key, source_version DESC, entry_date DESC, stint DESC, student_key DESC"""
_SETTLE = f"""
WITH owner AS ({OWNERS.format("= ANY ($1::uuid[])")}), moved AS (
    UPDATE enrollment e SET child_key = o.student_key
    FROM unnest($1::uuid[]) AS n (number_key) LEFT JOIN owner o USING (number_key)
    WHERE e.student_key = n.number_key AND e.child_key IS DISTINCT FROM o.student_key
    RETURNING e.student_key, old.child_key AS former_child, new.child_key
)
SELECT student_key FROM moved UNION SELECT former_child FROM moved UNION SELECT child_key FROM moved"""
_RELATIVES = """
SELECT student_key, child_key FROM enrollment WHERE child_key = ANY ($1::uuid[])
UNION SELECT student_key, child_key FROM enrollment WHERE student_key = ANY ($1::uuid[]) AND child_key IS NOT NULL"""
_WITH_STINTS = "SELECT DISTINCT child_key FROM enrollment WHERE child_key = ANY ($1::uuid[])"
_PLACES = """
SELECT student_key, child_key, district, school, entry_date FROM enrollment
WHERE student_key = ANY ($1::uuid[]) OR child_key = ANY ($1::uuid[])"""


async def settle_children(connection: Connection, students: Collection[UUID]) -> set[UUID]:
    """Give each of these numbers' stints to the child whose it is by now, or back to the number.

    Names everybody whose stints are others by that, or may be: the children among the students who have stints with
    another number too, these numbers, and who had them before.
    """
    moved = {row[0] for row in await connection.fetch(_SETTLE, list(students))} - {None}
    related = await connection.fetch(_RELATIVES, list(moved.union(students)))
    return moved.union(*(row.values() for row in related))


async def places_of(connection: Connection, relatives: Collection[UUID]) -> list[tuple[UUID, str, str, date]]:
    """Name where each of them has stints, with whichever number: student, district, school and entry."""
    rows = await connection.fetch(_PLACES, list(relatives)) if relatives else []
    return [(who, *row[2:]) for row in rows for who in row[:2] if who is not None]


async def with_stints(connection: Connection, students: Collection[UUID]) -> set[UUID]:
    """Name the children who have stints with another number of theirs."""
    return {row[0] for row in await connection.fetch(_WITH_STINTS, list(students))}

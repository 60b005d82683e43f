"""Who was chronically absent in a year, and whom a district took in: the year before follows a confirmed transfer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from services.flagging.facts import TransferConfirmed
from services.runtime.columns import columns
from services.runtime.database import Connection

_KEEP = """
WITH confirmed AS (
    INSERT INTO transfer (person_key, from_district, district)
    SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
    RETURNING person_key, district
)
INSERT INTO judge_due (student_key, school_year)
SELECT DISTINCT m.student_key, m.school_year FROM member m JOIN confirmed USING (person_key, district)
ON CONFLICT DO NOTHING"""
_TAKEN_IN = """
SELECT m.student_key, m.school_year::int
FROM member m JOIN transfer t USING (person_key, district)
JOIN chronic_year c ON c.person_key = t.person_key AND c.district = t.from_district
    AND c.school_year = m.school_year - 1
WHERE m.student_key = ANY ($1::uuid[])"""
# $1-$4: who was chronically absent; a person of NULL: no more. Whoever was taken in since is judged again.
_KEEP_CHRONIC = """
WITH judged AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[])
        AS j (student_key, school_year, person_key, district)
), gone AS (
    DELETE FROM chronic_year c USING judged j
    WHERE c.student_key = j.student_key AND c.school_year = j.school_year
      AND (c.person_key, c.district) IS DISTINCT FROM (j.person_key, j.district)
    RETURNING c.person_key, c.district, c.school_year
), come AS (
    INSERT INTO chronic_year AS c (student_key, school_year, person_key, district)
    SELECT student_key, school_year, person_key, district FROM judged WHERE person_key IS NOT NULL
    ON CONFLICT (student_key, school_year) DO UPDATE SET person_key = excluded.person_key, district = excluded.district
    WHERE (c.person_key, c.district) <> (excluded.person_key, excluded.district)
    RETURNING person_key, district, school_year
)
INSERT INTO judge_due (student_key, school_year)
SELECT DISTINCT m.student_key, m.school_year
FROM (SELECT * FROM gone UNION SELECT * FROM come) c
JOIN transfer t ON t.person_key = c.person_key AND t.from_district = c.district
JOIN member m ON m.person_key = t.person_key AND m.district = t.district AND m.school_year = c.school_year + 1
ON CONFLICT DO NOTHING"""
_CHRONIC = "SELECT student_key FROM chronic_year WHERE district = $1 AND school_year = $2"
_DUE = """
SELECT student_key, school_year::int, coalesce((
    SELECT m.district FROM member m
    WHERE m.student_key = d.student_key AND m.school_year = d.school_year LIMIT 1), '')
FROM judge_due d ORDER BY student_key, school_year LIMIT $1"""
_TAKE_DUE = """
DELETE FROM judge_due
WHERE (student_key, school_year) IN (SELECT * FROM unnest($1::uuid[], $2::int[]))"""

StudentYear = tuple[UUID, int]


class Person(NamedTuple):
    """Who a student is across districts, and the district."""

    person_key: UUID
    district: str


async def keep(connection: Connection, confirmed: Iterable[TransferConfirmed]) -> None:
    """Keep that districts took persons in; their students there are due to be judged."""
    rows = [(each.person_key, each.from_district, each.district) for each in confirmed]
    await connection.execute(_KEEP, *columns(rows, width=3))


async def taken_in_chronic(connection: Connection, students: Sequence[UUID]) -> set[StudentYear]:
    """Name the student years before which another district, both confirmed it, knows of a chronic one."""
    return {(row[0], row[1]) for row in await connection.fetch(_TAKEN_IN, students)}


async def chronic_students(connection: Connection, district: str, school_year: int) -> list[UUID]:
    """Name whom a district knows as chronically absent in a school year."""
    return [row[0] for row in await connection.fetch(_CHRONIC, district, school_year)]


async def keep_chronic(connection: Connection, judged: Mapping[StudentYear, Person | None]) -> None:
    """Keep which of these student years are chronic by the standard policy; None: that one is not."""
    if judged:
        rows = [(*who, *(person or (None, None))) for who, person in sorted(judged.items())]
        await connection.execute(_KEEP_CHRONIC, *columns(rows, width=4))


async def due(connection: Connection, *, limit: int) -> list[tuple[UUID, int, str]]:
    """Name students who are to be judged again, with their school year and district."""
    return [(row[0], row[1], row[2]) for row in await connection.fetch(_DUE, limit)]


async def take_due(connection: Connection, students: Iterable[StudentYear]) -> None:
    """Take these students off the list; their lanes are locked, so what comes meanwhile is put on it again."""
    await connection.execute(_TAKE_DUE, *columns(students, width=2))

"""Enrolments and whom they make members: the stints of each student, and where a student's register lies."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import asyncpg

from contracts.calendar import first_day_of, last_day_of, school_year_of
from services.flagging.facts import EnrollmentChanged
from services.flagging.rules.absence import days_between, last_enrolled_day
from services.flagging.rules.register import SchoolYear
from services.flagging.store import numbers
from services.runtime.columns import columns
from services.runtime.database import Connection

_STINT_COLUMNS = """student_key, stint, district, school, person_key, household_key, number_key, grade, track,
    entry_date, exit_date, exit_day_counts, withdrawn, source_version"""
# Content breaks the tie between equal versions, never arrival: as rank_of() says.
_RANK = """({0}.source_version, {0}.withdrawn, {0}.school, {0}.grade, {0}.entry_date,
    coalesce({0}.exit_date, DATE 'infinity'), {0}.exit_day_counts, coalesce({0}.person_key::text, ''),
    coalesce({0}.household_key::text, ''), coalesce({0}.number_key::text, ''), coalesce({0}.track, ''))"""
# In the order of the keys: a batch then meets each page of an index once.
_APPLY = f"""
INSERT INTO enrollment AS e ({_STINT_COLUMNS})
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[],
    $9::text[], $10::date[], $11::date[], $12::bool[], $13::bool[], $14::bigint[]) ORDER BY 1
ON CONFLICT (student_key, stint) DO UPDATE
SET district = excluded.district, school = excluded.school, person_key = excluded.person_key,
    household_key = excluded.household_key, number_key = excluded.number_key, grade = excluded.grade,
    track = excluded.track, entry_date = excluded.entry_date, exit_date = excluded.exit_date,
    exit_day_counts = excluded.exit_day_counts, withdrawn = excluded.withdrawn,
    source_version = excluded.source_version
WHERE {_RANK.format("excluded")} > {_RANK.format("e")}
RETURNING new.student_key, new.district, new.school, new.entry_date, new.number_key,
    old.district AS old_district, old.school AS old_school, old.entry_date AS old_entry, old.number_key AS old_number"""

# A number's stints are the child's whose the number is: `child_key`.
_STINTS_OF_STUDENTS = f"""
SELECT coalesce(child_key, student_key) AS {_STINT_COLUMNS} FROM enrollment
WHERE student_key = ANY ($1::uuid[]) AND child_key IS NULL OR child_key = ANY ($1::uuid[])"""
_STUDENTS_OF_SCHOOLS = """
SELECT DISTINCT coalesce(child_key, student_key) FROM enrollment
WHERE (district, school) IN (SELECT * FROM unnest($1::text[], $2::text[]))"""
_OWNERS = numbers.OWNERS.format("""IN (
    SELECT number_key FROM enrollment WHERE number_key = ANY ($1::uuid[]) OR student_key = ANY ($1::uuid[]))""")
_NAMED_BY = "SELECT DISTINCT student_key FROM enrollment WHERE number_key = ANY ($1::uuid[])"
_YEARS_OF_SCHOOLS = """
SELECT district, school, school_year::int FROM school_year
WHERE (district, school) IN (SELECT * FROM unnest($1::text[], $2::text[]))"""

_FIELDS = tuple(name.strip() for name in _STINT_COLUMNS.split(","))

_MEMBER_COLUMNS = "student_key, school_year, school, district, page, entry_date, grade, household_key, person_key"
_SAVE_MEMBERS = f"""
INSERT INTO member AS m ({_MEMBER_COLUMNS})
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::int[], $6::date[], $7::text[], $8::uuid[],
    $9::uuid[]) ORDER BY 1
ON CONFLICT (student_key, school_year, school) DO UPDATE
SET entry_date = excluded.entry_date, grade = excluded.grade, household_key = excluded.household_key,
    person_key = excluded.person_key
RETURNING new.student_key, new.district, new.school, new.school_year::int,
    old.student_key IS NOT NULL
        AND (old.person_key, old.entry_date) IS DISTINCT FROM (new.person_key, new.entry_date) AS is_another"""
_MEMBERS = f"SELECT {_MEMBER_COLUMNS} FROM member WHERE student_key = ANY ($1::uuid[])"
_FACES = """
SELECT m.student_key, m.school_year::int, m.school, m.person_key, (
        SELECT array_agg(e.entry_date) FROM enrollment e
        WHERE e.student_key = m.student_key AND e.school = m.school AND e.district = m.district AND NOT e.withdrawn)
FROM member m JOIN unnest($1::uuid[], $2::int[], $3::text[]) AS wanted (student_key, school_year, school)
USING (student_key, school_year, school) WHERE m.entry_date IS NOT NULL"""
_SEVERAL = """
SELECT student_key, school_year::int FROM member
WHERE (student_key, school_year) IN (SELECT * FROM unnest($1::uuid[], $2::int[]))
GROUP BY student_key, school_year HAVING count(*) > 1"""
_MEMBERS_OF_SCHOOL = """
SELECT student_key, page::int FROM member WHERE district = $1 AND school = $2 AND school_year = $3
ORDER BY page, student_key"""


class Stint(NamedTuple):
    """An enrolment that stands."""

    student_key: UUID
    stint: str
    district: str
    school: str
    person_key: UUID | None
    household_key: UUID | None
    number_key: UUID | None
    grade: str
    track: str | None
    entry_date: date
    exit_date: date | None
    exit_day_counts: bool
    withdrawn: bool
    source_version: int

    @property
    def place(self) -> tuple[str, str]:
        """The district and the school."""
        return self.district, self.school

    @classmethod
    def of_marks(cls, student_key: UUID, district: str, school: str, entry_date: date) -> "Stint":
        """Make what enrols a student for the days of marks, where a feed comes without rosters."""
        nothing: tuple[None, None, None] = (None, None, None)
        return cls(student_key, "", district, school, *nothing, "", None, entry_date, None, False, False, 0)

    def days_in(self, school_year: int) -> int:
        """Give the days of the year inside it, school days or not."""
        last = last_enrolled_day(
            exit_date=self.exit_date, exit_day_counts=self.exit_day_counts, school_year=school_year
        )
        return days_between(first_day=self.entry_date, last_day=last, school_year=school_year)

    def touches(self, school_year: int) -> bool:
        """Say whether any day of the year may be inside it."""
        exit_date = self.exit_date
        return self.entry_date <= last_day_of(school_year) and (
            exit_date is None or exit_date >= first_day_of(school_year)
        )


class Member(NamedTuple):
    """A student's face at a school in a year, and the register page. Without an entry date only marks are known."""

    student_key: UUID
    school_year: int
    school: str
    district: str
    page: int
    entry_date: date | None = None
    grade: str | None = None
    household_key: UUID | None = None
    person_key: UUID | None = None

    @property
    def key(self) -> SchoolYear:
        """The register in which the student stands."""
        return SchoolYear(self.district, self.school, self.school_year)


class StudentAtSchool(NamedTuple):
    """A student in a school year at a school."""

    student_key: UUID
    school_year: int
    school: str


class Face(NamedTuple):
    """Who a student at a school is across districts, and the days on which stints there began."""

    person_key: UUID | None
    entries: list[date]

    def entered(self, until: date) -> date | None:
        """Give the last day on which the student entered, up to a day; None: later."""
        return max((entry for entry in self.entries if entry <= until), default=None)


class Touched(NamedTuple):
    """Whom a batch of enrolments concerns: students by the school years that their stints touch, old and new."""

    students: dict[SchoolYear, set[UUID]]
    numbers: set[UUID]
    """Numbers that were joined to a child, or no longer are."""


async def apply_enrollments(connection: Connection, enrollments: Sequence[EnrollmentChanged]) -> Touched:
    """Make the newest version of each stint stand, and name the student years it touches, old and new."""
    newest: dict[tuple[UUID, str], EnrollmentChanged] = {}
    for each in enrollments:
        standing = newest.setdefault((each.student_key, each.stint), each)
        if standing is not each and rank_of(each) > rank_of(standing):
            newest[each.student_key, each.stint] = each
    rows = await connection.fetch(_APPLY, *columns(list(newest.values()), *_FIELDS))
    places = [(row["student_key"], row["district"], row["school"], row["entry_date"]) for row in rows]
    places += [
        (row["student_key"], row["old_district"], row["old_school"], row["old_entry"])
        for row in rows
        if row["old_school"] is not None
    ]
    named = {number for row in rows for number in (row["number_key"], row["old_number"]) if number is not None}
    students = {row["student_key"] for row in rows}
    relatives = await numbers.settle_children(connection, students | named)
    places += await numbers.places_of(connection, relatives)
    touched = await _years_of(connection, places)
    for members in (await members_of(connection, relatives)).values() if relatives else ():
        for member in members:
            touched[member.key].add(member.student_key)
    return Touched(touched, named)


async def _years_of(
    connection: Connection, places: Sequence[tuple[UUID, str, str, date]]
) -> defaultdict[SchoolYear, set[UUID]]:
    """Name the school years that stints touch: those known of the school since the entry; else that of the entry."""
    schools = sorted({(district, school) for _, district, school, _ in places})
    known: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in await connection.fetch(_YEARS_OF_SCHOOLS, *columns(schools, width=2)):
        known[row[0], row[1]].append(row[2])
    touched: defaultdict[SchoolYear, set[UUID]] = defaultdict(set)
    for student, district, school, entry_date in places:
        entered = school_year_of(entry_date)
        for year in [year for year in known[district, school] if year >= entered] or [entered]:
            touched[SchoolYear(district, school, year)].add(student)
    return touched


def rank_of(stint: "EnrollmentChanged | Stint") -> tuple[object, ...]:
    """Order the versions of one stint: the largest stands."""
    return (
        stint.source_version,
        stint.withdrawn,
        stint.school,
        stint.grade,
        stint.entry_date,
        stint.exit_date or date.max,
        stint.exit_day_counts,
        str(stint.person_key or ""),
        str(stint.household_key or ""),
        str(stint.number_key or ""),
        stint.track or "",
    )


async def stints_of_schools(connection: Connection, schools: Collection[tuple[str, str]]) -> list[Stint]:
    """Read the stints at these schools that stand, of whichever year."""
    rows = await connection.fetch(_STUDENTS_OF_SCHOOLS, *columns(schools, width=2))
    stints = await stints_of(connection, [row[0] for row in rows])
    wanted = set(schools)
    return [stint for every in stints.values() for stint in every if stint.place in wanted]


async def members_of_school(connection: Connection, key: SchoolYear) -> list[tuple[UUID, int]]:
    """Read a school year's members and their pages, in the order of their places."""
    return [(row[0], row[1]) for row in await connection.fetch(_MEMBERS_OF_SCHOOL, *key)]


async def stints_of(connection: Connection, students: Collection[UUID]) -> dict[UUID, list[Stint]]:
    """Read the stints of these students that stand, earliest entry first; equal entries by stint id.

    A child's are those with any number of theirs; a number that is another's has none.
    """
    return _by_student(await connection.fetch(_STINTS_OF_STUDENTS, list(students)))


async def owners_of(connection: Connection, students: Collection[UUID]) -> dict[UUID, UUID]:
    """Say whose each number is: of these numbers, and of the numbers that enrolments of these students name."""
    return {row[0]: row[1] for row in await connection.fetch(_OWNERS, list(students))}


async def who_names(connection: Connection, named: Collection[UUID]) -> set[UUID]:
    """Name everybody whose enrolments name one of these numbers, whosever these are."""
    return {row[0] for row in await connection.fetch(_NAMED_BY, list(named))}


async def members_of(connection: Connection, students: Collection[UUID]) -> dict[UUID, list[Member]]:
    """Read where the registers of these students lie, in every year."""
    found: defaultdict[UUID, list[Member]] = defaultdict(list)
    for row in await connection.fetch(_MEMBERS, list(students)):
        found[row["student_key"]].append(Member(*row))
    return found


async def save_members(connection: Connection, members: Sequence[Member]) -> set[tuple[bytes, SchoolYear]]:
    """Write members, new or with another face; the page of one that is there stays.

    Returns those who were there and are another person by now, or entered on another day.
    """
    if not members:
        return set()
    rows = await connection.fetch(_SAVE_MEMBERS, *columns(members, width=9))
    return {(row["student_key"].bytes, SchoolYear(*row[1:4])) for row in rows if row["is_another"]}


async def faces_of(connection: Connection, students: Collection[StudentAtSchool]) -> dict[StudentAtSchool, Face]:
    """Give these students' faces; of somebody whom no enrolment knows there is none."""
    if not students:
        return {}
    rows = await connection.fetch(_FACES, *columns(students, width=3))
    faces = {StudentAtSchool(*row[:3]): Face(row[3], row[4] or []) for row in rows}
    joined = await numbers.with_stints(connection, {each.student_key for each in faces})
    stints = await stints_of(connection, joined) if joined else {}
    for each, face in faces.items():
        if each.student_key in joined:
            here = [stint.entry_date for stint in stints[each.student_key] if stint.school == each.school]
            faces[each] = face._replace(entries=here)
    return faces


async def at_several_schools(connection: Connection, students: Collection[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
    """Name those of the students who are at several schools in that school year."""
    if not students:
        return []
    return [(row[0], row[1]) for row in await connection.fetch(_SEVERAL, *columns(students, width=2))]


def _by_student(rows: Iterable[asyncpg.Record]) -> dict[UUID, list[Stint]]:
    newest: dict[tuple[UUID, str], Stint] = {}
    for stint in map(Stint._make, rows):
        # One stint told with two numbers of a child: its newest version stands, as ever.
        standing = newest.setdefault((stint.student_key, stint.stint), stint)
        if standing is not stint and rank_of(stint) > rank_of(standing):
            newest[stint.student_key, stint.stint] = stint
    found: defaultdict[UUID, list[Stint]] = defaultdict(list)
    for stint in sorted(newest.values(), key=attrgetter("entry_date", "stint")):
        if not stint.withdrawn:
            found[stint.student_key].append(stint)
    return found

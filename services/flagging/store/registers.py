"""Registers in PostgreSQL: the lane's row, schools with the pages a batch needs, and all that changed written at once.

The lane's row is locked first: during a rebalance two workers may hold partitions of one lane, and a page is read,
changed and written.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import asyncpg
import msgspec

from contracts.topics import PARTITIONS
from services.flagging.rules import packing
from services.flagging.rules.page import Page
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.rolls import Completions
from services.runtime.columns import columns
from services.runtime.database import Connection, uuid_of
from services.runtime.delivery.publisher import partition_of

_LOCK_LANES = "SELECT lane, version FROM lane WHERE lane = ANY ($1::int[]) ORDER BY lane FOR UPDATE"
_MOVE_LANES = """
UPDATE lane SET version = moved.version FROM unnest($1::int[], $2::bigint[]) AS moved (lane, version)
WHERE lane.lane = moved.lane"""

_SCHOOL_COLUMNS = """calendar_version, feed, declared, enrols, school_days, tracks, is_stale, students, decisions,
    closed, tallied, completions, today, ahead, checked_on"""
_SCHOOLS = f"""
SELECT district, school, school_year, {_SCHOOL_COLUMNS} FROM school_year
WHERE (district, school, school_year) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::int[]))"""

_PAGE_COLUMNS = """page, students, enrolled, grades, tracks, yielded, traits, rolls, standings, levels,
    marked, missed"""
_WHOLE_PAGES = f"""
SELECT p.district, p.school, p.school_year::int, {_PAGE_COLUMNS}
FROM register_page p JOIN unnest($1::text[], $2::text[], $3::int[]) AS wanted (district, school, school_year)
USING (district, school, school_year)"""
_SOME_PAGES = f"""
SELECT p.district, p.school, p.school_year::int, {_PAGE_COLUMNS}
FROM register_page p JOIN unnest($1::text[], $2::text[], $3::int[], $4::int[])
    AS wanted (district, school, school_year, page) USING (district, school, school_year, page)"""
_PAGES_OF_STUDENTS = """
SELECT DISTINCT district, school, school_year::int, page::int FROM member
WHERE student_key = ANY ($1::uuid[])
  AND (district, school, school_year) IN (SELECT * FROM unnest($2::text[], $3::text[], $4::int[]))"""

_DUE = """
SELECT district, school, school_year::int FROM school_year WHERE checked_on < $1 OR is_stale
ORDER BY district, school_year, school LIMIT $2"""
_SAVE_SCHOOLS = f"""
INSERT INTO school_year (district, school, school_year, {_SCHOOL_COLUMNS}, completed)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::bool[], $8::bytea[],
    $9::text[], $10::bool[], $11::int[], $12::int[], $13::bytea[], $14::bytea[], $15::bytea[], $16::date[],
    $17::bytea[], $18::date[], $19::bytea[])
ON CONFLICT (district, school, school_year) DO UPDATE
SET calendar_version = excluded.calendar_version, feed = excluded.feed, declared = excluded.declared,
    enrols = excluded.enrols, school_days = excluded.school_days, tracks = excluded.tracks,
    is_stale = excluded.is_stale, students = excluded.students, decisions = excluded.decisions,
    closed = excluded.closed, tallied = excluded.tallied, completions = excluded.completions,
    today = excluded.today, ahead = excluded.ahead, completed = excluded.completed,
    checked_on = excluded.checked_on"""
_SAVE_PAGES = f"""
INSERT INTO register_page AS p (district, school, school_year, {_PAGE_COLUMNS})
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[],
    $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[])
ON CONFLICT (district, school, school_year, page) DO UPDATE
SET students = excluded.students, enrolled = excluded.enrolled, grades = excluded.grades, tracks = excluded.tracks,
    yielded = excluded.yielded, traits = excluded.traits, rolls = excluded.rolls, standings = excluded.standings,
    levels = excluded.levels, marked = excluded.marked, missed = excluded.missed"""

_encode = msgspec.json.Encoder().encode
_tracks = msgspec.json.Decoder(dict[str, tuple[int, str]])


def lane_of(district: str) -> int:
    """Name the lane of a district: the partition in which it stays."""
    return partition_of(district, PARTITIONS)


class Registers:
    """The registers that a transaction has in the hand, by school year, and the versions of its lanes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.schools: dict[SchoolYear, School] = {}
        self.arrived: set[tuple[bytes, SchoolYear]] = set()
        """Students who are new at a school, or whose page was made anew."""
        self.looked_at: set[tuple[bytes, SchoolYear]] = set()
        """Those of them of whom it is known whether they are at another school too."""
        self.renamed: set[tuple[bytes, SchoolYear]] = set()
        """Students whose person is another than was told."""
        self.to_judge: set[tuple[bytes, int]] = set()
        """Students whose flag of a school year may have to change."""
        self._versions: dict[int, int] = {}
        self._told: set[int] = set()

    async def lock(self, districts: Iterable[str], *, newest_us: int) -> None:
        """Lock the districts' lanes until the transaction ends; what it tells is newer than all they told before.

        `newest_us` is the append time of the newest fact behind it, in microseconds since 1970: versions follow it.
        """
        lanes = sorted({lane_of(district) for district in districts})
        rows = await self.connection.fetch(_LOCK_LANES, lanes)
        self._versions = {row["lane"]: max(row["version"] + 1, newest_us) for row in rows}

    def version(self, district: str) -> int:
        """Give the version of whatever is told of a district in this transaction."""
        lane = lane_of(district)
        self._told.add(lane)
        return self._versions[lane]

    async def open_schools(self, wanted: Iterable[SchoolYear]) -> list[School]:
        """Take schools into the hand, without pages; one never heard of is begun. Returns those that were not there."""
        missing = [key for key in dict.fromkeys(wanted) if key not in self.schools]
        if not missing:
            return []
        opened = {SchoolYear(*row[:3]): _school(row) for row in await self._fetch(_SCHOOLS, missing)}
        for key in missing:
            if key not in opened:
                opened[key] = School(key)
            self.schools[key] = opened[key]
        return list(opened.values())

    async def open_whole(self, wanted: Iterable[School]) -> None:
        """Take every page of these schools into the hand."""
        missing = [school for school in wanted if not school.is_whole]
        if missing:
            self._hold(await self._fetch(_WHOLE_PAGES, [school.key for school in missing if not school.is_new]))
            for school in missing:
                school.is_whole = True

    async def open_pages(self, wanted: Collection[tuple[SchoolYear, int]]) -> None:
        """Take these pages into the hand, where they are not yet."""
        missing = [
            (*key, number)
            for key, number in wanted
            if not self.schools[key].is_whole and number not in self.schools[key].pages
        ]
        if missing:
            self._hold(await self.connection.fetch(_SOME_PAGES, *columns(missing, width=4)))

    async def open_students(self, wanted: Mapping[SchoolYear, Collection[bytes]]) -> None:
        """Take the pages of these students into the hand, and the one on which a newcomer gets a place."""
        wanted = {key: students for key, students in wanted.items() if not self.schools[key].is_whole}
        if not wanted:
            return
        keys = {uuid_of(student) for students in wanted.values() for student in students}
        rows = await self.connection.fetch(_PAGES_OF_STUDENTS, list(keys), *columns(wanted, width=3))
        pages = {(SchoolYear(*row[:3]), row[3]) for row in rows}
        await self.open_pages(pages | {(key, self.schools[key].last_page) for key in wanted})

    async def save(self) -> None:
        """Write every school and page that changed, and the lanes whose version was told."""
        schools = [school for school in self.schools.values() if school.is_changed or school.is_new]
        if schools:
            await self.connection.execute(_SAVE_SCHOOLS, *columns(map(_school_row, _ordered(schools)), width=19))
        pages = [
            (*school.key, *page.columns())
            for school in _ordered(self.schools.values())
            for page in school.pages.values()
            if page.is_changed
        ]
        if pages:
            await self.connection.execute(_SAVE_PAGES, *columns(pages, width=15))
        if self._told:
            moved = [(lane, self._versions[lane]) for lane in sorted(self._told)]
            await self.connection.execute(_MOVE_LANES, *columns(moved, width=2))

    async def _fetch(self, statement: str, keys: Sequence[SchoolYear]) -> list[asyncpg.Record]:
        return await self.connection.fetch(statement, *columns(keys, width=3)) if keys else []

    def _hold(self, rows: Iterable[asyncpg.Record]) -> None:
        for row in rows:
            school = self.schools[SchoolYear(*row[:3])]
            if row["page"] not in school.pages:  # what is in the hand may have changed already
                school.hold(Page.read(*row[3:]))


async def schools_due(connection: Connection, today: date, *, limit: int) -> list[SchoolYear]:
    """Name school years at which the timer has not looked today, or that something made due."""
    return [SchoolYear(*row) for row in await connection.fetch(_DUE, today, limit)]


def _ordered(schools: Iterable[School]) -> Iterator[School]:
    return iter(sorted(schools, key=lambda school: school.key))


def _school(row: asyncpg.Record) -> School:
    school = School(
        SchoolYear(row["district"], row["school"], row["school_year"]),
        calendar_version=row["calendar_version"],
        feed=row["feed"],
        declared=row["declared"],
        enrols=row["enrols"],
        school_days=packing.unpack_set(row["school_days"]),
        tracks={name: (version, int(days, 16)) for name, (version, days) in _tracks.decode(row["tracks"]).items()},
        is_stale=row["is_stale"],
        students=row["students"],
        decisions=row["decisions"],
        closed=packing.unpack_set(row["closed"]),
        tallied=packing.unpack_set(row["tallied"]),
        completions=Completions(row["completions"]),
        checked_on=row["checked_on"],
        today=row["today"],
        ahead=packing.unpack_set(row["ahead"]),
        is_new=False,
    )
    school.follow_facts()
    return school


def _school_row(school: School) -> tuple[Any, ...]:
    tracks = {name: (version, format(days, "x")) for name, (version, days) in school.tracks.items()}
    return (
        *school.key,
        school.calendar_version,
        school.feed,
        school.declared,
        school.enrols,
        packing.pack_set(school.school_days),
        _encode(tracks).decode(),
        school.is_stale,
        school.students,
        school.decisions,
        packing.pack_set(school.closed),
        packing.pack_set(school.tallied),
        school.completions.pack(),
        school.today,
        packing.pack_set(school.ahead),
        school.checked_on,
        packing.pack_set(school.completed),
    )

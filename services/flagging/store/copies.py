"""Two copies of flagging's tables: compared by what they say, and what was told taken over from one by the other.

Places on a page follow the order of arrival and pages are packed, so the same truth lies in other bytes: students are
compared with students, marks with marks. What was told is no function of the facts alone, for batches were cut
otherwise: it is taken over, and whoever the facts say something else of is judged.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from contracts.calendar import first_day_of
from services.flagging.rules import packing
from services.flagging.rules.page import SEVERAL_TRACKS, WATCHED, Page
from services.flagging.rules.register import BY_RULE, School, SchoolYear
from services.flagging.rules.rolls import Completion, Mark, RollPage
from services.flagging.store import rolls, rosters
from services.flagging.store.registers import Registers
from services.flagging.store.rolls import RollKey
from services.runtime.columns import columns
from services.runtime.database import Connection
from services.runtime.rebuild.differences import EXAMPLES, TableDifference
from services.runtime.rebuild.own_ways import Compared

KEPT = ("lane", "flag", "flag_history")
"""What was told. The lane's row first, as everybody locks it."""

COMPARED_HERE = frozenset({"school_year", "register_page", "member", "roll_page", "mark_count", "judge_due"})
"""Whoever is due to be judged is so for a second, and is no matter of truth."""

# What it names without a schema is then found in this one, until the transaction ends.
_LOOK_AT = "SELECT set_config('search_path', $1, true)"
_SCHOOL_YEARS = "SELECT district, school, school_year::int, checked_on, completed FROM school_year"
_FACES = """
SELECT student_key, page::int, entry_date, grade, household_key, person_key FROM member
WHERE district = $1 AND school = $2 AND school_year = $3"""

# A repeat in the batch of the mark itself counts as one that changed nothing; cut otherwise, both had an effect. Only
# the sum is a fact.
_MARKS_DEALT_WITH = """
SELECT district, coalesce(a.applied + a.duplicate, 0) AS first, coalesce(b.applied + b.duplicate, 0) AS second
FROM {first}.mark_count a FULL JOIN {second}.mark_count b USING (district)"""
_KEEP_COUNTS = """
UPDATE {target}.mark_count c SET applied = t.applied, duplicate = t.duplicate FROM {source}.mark_count t
WHERE t.district = c.district AND t.applied + t.duplicate = c.applied + c.duplicate"""

_KEEP_TOLD_DAYS = """
UPDATE {target}.school_year c SET closed = t.closed, tallied = t.tallied FROM {source}.school_year t
WHERE (t.district, t.school, t.school_year) = (c.district, c.school, c.school_year)
  AND (t.closed, t.tallied) <> (c.closed, c.tallied)"""
_TELL_ANEW = """
UPDATE school_year SET is_stale = true, checked_on = '-infinity'
WHERE (district, school, school_year) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::int[]))"""
_TOLD_OTHERWISE = """
SELECT student_key, school_year::int, t.level IS NOT NULL AS is_watched, coalesce(t.level, 0)::int AS level,
    coalesce(t.level, 0) <> coalesce(c.level, 0)
        OR (t.level > 0 AND t.household_key IS DISTINCT FROM c.household_key) AS is_due
FROM {source}.flag t FULL JOIN {target}.flag c USING (student_key, school_year)
WHERE t.level IS DISTINCT FROM c.level OR (t.level > 0 AND t.household_key IS DISTINCT FROM c.household_key)"""
_LET_JUDGE = """
INSERT INTO judge_due (student_key, school_year) SELECT * FROM unnest($1::uuid[], $2::int[]) ON CONFLICT DO NOTHING"""


class SchoolSays(NamedTuple):
    """What a school's row says. `completed_column` is the copy of the completions that SQL counts by."""

    calendar: tuple[int, str | None, int]
    tracks: frozenset[tuple[str, int, int]]
    completions: frozenset[tuple[int, Completion]]
    declared: tuple[str | None, bool]
    completed_column: bool


class DaysSay(NamedTuple):
    """What a page says of a student. `finds_rolls`: it knows on which days there are roll pages of its."""

    enrolled: int
    marked: int
    missed: int
    yielded: int
    grade: int
    track: str | None
    finds_rolls: bool


class FaceSays(NamedTuple):
    """What a member's row says. `is_there`: the student lies on the page that it names."""

    entry_date: date | None
    grade: str | None
    household_key: UUID | None
    person_key: UUID | None
    is_there: bool


class Glance(NamedTuple):
    """What SQL alone sees of a school's year."""

    checked_on: date
    completed: bytes


Say = dict[str, dict[Hashable, Any]]
"""What a copy says of a school's year: by table, and there by whom it says it of."""

_EXAMPLE_NAMES = {"school_year": (), "register_page": ("student_key",), "member": ("student_key",),
                  "roll_page": ("school_day", "student_key")}  # fmt: skip


async def compare(connection: Connection, first: str, second: str) -> Compared:
    """Compare the copies in two schemas, a school's year at a time. Concerned are those that differ."""
    glances = {schema: await _school_years(connection, schema) for schema in (first, second)}
    rows = dict.fromkeys(_EXAMPLE_NAMES, 0)
    found = {table: _Difference(table) for table in _EXAMPLE_NAMES}
    concerned: set[SchoolYear] = set()
    for key in sorted(glances[first].keys() | glances[second].keys()):
        both = glances[first].get(key), glances[second].get(key)
        # What the timer makes of a school is compared where it has been at both.
        is_settled = both[0] is not None and both[1] is not None and both[0].checked_on == both[1].checked_on
        says = [
            await _read(connection, schema, key, glance, is_settled=is_settled)
            for schema, glance in zip((first, second), both, strict=True)
        ]
        for table, difference in found.items():
            rows[table] += len(says[0][table])
            if difference.add(key, says[0][table], says[1][table]):
                concerned.add(key)
    counts = await connection.fetch(_MARKS_DEALT_WITH.format(first=first, second=second))
    rows["mark_count"] = len(counts)
    differences = [each.told() for each in found.values() if each.examples]
    return Compared(rows, [*differences, *_counts_that_differ(counts)], frozenset(concerned))


async def take_over(connection: Connection, source: str, target: str, concerned: Iterable[SchoolYear]) -> None:
    """Let a copy stand by what was told from the running one; what differs is told by the timers, and nothing twice.

    Of the school years in which the two differed all is told anew. Elsewhere whoever's flag the copy concluded
    otherwise than it was told keeps the told one, and is judged where the level or the household is another.
    """
    await connection.execute(_KEEP_TOLD_DAYS.format(source=source, target=target))
    await connection.execute(_KEEP_COUNTS.format(source=source, target=target))
    told = await connection.fetch(_TOLD_OTHERWISE.format(source=source, target=target))
    await connection.execute(_LOOK_AT, target)
    concerned = frozenset(concerned)
    made_anew = await _set_levels(connection, told, concerned)
    due = {(row["student_key"], row["school_year"]) for row in told if row["is_due"]}
    due -= made_anew  # by a page that is still to be made, they would be judged wrongly first
    await connection.execute(_LET_JUDGE, *columns(sorted(due), width=2))
    await connection.execute(_TELL_ANEW, *columns(sorted(concerned), width=3))


async def _set_levels(
    connection: Connection, told: Iterable[asyncpg.Record], concerned: Collection[SchoolYear]
) -> set[tuple[UUID, int]]:
    """Set what pages know of the flags that were told; name who is at a school that is made anew, and judged then."""
    by_student = {(row["student_key"], row["school_year"]): row for row in told}
    found = await rosters.members_of(connection, {student for student, _ in by_student})
    members = [m for every in found.values() for m in every if (m.student_key, m.school_year) in by_student]
    keys = [member.key for member in members]
    registers = Registers(connection)
    await registers.open_schools(keys)
    await registers.open_pages({(key, member.page) for key, member in zip(keys, members, strict=True)})
    for key, member in zip(keys, members, strict=True):
        row = by_student[member.student_key, member.school_year]
        page, at = registers.schools[key].page_of(member.student_key.bytes)
        page.traits[at] = page.traits[at] & ~WATCHED | WATCHED * row["is_watched"]
        page.levels[at] = row["level"]
        page.is_changed = True
    await registers.save()
    return {
        (member.student_key, member.school_year) for key, member in zip(keys, members, strict=True) if key in concerned
    }


async def _school_years(connection: Connection, schema: str) -> dict[SchoolYear, Glance]:
    await connection.execute(_LOOK_AT, schema)
    return {SchoolYear(*row[:3]): Glance(*row[3:]) for row in await connection.fetch(_SCHOOL_YEARS)}


async def _read(
    connection: Connection, schema: str, key: SchoolYear, glance: Glance | None, *, is_settled: bool
) -> Say:
    says: Say = {table: {} for table in _EXAMPLE_NAMES}
    if glance is None:
        return says
    await connection.execute(_LOOK_AT, schema)
    registers = Registers(connection)
    (school,) = await registers.open_schools([key])
    roll_pages = await rolls.read_school(connection, key)
    of_school = _of_school(school, glance, is_settled=is_settled)
    if not (roll_pages or school.has_calendar or of_school.tracks or of_school.completions):
        # No fact is of this year: who is known in it, of stints that last, follows from when the year was heard of.
        return says
    await registers.open_whole([school])
    says["school_year"] = {(): of_school}
    days = dict(_days(school, roll_pages))
    says["register_page"] = {(student,): each for student, each in days.items()}
    for student_key, page, *face in await connection.fetch(_FACES, *key):
        student = student_key.bytes
        if student in days:
            says["member"][(student,)] = FaceSays._make((*face, school.page_of(student)[0].number == page))
    says["roll_page"] = dict(_marks(roll_pages))
    return says


def _of_school(school: School, glance: Glance, *, is_settled: bool) -> SchoolSays:
    completions = school.completions.by_place.items()
    return SchoolSays(
        (school.calendar_version, school.feed, school.school_days),
        # A track that only an enrolment names, perhaps one that no longer stands, has no days.
        frozenset((name, version, days) for name, (version, days) in school.tracks.items() if version >= 0),
        frozenset(each for each in completions if is_settled or each[1] != BY_RULE),
        (school.declared, school.enrols) if is_settled else (None, False),
        glance.completed == packing.pack_set(school.completed),
    )


def _days(school: School, roll_pages: Iterable[RollKey]) -> Iterator[tuple[bytes, DaysSay]]:
    """Give whoever has a day; of somebody without any it depends on the order of the facts whether there is a place."""
    first = first_day_of(school.key.school_year)
    sent: defaultdict[int, int] = defaultdict(int)
    for key in roll_pages:
        sent[key.page] |= 1 << (key.school_day - first).days
    for page, at in school.everybody():
        if page.enrolled[at] or page.marked[at] or page.missed[at]:
            yield page.keys[at], _days_of(school, page, at, finds_rolls=page.rolls == sent[page.number])


def _days_of(school: School, page: Page, at: int, *, finds_rolls: bool) -> DaysSay:
    number = page.tracks[at]
    names = (None, *school.tracks)
    track = "" if number == SEVERAL_TRACKS else names[number] if number < len(names) else "?"
    return DaysSay(
        page.enrolled[at], page.marked[at], page.missed[at], page.yielded[at], page.grades[at], track, finds_rolls
    )


def _marks(roll_pages: Mapping[RollKey, RollPage]) -> Iterator[tuple[tuple[str, bytes], Mark]]:
    for key, page in roll_pages.items():
        day = key.school_day.isoformat()
        for student, mark in page.marks.items():
            yield (day, student), mark


class _Difference:
    """What is found to differ in one table, school year by school year."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.only_in_first = self.only_in_second = 0
        self.examples: list[dict[str, Any]] = []

    def add(self, key: SchoolYear, first: Mapping[Any, Any], second: Mapping[Any, Any]) -> bool:
        """Count what differs in a school's year; say whether anything does."""
        if first == second:
            return False
        others = [who for who, said in first.items() if second.get(who) != said]
        self.only_in_first += len(others)
        more = [who for who, said in second.items() if first.get(who) != said]
        self.only_in_second += len(more)
        for who in list(dict.fromkeys((*others, *more)))[: EXAMPLES - len(self.examples)]:
            named = (str(UUID(bytes=each)) if isinstance(each, bytes) else each for each in who)
            self.examples.append(key._asdict() | dict(zip(_EXAMPLE_NAMES[self.table], named, strict=True)))
        return True

    def told(self) -> TableDifference:
        """Give it as the rebuild tells it."""
        return TableDifference(
            table=self.table,
            only_in_first=self.only_in_first,
            only_in_second=self.only_in_second,
            examples=self.examples,
        )


def _counts_that_differ(counts: Iterable[asyncpg.Record]) -> Iterator[TableDifference]:
    others = [row["district"] for row in counts if row["first"] != row["second"]]
    if others:
        examples = [{"district": district} for district in sorted(others)[:EXAMPLES]]
        yield TableDifference(
            table="mark_count", only_in_first=len(others), only_in_second=len(others), examples=examples
        )

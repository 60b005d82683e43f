"""`leap trace DISTRICT OFFSET` and `leap trace DISTRICT DATE [SCHOOL]`: where each landed mark ended."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from contracts.calendar import school_year_of
from contracts.topics import ATTENDANCE_IN, PARTITIONS
from deploy.commands import districts, state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from deploy.commands.traced import TAKEN_BACK, TracedMark, Traces
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.rolls import CATEGORIES, Mark
from services.flagging.store import rolls, rosters
from services.flagging.store.registers import Registers
from services.runtime.delivery.publisher import partition_of


class NothingToTrace(Exception):
    """What was asked for is neither an offset nor a day; the message says how to ask."""


class End(NamedTuple):
    """Where a landing place ended: one of the five words, and what is to be known of it."""

    place: str
    ending: str
    why: str
    school: str | None = None
    day: str | None = None
    student_key: str | None = None


def trace(screen: Screen, *, district: str, what: str, school: str | None) -> int:
    """Print where a landing place ended, or those of a day: applied, superseded, waiting, rejected or dead."""
    districts.token_of(district)
    found = state.load_running()
    try:
        ends = asyncio.run(
            _of_offset(found, district, int(what))
            if what.isdecimal()
            else _of_day(found, district, date.fromisoformat(what), school)
        )
    except ValueError:
        raise NothingToTrace("leap trace DISTRICT OFFSET, or leap trace DISTRICT YYYY-MM-DD [SCHOOL]") from None
    screen.give({"district": district, "asked": what, "ends": [each._asdict() for each in ends]})
    counted = Counter((each.ending, each.why) for each in ends)
    if what.isdecimal():
        for each in ends:
            who = f"  {each.school} {each.day} student {each.student_key}" if each.student_key else ""
            screen.say(f"{each.place:16} {each.ending:10} {each.why}{who}")
    else:
        for (ending, why), marks in sorted(counted.items()):
            screen.say(f"{marks:8,} {ending:10} {why}")
        screen.say(f"{len(ends):8,} landing places of {what} in {district}")
    return 0


async def _of_offset(found: State, district: str, offset: int) -> list[End]:
    traces = Traces(district)
    await traces.read(found.kafka(), offset=offset)
    ends = [End(f"{offset}", "rejected", f"{each.reason}: {each.detail}") for each in traces.returned
            if each.offset == offset]  # fmt: skip
    marks = [each for place, each in traces.marks.items() if place.offset == offset]
    ends += await _ends_of(found, district, marks, traces)
    return ends or [await _untold(found, district, offset, traces)]


async def _of_day(found: State, district: str, day: date, school: str | None) -> list[End]:
    traces = Traces(district)
    await traces.read(found.kafka(), offset=None)
    marks = [each for each in traces.marks.values() if each.day == day and school in (None, each.school)]
    of_rolls = {place.offset: (each.school, each.day.isoformat()) for place, each in traces.marks.items()}
    returned = []
    for each in traces.returned:
        # Of a mark in a landed roll only its own bytes went back: its neighbours say which day it is of.
        own = each.told.get("school"), each.told.get("date")
        about = own if each.told else of_rolls.get(each.offset, own)
        if about[1] == day.isoformat() and school in (None, about[0]):
            returned.append(End(str(each.offset), "rejected", each.reason, *about))
    return [*await _ends_of(found, district, marks, traces), *returned]


async def _untold(found: State, district: str, offset: int, traces: Traces) -> End:
    """Say what became of a record of which no mark was told and nothing went back."""
    topic, (begin, end) = ATTENDANCE_IN + district, traces.bounds
    connection = await asyncpg.connect(found.admin_url(), server_settings={"search_path": "ingest"})
    try:
        position = await connection.fetchval(
            "SELECT next_offset FROM position WHERE topic = $1 AND partition = 0 AND consumer_group = 'leap-ingest'",
            topic,
        )
        reason = await connection.fetchval(
            "SELECT reason FROM dead_letter WHERE topic = $1 AND partition = 0 AND record_offset = $2", topic, offset
        )
        dealt, void = await connection.fetchrow(
            """SELECT coalesce(bool_or(dealt @> $2::bigint OR $2 < began), false), coalesce(bool_or(void @> $2), false)
               FROM landing_book WHERE topic = $1 AND partition = 0""",
            topic,
            offset,
        ) or (False, False)
    finally:
        await connection.close()
    if reason is not None:
        return End(str(offset), "dead", f"ingest set it aside: {reason}")
    if offset >= end:
        return End(str(offset), "never", f"the log ends at {end}")
    if position is None or offset >= position:
        return End(str(offset), "waiting", f"ingest has not read it yet: it stands at {position or 0}")
    if dealt:
        kind = (traces.landed or {}).get("type", "a record that the log no longer holds")
        return End(str(offset), "applied", f"{kind}: published, and no mark of it is told in `rolls` as it is kept")
    if void:
        return End(str(offset), "never", "no record stands there: a transaction's end, or what it took back")
    return End(str(offset), "missing", f"ingest passed it over (the log holds {begin} to {end}): see ConservationGap")


async def _ends_of(found: State, district: str, marks: Collection[TracedMark], traces: Traces) -> list[End]:
    if not marks:
        return []
    connection = await asyncpg.connect(found.admin_url(), server_settings={"search_path": "flagging"})
    try:
        lane = partition_of(district, PARTITIONS)
        position = await connection.fetchval(
            "SELECT next_offset FROM position WHERE topic = 'rolls' AND partition = $1", lane
        )
        set_aside = await connection.fetch(
            "SELECT record_offset, reason FROM dead_letter WHERE topic = 'rolls' AND partition = $1", lane
        )
        standing = await _standing(connection, district, {(each.school, each.day) for each in marks})
        why_not = await _why_not_counted(connection, district, marks)
    finally:
        await connection.close()
    dead = {row["record_offset"]: row["reason"] for row in set_aside}
    by_version: defaultdict[tuple[str, date, str, int], list[TracedMark]] = defaultdict(list)
    for each in traces.marks.values():
        by_version[each.school, each.day, each.student_key, each.version].append(each)
    ends = []
    for mark in marks:
        ending, why = _end_of(mark, position or 0, dead, standing, why_not)
        if ending == "superseded":
            version = standing[mark.school, mark.day][UUID(mark.student_key).bytes].version
            others = [each for each in by_version[mark.school, mark.day, mark.student_key, version] if each != mark]
            if others:
                why += f", landed at {others[0].place}"
        ends.append(End(str(mark.place), ending, why, mark.school, mark.day.isoformat(), mark.student_key))
    return ends


def _category(mark: Mark) -> str:
    return str(CATEGORIES[mark.code]) if mark.code else TAKEN_BACK


Standing = Mapping[tuple[str, date], Mapping[bytes, Mark]]


def _end_of(
    mark: TracedMark,
    position: int,
    dead: Mapping[int, str],
    standing: Standing,
    why_not: Mapping[tuple[str, date, bytes], str],
) -> tuple[str, str]:
    student = UUID(mark.student_key).bytes
    if mark.at in dead:
        return "dead", f"flagging set its roll aside: {dead[mark.at]}"
    if mark.at >= position:
        return "waiting", f"flagging has not read its roll yet: it stands at {position}"
    stands = standing.get((mark.school, mark.day), {}).get(student)
    if stands is None or stands.version < mark.version:
        return "missing", "flagging read its roll and does not hold it: see ConservationGap"
    if (stands.version, _category(stands)) != (mark.version, mark.category):
        return "superseded", f"by version {stands.version}: {_category(stands)}"
    waits = why_not.get((mark.school, mark.day, student))
    return ("waiting", waits) if waits else ("applied", f"it stands: {mark.category}")


async def _standing(connection: Any, district: str, days: Collection[tuple[str, date]]) -> Standing:
    found: defaultdict[tuple[str, date], dict[bytes, Mark]] = defaultdict(dict)
    for school, year in sorted({(school, school_year_of(day)) for school, day in days}):
        for key, page in (await rolls.read_school(connection, SchoolYear(district, school, year))).items():
            if (school, key.school_day) in days:
                found[school, key.school_day] |= page.marks
    return found


async def _why_not_counted(
    connection: Any, district: str, marks: Collection[TracedMark]
) -> Mapping[tuple[str, date, bytes], str]:
    """Say of marks that stand and whose day does not count what they wait for."""
    registers = Registers(connection)
    opened = await registers.open_schools(
        {SchoolYear(district, each.school, school_year_of(each.day)) for each in marks}
    )
    await registers.open_whole(opened)
    members = await rosters.members_of(connection, {UUID(each.student_key) for each in marks})
    enrolled = {
        (member.student_key.bytes, member.school, member.school_year)
        for every in members.values()
        for member in every
        if member.entry_date is not None
    }
    found: dict[tuple[str, date, bytes], str] = {}
    for each in marks:
        school = registers.schools[SchoolYear(district, each.school, school_year_of(each.day))]
        student = UUID(each.student_key).bytes
        is_known = (student, each.school, school.key.school_year) in enrolled
        if waits := _what_it_waits_for(school, student, each.day, is_known=is_known):
            found[each.school, each.day, student] = waits
    return found


def _what_it_waits_for(school: School, student: bytes, day: date, *, is_known: bool) -> str:
    if student not in school.index:
        return "no place in the register yet"
    bit = 1 << school.place_of(day)
    counted, _ = school.days(*school.page_of(student))
    if counted & bit:
        return ""
    if not is_known:
        return "no enrolment knows this number here"
    if school.has_calendar and not school.school_days & bit:
        return "its day is no school day of the calendar"
    if not (school.completed | school.open_days) & bit:
        return "the roll of its day is not complete"
    return "no enrolment covers its day"

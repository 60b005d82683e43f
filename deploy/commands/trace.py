"""`leap trace DISTRICT [PARTITION/]OFFSET` and `leap trace DISTRICT DATE [SCHOOL]`: where each landed mark ended."""

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
from deploy.commands.traced import TAKEN_BACK, TracedMark, Traces, spelt
from services.flagging.rules.register import School, SchoolYear
from services.flagging.rules.rolls import CATEGORIES, Mark
from services.flagging.store import rolls, rosters
from services.flagging.store.registers import Registers
from services.runtime.delivery.publisher import partition_of

OF_BEFORE = " (of the topic's former log)"


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


_MOST = 2**63


def trace(screen: Screen, *, district: str, what: str, school: str | None) -> int:
    """Print where a landing place ended, or those of a day: applied, superseded, waiting, rejected or dead."""
    asked = _asked(what)
    districts.token_of(district)
    found = state.load_running()
    ends = asyncio.run(
        _of_day(found, district, asked, school)
        if isinstance(asked, date)
        else _of_offset(found, district, asked[1], partition=asked[0])
    )
    screen.give({"district": district, "asked": what, "ends": [each._asdict() for each in ends]})
    counted = Counter((each.ending, each.why) for each in ends)
    if isinstance(asked, date):
        for (ending, why), marks in sorted(counted.items()):
            screen.say(f"{marks:8,} {ending:10} {why}")
        screen.say(f"{len(ends):8,} landing places of {what} in {district}")
    else:
        for each in ends:
            who = f"  {each.school} {each.day} student {each.student_key}" if each.student_key else ""
            screen.say(f"{each.place:16} {each.ending:10} {each.why}{who}")
    return 0


def _asked(what: str) -> date | tuple[int, int]:
    """Read a day, or a partition and an offset; of one partition, as landing topics are made, the offset is enough."""
    partition, _, offset = what.rpartition("/")
    if (offset.isascii() and offset.isdigit()) and (not partition or (partition.isascii() and partition.isdigit())):
        at = int(partition or 0), int(offset)
        if max(at) < _MOST:
            return at
    try:
        return date.fromisoformat(what)
    except ValueError:
        raise NothingToTrace(
            "leap trace DISTRICT OFFSET, DISTRICT PARTITION/OFFSET or DISTRICT YYYY-MM-DD [SCHOOL]"
        ) from None


async def _of_offset(found: State, district: str, offset: int, *, partition: int = 0) -> list[End]:
    traces = Traces(district)
    await traces.read(found.kafka(), at=(partition, offset))
    if traces.bounds is None:
        raise NothingToTrace(f"{ATTENDANCE_IN}{district} has no partition {partition}")
    asked = [each for each in traces.returned if (each.partition, each.offset) == (partition, offset)]
    ends = [
        End(spelt(partition, offset), "rejected", f"{each.reason}: {each.detail}")
        for each in asked
        if traces.is_of_this_log(each)
    ]
    marks = [each for place, each in traces.marks.items() if (place.partition, place.offset) == (partition, offset)]
    ends += await _ends_of(found, district, [each for each in marks if traces.is_current(each)], traces)
    if not ends:
        ends.append(await _untold(found, district, traces, partition=partition, offset=offset))
    # The topic was made anew: what stood at that offset before is told too, and that it is of before.
    ends += [
        End(spelt(partition, offset), "rejected", f"{each.reason}: {each.detail}{OF_BEFORE}")
        for each in asked
        if not traces.is_of_this_log(each)
    ]
    former = await _ends_of(found, district, [each for each in marks if not traces.is_current(each)], traces)
    return ends + [each._replace(why=each.why + OF_BEFORE) for each in former]


async def _of_day(found: State, district: str, day: date, school: str | None) -> list[End]:
    traces = Traces(district)
    await traces.read(found.kafka(), at=None)
    marks = [each for each in traces.marks.values() if each.day == day and school in (None, each.school)]
    of_rolls = {
        (place.partition, place.offset): (each.school, each.day.isoformat()) for place, each in traces.marks.items()
    }
    returned = []
    for each in traces.returned:
        # Of a mark in a landed roll only its own bytes went back: its neighbours say which day it is of.
        own = each.told.get("school"), each.told.get("date")
        about = own if each.told else of_rolls.get((each.partition, each.offset), own)
        if about[1] == day.isoformat() and school in (None, about[0]):
            returned.append(End(spelt(each.partition, each.offset), "rejected", each.reason, *about))
    return [*await _ends_of(found, district, marks, traces), *returned]


async def _untold(found: State, district: str, traces: Traces, *, partition: int, offset: int) -> End:
    """Say what became of a record of which no mark was told and nothing went back."""
    assert traces.bounds is not None, "the partition was found"
    topic, (begin, end), place = ATTENDANCE_IN + district, traces.bounds, spelt(partition, offset)
    connection = await asyncpg.connect(found.admin_url(), server_settings={"search_path": "ingest"})
    try:
        position = await connection.fetchval(
            "SELECT next_offset FROM position WHERE topic = $1 AND partition = $2 AND consumer_group = 'leap-ingest'",
            topic,
            partition,
        )
        reason = await connection.fetchval(
            """SELECT reason FROM dead_letter WHERE topic = $1 AND partition = $2 AND record_offset = $3
                 AND (record_timestamp_ms = $4 OR record_timestamp_ms IS NULL OR $4 IS NULL)""",
            topic,
            partition,
            offset,
            traces.landed_at_ms,
        )
        # Of several logs of that name the newest is the one that there is.
        dealt, void, newest_ms = await connection.fetchrow(
            """SELECT dealt @> $3::bigint OR $3 < began, void @> $3, newest_ms
               FROM landing_book WHERE topic = $1 AND partition = $2 ORDER BY log DESC LIMIT 1""",
            topic,
            partition,
            offset,
        ) or (False, False, 0)
    finally:
        await connection.close()
    if traces.landed_at_ms is not None and dealt and traces.landed_at_ms > newest_ms:
        return End(place, "waiting", "the log is another one by now, and is not read yet: see `leap position show`")
    if reason is not None:
        return End(place, "dead", f"ingest set it aside: {reason}")
    if offset >= end:
        return End(place, "never", f"the log ends at {end}")
    if position is None or offset >= position:
        return End(place, "waiting", f"ingest has not read it yet: it stands at {position or 0}")
    if dealt:
        kind = (traces.landed or {}).get("type", "a record that the log no longer holds")
        return End(place, "applied", f"{kind}: published, and no mark of it is told in `rolls` as it is kept")
    if void:
        return End(place, "never", "no record stands there: a transaction's end, or what it took back")
    return End(place, "missing", f"ingest passed it over (the log holds {begin} to {end}): see ConservationGap")


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
        owners = await rosters.owners_of(connection, {UUID(each.student_key) for each in marks})
        why_not = await _why_not_counted(connection, district, marks, owners)
    finally:
        await connection.close()
    dead = {row["record_offset"]: row["reason"] for row in set_aside}
    by_version: defaultdict[tuple[str, date, str, int], list[TracedMark]] = defaultdict(list)
    for each in traces.marks.values():
        by_version[each.school, each.day, each.student_key, each.version].append(each)
    ends = []
    for mark in marks:
        ending, why = _end_of(mark, position or 0, dead, standing, why_not)
        if ending == "applied" and (newer := _of_another_number(mark, standing, owners)):
            ending, why = "superseded", f"by version {newer.version} under the child's other number: {_category(newer)}"
        elif ending == "superseded":
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


def _of_another_number(mark: TracedMark, standing: Standing, owners: Mapping[UUID, UUID]) -> Mark | None:
    """Find the mark of the day that stands for the child in the place of this one, under another of its numbers."""
    own, of_day = UUID(mark.student_key), standing[mark.school, mark.day]
    child = owners.get(own, own)
    numbers = {child, *(number for number, owner in owners.items() if owner == child)} - {own}
    newest = of_day[own.bytes]
    for each in numbers:
        found = of_day.get(each.bytes)
        if found is not None and found.beats(newest):
            newest = found
    return newest if newest is not of_day[own.bytes] else None


async def _standing(connection: Any, district: str, days: Collection[tuple[str, date]]) -> Standing:
    found: defaultdict[tuple[str, date], dict[bytes, Mark]] = defaultdict(dict)
    for school, year in sorted({(school, school_year_of(day)) for school, day in days}):
        for key, page in (await rolls.read_school(connection, SchoolYear(district, school, year))).items():
            if (school, key.school_day) in days:
                found[school, key.school_day] |= page.marks
    return found


async def _why_not_counted(
    connection: Any, district: str, marks: Collection[TracedMark], owners: Mapping[UUID, UUID]
) -> Mapping[tuple[str, date, bytes], str]:
    """Say of marks that stand and whose day does not count what they wait for."""
    registers = Registers(connection)
    opened = await registers.open_schools(
        {SchoolYear(district, each.school, school_year_of(each.day)) for each in marks}
    )
    await registers.open_whole(opened)
    # Where an enrolment joins two numbers, it is the child whose days count.
    children = {each: owners.get(each, each) for each in (UUID(each.student_key) for each in marks)}
    members = await rosters.members_of(connection, set(children.values()))
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
        child = children[UUID(each.student_key)].bytes
        is_known = (child, each.school, school.key.school_year) in enrolled
        if waits := _what_it_waits_for(school, child, each.day, is_known=is_known):
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

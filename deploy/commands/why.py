"""`leap why KEY`: why this student is here, and `leap absent DISTRICT N`: students who are one absence from it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from contracts.calendar import school_year_of
from deploy.commands import districts, http_client, life, people, push, state
from deploy.commands.screen import Screen
from deploy.commands.state import State
from services.flagging.rules.page import NO_GRADE, PK, SHARED
from services.flagging.rules.register import School, SchoolYear
from services.flagging.store.registers import Registers
from services.runtime.web.sign_in import COMMAND_AGENT

FLAG_SECONDS = 30.0
POLL_SECONDS = 0.2
ENOUGH_DAYS = 10


class NobodyFound(Exception):
    """No such student or household; the message says what was looked for, and no name."""


class Close(NamedTuple):
    """A student who reaches a tenth with one more absence, and the newest counted day, on which it may be."""

    student_key: str
    school: str
    school_day: date


def why(screen: Screen, *, key: str) -> int:
    """Print the days, the rule and the flag's history of the student whose key begins so."""
    found = state.load_running()
    student_key = asyncio.run(_complete(found.admin_url(), key))
    answer = http_client.get(
        found.address_of("flagging"),
        f"/v1/students/{student_key}/absence",
        people.acting_as("audit") | {"User-Agent": f"{COMMAND_AGENT}why"},
    )
    screen.give(answer)
    screen.say(f"student {student_key}")
    for name, told in answer.items():
        screen.say(f"  {name.replace('_', ' '):18} {told if isinstance(told, str | int) else json.dumps(told)}")
    return 0


def absent(screen: Screen, *, district: str, students: int) -> int:
    """Mark that many students absent who are close to the line, as their district would, and show flags."""
    found = state.load_running()
    if found.demo is None:
        raise NobodyFound("the simulated state was not sent: `leap up` without --no-demo")
    token = districts.token_of(district)
    number_by_key = _numbers_by_key(found, district)
    everybody = asyncio.run(_close_to_the_line(found.admin_url(), district))
    close = [each for each in everybody if each.student_key in number_by_key][:students]
    # Versions are modification times of the state's own clock, and its districts date their day's marks at noon.
    version = int((life.now() + timedelta(days=1)).timestamp()) * 1_000_000
    marks: list[dict[str, Any]] = [
        {
            "type": "mark",
            "student": number_by_key[each.student_key],
            "school": each.school,
            "date": each.school_day.isoformat(),
            "category": "unexcused_absence",
            "version": version,
        }
        for each in close
    ]
    if not marks:
        raise NobodyFound(f"nobody in {district} is one absence away from the line")

    address = found.address_of("ingest")
    receipts = push.upload(screen, [push.ndjson("attendance", marks)], address=address, district=district, token=token)
    keys = [each.student_key for each in close]
    flagged = _wait_for_flags(found, keys)
    screen.give({"district": district, "receipts": receipts, "students": keys, "flagged": flagged})
    for each in close:
        screen.say(f"{each.student_key}  absent on {each.school_day}: {flagged.get(each.student_key, 'not flagged')}")
    screen.say(f"\nTry:  leap why {keys[0][:8]}")
    return 0


def _wait_for_flags(found: State, keys: list[str]) -> dict[str, str]:
    deadline = time.monotonic() + FLAG_SECONDS
    while True:
        flagged = asyncio.run(_flags(found.admin_url(), keys))
        if len(flagged) == len(keys) or time.monotonic() > deadline:
            return flagged
        time.sleep(POLL_SECONDS)


async def _flags(admin_url: str, keys: list[str]) -> dict[str, str]:
    async with _in_flagging(admin_url) as connection:
        rows = await connection.fetch(
            "SELECT student_key::text, level FROM flag WHERE level >= 2 AND student_key = ANY($1::uuid[])", keys
        )
    return {row["student_key"]: {2: "chronically absent", 3: "severely absent"}[row["level"]] for row in rows}


async def _complete(admin_url: str, key: str) -> str:
    async with _in_flagging(admin_url) as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT student_key::text FROM member WHERE student_key::text LIKE $1 || '%' LIMIT 3", key.lower()
        )
    if len(rows) != 1:
        raise NobodyFound(f"{'no student key begins' if not rows else 'several student keys begin'} with {key}")
    return str(rows[0][0])


async def _close_to_the_line(admin_url: str, district: str) -> list[Close]:
    async with _in_flagging(admin_url) as connection:
        keys = await connection.fetch(
            """
            SELECT district, school, school_year::int FROM school_year
            WHERE district = $1 AND school_year = (SELECT max(school_year) FROM school_year WHERE district = $1)
            """,
            district,
        )
        registers = Registers(connection)
        schools = await registers.open_schools(SchoolYear(*key) for key in keys)
        await registers.open_whole(schools)
    return sorted(each for school in schools for each in _close_in(school))


def _close_in(school: School) -> Iterator[Close]:
    """Give those of one school alone who were there on their newest counted day and are one absence from a tenth."""
    for page, at in school.everybody():
        counted, absent = school.days(page, at)
        days, missed = counted.bit_count(), absent.bit_count()
        newest = counted.bit_length() - 1
        if page.grades[at] in (PK, NO_GRADE) or page.traits[at] & SHARED or days < ENOUGH_DAYS or absent >> newest & 1:
            continue
        if 10 * missed < days <= 10 * (missed + 1):
            yield Close(str(UUID(bytes=page.keys[at])), school.key.school, school.first_day + timedelta(days=newest))


def _numbers_by_key(found: State, district: str) -> dict[str, str]:
    from deploy.demo.population import settle
    from services.ingest.districts_file import load_districts

    assert found.demo is not None
    hashed = load_districts(districts.districts_file()).pseudonyms[district]
    towns = settle(
        seed=found.demo["seed"],
        scale=found.demo["scale"],
        school_year=school_year_of(date.fromisoformat(found.demo["until"])),
    )
    numbers = [student.number for school in towns[district].schools.values() for student in school.students]
    return {hashed.student_key(student=number, state_student=None): number for number in numbers}


@asynccontextmanager
async def _in_flagging(admin_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "flagging"})
    try:
        yield connection
    finally:
        await connection.close()

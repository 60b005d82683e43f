"""`leap why KEY`: why this student is here, and `leap absent DISTRICT N`: students who are one absence from it."""

import asyncio
import json
import time
from datetime import date, timedelta
from typing import Any

import asyncpg

from contracts.calendar import first_day_of, school_year_of
from deploy.commands import districts, http_client, people, push, state
from deploy.commands.screen import Screen
from deploy.commands.state import State

FLAG_SECONDS = 30.0
POLL_SECONDS = 0.2


class NobodyFound(Exception):
    """No such student; the message says what was looked for."""


def why(screen: Screen, *, key: str) -> int:
    """Print the days, the rule and the flag's history of the student whose key begins so."""
    found = state.load_running()
    student_key = asyncio.run(_complete(found.admin_url(), key))
    answer = http_client.get(
        found.address_of("flagging"), f"/v1/students/{student_key}/absence", people.acting_as("audit")
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
    close = asyncio.run(_close_to_the_line(found.admin_url(), district, students))
    number_by_key = _numbers_by_key(found, district)
    marks: list[dict[str, Any]] = [
        {
            "type": "mark",
            "student": number_by_key[row["student_key"]],
            "school": row["school"],
            "date": row["school_day"].isoformat(),
            "category": "unexcused_absence",
            "version": time.time_ns() // 1000,
        }
        for row in close
        if row["student_key"] in number_by_key
    ]
    if not marks:
        raise NobodyFound(f"nobody in {district} is one absence away from the line")

    address = found.address_of("ingest")
    receipts = push.upload(screen, [push.ndjson("attendance", marks)], address=address, district=district, token=token)
    keys = [row["student_key"] for row in close]
    flagged = _wait_for_flags(found, keys)
    screen.give({"district": district, "receipts": receipts, "students": keys, "flagged": flagged})
    for row in close:
        level = flagged.get(row["student_key"], "not flagged")
        screen.say(f"{row['student_key']}  absent on {row['school_day']}: {level}")
    if keys:
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
    rows = await _fetch(
        admin_url,
        "SELECT student_key::text, level FROM flagging.flag WHERE level >= 2 AND student_key = ANY($1::uuid[])",
        keys,
    )
    return {row["student_key"]: {2: "chronically absent", 3: "severely absent"}[row["level"]] for row in rows}


async def _complete(admin_url: str, key: str) -> str:
    rows = await _fetch(
        admin_url,
        "SELECT DISTINCT student_key::text FROM flagging.absence_record WHERE student_key::text LIKE $1 || '%' LIMIT 3",
        key.lower(),
    )
    if len(rows) != 1:
        raise NobodyFound(f"{'no student key begins' if not rows else 'several student keys begin'} with {key}")
    return str(rows[0][0])


async def _close_to_the_line(admin_url: str, district: str, students: int) -> list[asyncpg.Record]:
    # One school, not absent on the newest counted day, and one more absence makes a tenth.
    rows = await _fetch(
        admin_url,
        """
        SELECT student_key::text, school, school_year,
               366 - strpos(reverse(counted::text), '1') AS day_index
        FROM flagging.absence_record
        WHERE district = $1 AND NOT shared AND grade <> 'PK' AND bit_count(counted) >= 10
          AND 10 * bit_count(absent) < bit_count(counted) AND 10 * (bit_count(absent) + 1) >= bit_count(counted)
          AND get_bit(absent, 366 - strpos(reverse(counted::text), '1')) = 0
          AND school_year = (SELECT max(school_year) FROM flagging.absence_record)
        ORDER BY student_key LIMIT $2
        """,
        district,
        students,
    )
    return [_with_day(dict(row)) for row in rows]


def _with_day(row: dict[str, Any]) -> Any:
    return {**row, "school_day": first_day_of(row["school_year"]) + timedelta(days=row["day_index"])}


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


async def _fetch(admin_url: str, statement: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(admin_url)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()

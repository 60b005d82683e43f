"""A district of the release before rolls is carried over by starting the new one: days, months and flags are right.

The gate carries a small district. CARRIED=10000 carries so many students of 180 days, and tells what it took.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from contracts.topics import TOPIC_BY_NAME
from tests import people
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.pipeline.year import carried
from tests.pipeline.year.checker import Checker, Tally
from tests.pipeline.year.compared import Compared, Difference, in_kinds
from tests.pipeline.year.shown import Door, Pseudonyms

STUDENTS = int(os.environ.get("CARRIED", "260"))
SCHOOLS, TAUGHT, PLANNED = 2 + STUDENTS // 500, 180, 185
CARRIES_WITHIN_SECONDS = 60 + STUDENTS // 10
MEMORY_KB = 300 * 1024


class AsTheyAre(Pseudonyms):
    """Of numbers that are keys already."""

    def student(self, number: str) -> str:
        """Give the key."""
        return number

    def household(self, code: str) -> str:
        """Give the key."""
        return code


async def test_a_district_of_single_marks_is_carried_over(tmp_path: Path) -> None:
    stack = await start_stack(tmp_path, (carried.DISTRICT,), ())
    try:
        stack.it_is(carried.afternoon_of(TAUGHT))
        async with stack.sql("flagging") as connection:
            await carried.lay_out(connection, tmp_path / "before")
            await carried.fill(connection, students=STUDENTS, schools=SCHOOLS, taught=TAUGHT, planned=PLANNED)
            landed = await carried.facts(connection, taught=TAUGHT, planned=PLANNED)
        marks = sum(map(len, landed.marks.values()))
        checker = Checker(landed=landed, today=landed.latest)
        compared = Compared(checker, {carried.DISTRICT: AsTheyAre(b"", b"")})

        for name in ("reporting", "scheduling"):
            await stack.start(name)
        await _desk_knows(stack)
        began = time.monotonic()
        stack.ready_within_seconds = CARRIES_WITHIN_SECONDS
        await stack.start("flagging")
        migrated = time.monotonic() - began
        await _carried(stack)
        whole = time.monotonic() - began
        peak = _peak_kilobytes(stack)
        sys.stderr.write(f"\n{STUDENTS:,} students, {marks:,} marks: ready after {migrated:.1f} s, ")
        sys.stderr.write(f"carried over after {whole:.1f} s, flagging at most {peak // 1024} MB\n")

        found = [*await _told(stack, compared), *await asyncio.to_thread(_answered, stack, compared)]
        assert in_kinds(found) == []
        assert sum(child.level > 0 for child in checker.children.values()) > STUDENTS // 20
        assert peak < MEMORY_KB
    finally:
        await stack.stop()


async def _desk_knows(stack: Stack) -> None:
    """Let the desk know the flags that were told by the release before."""
    async with stack.sql("flagging") as connection:
        flags = await connection.fetch(
            """SELECT student_key, household_key, district, school, (ARRAY['none', 'at_risk', 'chronically_absent',
                      'severely_chronically_absent'])[1 + level], days_absent::integer, days_enrolled::integer,
                      school_year::integer, version, as_of FROM flag"""
        )
    async with stack.sql("scheduling") as connection:
        await connection.executemany(
            """INSERT INTO flagged_student (student_key, household_key, district, school, level, days_absent,
                                            days_enrolled, school_year, version, as_of)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
            [tuple(flag) for flag in flags],
        )


async def _carried(stack: Stack) -> None:
    """Return once no school is to be made any more, and everything is told and read."""

    async def done() -> bool:
        async with stack.sql("flagging") as connection:
            stale = await connection.fetchval("SELECT count(*) FROM school_year WHERE is_stale")
        return not stale

    await eventually(done, "every school has its pages", CARRIES_WITHIN_SECONDS)
    told = [topic.name for topic in TOPIC_BY_NAME.values() if topic.producer == "flagging"]
    await stack.drained("flagging", ())
    await stack.drained("scheduling", [name for name in told if "scheduling" in TOPIC_BY_NAME[name].consumers])
    await stack.drained("reporting", [name for name in told if "reporting" in TOPIC_BY_NAME[name].consumers])


def _peak_kilobytes(stack: Stack) -> int:
    status = Path(f"/proc/{stack.processes['flagging'].pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


async def _told(stack: Stack, compared: Compared) -> list[Difference]:
    async with stack.sql("reporting") as connection:
        months = await connection.fetch(
            "SELECT district, school, month, student_key, days_enrolled, days_absent FROM student_month"
        )
        days = await connection.fetch(
            "SELECT district, school, school_day, students_counted, students_absent FROM told_day"
        )
    async with stack.sql("scheduling") as connection:
        flagged = await connection.fetch(
            """SELECT student_key::text, level, days_absent, days_enrolled FROM flagged_student"""
        )
    of_months = {(*row[:3], str(row[3])): Tally(row[4], row[5]) for row in map(tuple, months)}
    of_days = {row[:3]: Tally(row[3], row[4]) for row in map(tuple, days)}
    return [*compared.months(of_months), *compared.school_days(of_days), *_at_the_desk(compared, flagged)]


def _at_the_desk(compared: Compared, flagged: list[asyncpg.Record]) -> Iterator[Difference]:
    return compared.flagged({row[0]: (row[1], row[2], row[3]) for row in flagged})


def _answered(stack: Stack, compared: Compared) -> list[Difference]:
    """Ask flagging about a few hundred of the children, those who moved among them."""
    children = sorted(compared.checker.children)
    with closing(Door(stack.processes["flagging"].address, {"ana": people.key_of("ana")})) as door:
        asked = children[:: max(1, len(children) // 300)]
        answers = door.ask_all("ana", [f"/v1/students/{child[1]}/absence" for child in asked])
    return [
        difference for child, answer in zip(asked, answers, strict=True) for difference in compared.why(child, answer)
    ]


pytestmark = pytest.mark.asyncio(loop_scope="session")

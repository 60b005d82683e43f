"""Random worlds, told in random order and batches: registers, flags, figures, months and tallies equal the oracle's.

A handful in the gate; `make worlds WORLDS=2000` runs so many. A failure names its seed: WORLD=1234 runs that one alone.
"""

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from contracts.events import (
    AttendanceRecorded,
    AttendanceRetracted,
    DistrictStatus,
    Event,
    ReceiptProgressed,
)
from services.runtime import clock
from tests import oracle, oracle_told
from tests.component.flagging import told
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import Feeder, conclusions, published
from tests.component.flagging.test_same_facts import corrections_first, in_order, repeated, shuffled
from tests.component.flagging.worlds import World, a_world
from tests.conftest import ServiceDatabase
from tests.zones import HERE

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
Clock = Callable[[date], None]
ARRIVALS = (in_order, in_order, shuffled, repeated, corrections_first)
IN_THE_GATE = 8


def seeds() -> list[int]:
    """Give the seeds to run: one by name, or so many in a random order, or those of the gate."""
    if one := os.environ.get("WORLD"):
        return [int(one)]
    if many := os.environ.get("WORLDS"):
        first = int(os.environ.get("FIRST_WORLD", "0"))
        return random.sample(range(first, first + int(many)), int(many))
    return list(range(IN_THE_GATE))


class Emptied:
    """One database for all worlds: between two it is as the migrations left it."""

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self.pool = pool
        self._tables: list[str] = []
        self._first: dict[str, list[tuple[Any, ...]]] = {}

    async def remember(self) -> None:
        """Keep what the migrations wrote."""
        rows = await self.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        self._tables = [row[0] for row in rows if "migration" not in row[0]]
        for table in self._tables:
            if rows := await self.pool.fetch(f"SELECT * FROM {table}"):
                self._first[table] = [tuple(row) for row in rows]

    async def empty(self) -> "Pool[asyncpg.Record]":
        """Leave only that."""
        async with self.pool.acquire() as connection:
            await connection.execute(f"TRUNCATE {', '.join(self._tables)}")
            for table, rows in self._first.items():
                await connection.copy_records_to_table(table, records=rows)
        return self.pool


@pytest_asyncio.fixture
async def emptied(service_database: ServiceDatabase) -> AsyncIterator[Emptied]:
    """A database that is emptied for each world."""
    database = Emptied(await service_database("flagging"))
    await database.remember()
    yield database


@pytest.fixture
def moved_clock(tmp_path: Path) -> Iterator[Clock]:
    """A function that makes it noon of a day."""
    file = tmp_path / "clock"
    file.write_text("0")
    clock.use(file)

    def move(day: date) -> None:
        seconds = (datetime.combine(day, time(12), HERE) - datetime.now(UTC)).total_seconds()
        (tmp_path / "next").write_text(str(seconds))
        (tmp_path / "next").rename(file)

    yield move
    clock.use(None)


async def test_in_any_world_everything_equals_the_oracle(emptied: Emptied, moved_clock: Clock) -> None:
    failed: dict[int, str] = {}
    for seed in seeds():
        try:
            await run(await emptied.empty(), a_world(seed), moved_clock)
        except AssertionError as error:
            failed[seed] = str(error)[:2000]
            print(f"WORLD={seed}: {failed[seed]}")  # noqa: T201 - a long run says at once what it found
    assert not failed, f"worlds {sorted(failed)} are not what the facts say: run one with WORLD=..."


async def run(pool: "Pool[asyncpg.Record]", world: World, moved_clock: Clock) -> None:
    """Tell a world and compare."""
    # The timer looks at a school once a day: what still comes on a day at which it looked is seen by it the day after.
    moved_clock(world.today - timedelta(days=1))
    fed = await feed_world(pool, world)
    moved_clock(world.today)
    await settle(pool)
    await assert_as_the_oracle_says(pool, world)
    await assert_every_mark_is_accounted_for(pool, fed)


async def feed_world(pool: "Pool[asyncpg.Record]", world: World) -> list[Event]:
    """Tell the facts in an arrival and in batches of the seed's choice; the timer looks in now and then."""
    draw = random.Random(-world.seed - 1)
    facts = draw.choice(ARRIVALS)(world.facts, draw)
    feeder = Feeder(pool, as_rolls=draw.random() < 0.75)
    size = draw.choice((40, 90, 200, 400, 5000))
    told_before = {int(share * len(facts)): said for share, said in world.statuses}
    cuts = sorted({*told_before, *range(0, len(facts), size), len(facts)})
    if 0 not in told_before:
        cuts = sorted({0, *cuts})
    for begin, end in zip(cuts, [*cuts[1:], len(facts)], strict=True):
        statuses = [said for share, said in world.statuses if int(share * len(facts)) == begin]
        await feeder.feed([*statuses, *facts[begin:end]])
        if draw.random() < 0.15:
            await settle(pool)
    return facts


async def assert_as_the_oracle_says(pool: "Pool[asyncpg.Record]", world: World) -> None:
    """Compare all that flagging keeps and told with what the facts say."""
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    expected = oracle.conclude(world.facts, today=world.today)
    concluded = await conclusions(pool)
    assert_same("records", concluded.records, expected.records)
    statuses = [said for _, said in world.statuses]
    silent = {
        district
        for district in ("hartford", "windham")
        if oracle_told.standing_status(statuses, district) is DistrictStatus.REHEARSAL
    }
    district_of = {key[:2]: days.district for key, days in expected.records.items()}
    standing = {key: level for key, level in expected.flags.items() if district_of[key] not in silent}
    assert_same("flags kept", concluded.flags, standing)
    told_flags = told.flags(await published(pool, "flags"))
    told.assert_flags_are(told_flags, expected, standing)
    await assert_tallies(pool, world, expected, silent)


async def assert_tallies(
    pool: "Pool[asyncpg.Record]", world: World, expected: oracle.Conclusions, silent: set[str]
) -> None:
    """Compare months and school days: what must have been told was, and whatever was told is right today."""
    facts = oracle.World(world.facts, world.today)
    all_months, all_days = oracle_told.months(expected), oracle_told.school_days(expected)
    months = told.months(await published(pool, "school-months"))
    days = told.school_days(await published(pool, "day-tallies"))
    assert_same("months told", months, {key: all_months.get(key, (0, 0)) for key in months})
    assert_same("days told", days, {key: all_days.get(key, (0, 0)) for key in days})
    due_months = {
        key: figures
        for key, figures in all_months.items()
        if key[1][0] not in silent and oracle_told.is_closed(facts, key[1], key[2])
    }
    assert_same("months due", {key: months.get(key) for key in due_months}, due_months)
    due_days = {
        key: figures for key, figures in all_days.items() if key[0][0] not in silent and facts.is_complete(*key)
    }
    assert_same("days due", {key: days.get(key) for key in due_days}, due_days)


async def assert_every_mark_is_accounted_for(pool: "Pool[asyncpg.Record]", fed: list[Event]) -> None:
    """Applied and duplicate are together as many as were fed, in all and of each upload."""
    marks = [each for each in fed if isinstance(each, AttendanceRecorded | AttendanceRetracted)]
    counted = await pool.fetchval("SELECT coalesce(sum(applied + duplicate), 0)::int FROM mark_count")
    assert counted == len(marks), "marks are conserved"
    rows: dict[object, int] = {}
    for progress in await published(pool, "receipt-progress"):
        assert isinstance(progress, ReceiptProgressed)
        rows[progress.receipt] = rows.get(progress.receipt, 0) + progress.accepted + progress.duplicate
    assert rows == {
        receipt: sum(mark.receipt == receipt for mark in marks)
        for receipt in {mark.receipt for mark in marks if mark.receipt is not None}
    }


def assert_same(what: str, concluded: dict[Any, Any], expected: dict[Any, Any]) -> None:
    """Compare, and name only what differs."""
    differing = sorted((key for key in {**concluded, **expected} if concluded.get(key) != expected.get(key)), key=repr)
    words = [f"{key}: {difference(concluded.get(key), expected.get(key))}" for key in differing[:3]]
    assert not differing, f"{what}, {len(differing)} differ: {'; '.join(words)}"


def difference(concluded: Any, expected: Any) -> str:
    """Say in what two differ: of a student's days, which are too many and which are missing."""
    if not isinstance(concluded, oracle.Days) or not isinstance(expected, oracle.Days):
        return f"is {concluded}, should be {expected}"
    words = []
    for field in fields(oracle.Days):
        is_now, should_be = getattr(concluded, field.name), getattr(expected, field.name)
        if is_now == should_be:
            continue
        if isinstance(is_now, frozenset):
            more, less = sorted(is_now - should_be), sorted(should_be - is_now)
            words.append(f"{field.name} has {[str(day) for day in more]}, lacks {[str(day) for day in less]}")
        else:
            words.append(f"{field.name} is {is_now}, should be {should_be}")
    return ", ".join(words)

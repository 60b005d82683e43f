"""Two copies of flagging, told the same facts in another order and other batches: they say the same, or it is found.

A handful of worlds in the gate; WORLD and WORLDS choose others, as for `test_worlds`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from contracts.events import FlagCleared, FlagRaised, Level, SchoolDayTalliedV2
from deploy.local import provision
from services.flagging.app import service
from services.flagging.handlers import anew
from services.flagging.rules.register import SchoolYear
from services.flagging.store import copies
from services.flagging.store.registers import Registers
from services.runtime.database import Connection
from services.runtime.delivery.publisher import Publisher
from services.runtime.migrate import migrate
from services.runtime.rebuild.differences import TableDifference, differences
from services.runtime.rebuild.own_ways import Compared
from services.runtime.rebuild.shadow import in_schema
from services.runtime.roles import make_schema_beside
from services.runtime.service import Context
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    conclusions,
    mark,
    published,
    roll,
    school_days,
    stint,
    student,
)
from tests.component.flagging.conftest import Clock, Emptied
from tests.component.flagging.test_worlds import feed_world, seeds
from tests.component.flagging.worlds import World, a_world
from tests.conftest import REPOSITORY
from tests.delivering import RecordingPublisher
from tests.zones import HERE

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
RUNNING, COPY = "flagging", "flagging_next"
DAYS = school_days(30)
AFTERWARDS = DAYS[-1] + timedelta(days=1)
ABSENT, PRESENT = student(1), student(2)


@dataclass(frozen=True, slots=True)
class Copies:
    """A running schema and a copy in one database, and who may read both."""

    admin: "asyncpg.Connection[asyncpg.Record]"
    running: Emptied
    copy: Emptied

    async def compared(self) -> Compared:
        """Compare the two as a rebuild does."""
        async with self.admin.transaction(isolation="repeatable_read", readonly=True):
            leave_out = {*copies.KEPT, *copies.COMPARED_HERE}
            _, plain = await differences(self.admin, RUNNING, COPY, leave_out=leave_out)
            found = await copies.compare(self.admin, RUNNING, COPY)
        return found._replace(differences=[*plain, *found.differences])

    async def take_over(self, compared: Compared) -> None:
        """Let the copy stand by what the running one told, as a switch does, and do what the timers then do."""
        async with self.admin.transaction():
            await self.admin.execute(f"TRUNCATE {COPY}.outbox")
            await copies.take_over(self.admin, RUNNING, COPY, compared.concerned)
            for table in copies.KEPT:
                await self.admin.execute(f"DELETE FROM {COPY}.{table}")
                await self.admin.execute(f"INSERT INTO {COPY}.{table} SELECT * FROM {RUNNING}.{table}")
        await settle(self.copy.pool)

    async def empty(self) -> None:
        """Leave in both what the migrations wrote."""
        for each in (self.running, self.copy):
            await each.empty()


@pytest_asyncio.fixture
async def two(fresh_database: str) -> AsyncIterator[Copies]:
    """Two schemas, both flagging's."""
    url = (await provision(fresh_database, ["flagging"]))["flagging"]
    admin = await asyncpg.connect(fresh_database)
    await make_schema_beside(admin, COPY, like="flagging")
    made = []
    for schema in (RUNNING, COPY):
        pool = await asyncpg.create_pool(
            in_schema(url, schema), min_size=1, max_size=4, server_settings={"leap.time_zone": HERE.key}
        )
        async with pool.acquire() as connection:
            await migrate(cast("Any", connection), REPOSITORY / "services" / "flagging" / "migrations")
        made.append(Emptied(pool))
        await made[-1].remember()
    yield Copies(admin, *made)
    for each in made:
        await each.pool.close()
    await admin.close()


async def settle(pool: "Pool[asyncpg.Record]") -> None:
    """Do what the timers do."""
    settings = service.settings.model_construct(time_zone=HERE.key)
    await anew.settle(Context(settings, pool, cast("Publisher", RecordingPublisher()), service=service.name))


def in_words(found: list[TableDifference]) -> str:
    return "; ".join(f"{each.table} {each.only_in_first}/{each.only_in_second} {each.examples[:2]}" for each in found)


async def test_in_any_world_a_copy_says_the_same_and_tells_nothing_twice(two: Copies, moved_clock: Clock) -> None:
    failed: dict[int, str] = {}
    for seed in seeds():
        await two.empty()
        try:
            await rebuild_world(two, a_world(seed), moved_clock)
        except AssertionError as error:
            failed[seed] = str(error)[:2000]
    assert not failed, f"worlds {sorted(failed)}: {failed}"


async def rebuild_world(two: Copies, world: World, moved_clock: Clock) -> None:
    """Tell both copies the same facts, each in its own order and batches, and put one in the other's place."""
    moved_clock(world.today - timedelta(days=1))
    await feed_world(two.running.pool, world)
    await feed_world(two.copy.pool, replace(world, seed=world.seed + 1_000_003))
    moved_clock(world.today)
    for each in (two.running, two.copy):
        await settle(each.pool)
    compared = await two.compared()
    # One of them may have heard every mark twice, which no two copies of one log do: that alone may differ.
    different = [each for each in compared.differences if each.table != "mark_count"]
    assert not different, in_words(different)
    before = await conclusions(two.running.pool)
    await two.take_over(compared)
    after = await conclusions(two.copy.pool)
    assert (after.records, after.flags) == (before.records, before.flags)
    # Of somebody in a paused district the copy may have told what the running one did not: the figures are repeated.
    said = await two.copy.pool.fetch("SELECT event_type FROM outbox")
    assert {row["event_type"] for row in said} <= {"absence-flag.figures-updated.v1"}


def a_school() -> list[Any]:
    """One child absent on 6 of 30 days, severely so, and one who is always there."""
    return [
        calendar(DAYS), stint(ABSENT), stint(PRESENT),
        *(mark(ABSENT, day) for day in DAYS[::5]),
        *(roll(day) for day in DAYS),
    ]  # fmt: skip


async def told_to_both(two: Copies, facts: list[Any], moved_clock: Clock) -> None:
    moved_clock(AFTERWARDS)
    await Feeder(two.running.pool).feed(facts)
    await Feeder(two.copy.pool, as_rolls=False).feed(facts, batch=7)
    for each in (two.running, two.copy):
        await settle(each.pool)


async def damage(pool: "Pool[asyncpg.Record]", who: UUID, *, missed: int, school: str = "H01") -> None:
    """Write other days into a student's place on the page, as nobody but a hand would."""
    async with pool.acquire() as connection:
        registers = Registers(cast("Connection", connection))
        (opened,) = await registers.open_schools([SchoolYear("hartford", school, 2026)])
        await registers.open_whole([opened])
        page, at = opened.page_of(who.bytes)
        page.missed[at], page.is_changed = missed, True
        await registers.save()


async def test_days_that_a_page_lost_are_found_by_student_and_what_they_hid_is_told(
    two: Copies, moved_clock: Clock
) -> None:
    await told_to_both(two, a_school(), moved_clock)
    assert (await two.compared()).differences == []
    await damage(two.running.pool, ABSENT, missed=0)
    more = school_days(31)[30:]
    for pool in (two.running.pool, two.copy.pool):  # the next day closes: nobody was ever absent, the page says
        await pool.execute("TRUNCATE outbox, position")
        await Feeder(pool).feed([calendar([*DAYS, *more], version=2), roll(more[0])])
    (cleared,) = [e for e in await published(two.running.pool, "flags") if isinstance(e, FlagCleared)]
    assert cleared.student_key == ABSENT

    compared = await two.compared()
    (found,) = compared.differences
    assert (found.table, found.only_in_first, found.only_in_second) == ("register_page", 1, 1)
    assert found.examples == [
        {"district": "hartford", "school": "H01", "school_year": 2026, "student_key": str(ABSENT)}
    ]
    await two.take_over(compared)
    (raised,) = [e for e in await published(two.copy.pool, "flags") if isinstance(e, FlagRaised | FlagCleared)]
    assert isinstance(raised, FlagRaised)
    assert (raised.student_key, raised.days_absent, raised.previous_level) == (ABSENT, 6, Level.NONE)
    assert raised.version > cleared.version
    days = cast("list[SchoolDayTalliedV2]", await published(two.copy.pool, "day-tallies"))
    assert {(each.school_day, each.students_absent) for each in days} >= {(day, 1) for day in DAYS[::5]}


async def test_a_flag_that_only_damage_raised_is_cleared(two: Copies, moved_clock: Clock) -> None:
    await told_to_both(two, a_school(), moved_clock)
    await damage(two.running.pool, PRESENT, missed=(1 << 200) - 1)
    more = school_days(31)[30:]
    for pool in (two.running.pool, two.copy.pool):
        await pool.execute("TRUNCATE outbox, position")
        await Feeder(pool).feed([calendar([*DAYS, *more], version=2), roll(more[0])])
    assert [each.student_key for each in await published(two.running.pool, "flags") if type(each) is FlagRaised] == [
        PRESENT
    ]
    await two.take_over(await two.compared())
    crossings = [each for each in await published(two.copy.pool, "flags") if isinstance(each, FlagRaised | FlagCleared)]
    assert [(type(each), each.student_key) for each in crossings] == [(FlagCleared, PRESENT)]


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE roll_page SET codes = '\\x01' WHERE school_day = '2026-08-31'", "roll_page"),
        ("DELETE FROM roll_page WHERE school_day = '2026-08-31'", "roll_page"),
        ("DELETE FROM register_page", "register_page"),
        ("UPDATE register_page SET rolls = '\\x00'", "register_page"),
        ("UPDATE member SET grade = '7' WHERE grade IS NOT NULL", "member"),
        ("UPDATE member SET page = 3", "member"),
        ("UPDATE school_year SET completions = ''", "school_year"),
        ("UPDATE school_year SET completed = ''", "school_year"),
        ("DELETE FROM school_year", "school_year"),
        ("UPDATE enrollment SET exit_date = '2026-09-30'", "enrollment"),
        ("UPDATE mark_count SET applied = applied - 1", "mark_count"),
    ],
)
async def test_whatever_else_is_damaged_is_found(two: Copies, moved_clock: Clock, statement: str, table: str) -> None:
    await told_to_both(two, a_school(), moved_clock)
    assert await two.running.pool.execute(statement) != "UPDATE 0"
    assert table in {each.table for each in (await two.compared()).differences}


async def test_how_repeats_were_batched_is_no_difference_and_the_counts_stay_as_they_were_told(
    two: Copies, moved_clock: Clock
) -> None:
    twice = [mark(ABSENT, DAYS[0]), mark(ABSENT, DAYS[0], "tardy", version=2)]
    moved_clock(AFTERWARDS)
    await Feeder(two.running.pool).feed(twice)
    await Feeder(two.copy.pool).feed(twice, batch=1)
    for each in (two.running, two.copy):
        await settle(each.pool)
    compared = await two.compared()
    assert compared.differences == []
    await two.take_over(compared)
    assert [tuple(row) for row in await two.copy.pool.fetch("SELECT applied, duplicate FROM mark_count")] == [
        tuple(row) for row in await two.running.pool.fetch("SELECT applied, duplicate FROM mark_count")
    ]

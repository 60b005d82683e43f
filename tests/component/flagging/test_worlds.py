"""Random worlds, told in random order and batches: registers, flags, figures, months and tallies equal the oracle's.

A handful in the gate; `make worlds WORLDS=2000` runs so many. A failure names its seed: WORLD=1234 runs that one alone.
"""

import os
import random
from dataclasses import fields
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from contracts.events import (
    AttendanceRecorded,
    AttendanceRetracted,
    DistrictStatus,
    Event,
    ReceiptProgressed,
)
from tests import oracle, oracle_told
from tests.component.flagging import told
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import Feeder, conclusions, published
from tests.component.flagging.conftest import Clock, Emptied
from tests.component.flagging.test_same_facts import corrections_first, in_order, repeated, shuffled
from tests.component.flagging.worlds import World, a_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ARRIVALS = (in_order, in_order, shuffled, repeated, corrections_first)
IN_THE_GATE = (38, 11, 699, 0, 1, 2, 3, 4, 5)
"""Chosen so that each wrong rule of test_worlds_find_mistakes.py shows in one of them; 699 has a month of a track's."""


def seeds() -> list[int]:
    """Give the seeds to run: one by name, or so many in a random order, or those of the gate."""
    if one := os.environ.get("WORLD"):
        return [int(one)]
    if many := os.environ.get("WORLDS"):
        first = int(os.environ.get("FIRST_WORLD", "0"))
        return random.sample(range(first, first + int(many)), int(many))
    return list(IN_THE_GATE)


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
    """Tell the facts as the seed says; the timer looks in now and then."""
    arrived = arrive(world)
    feeder = Feeder(pool, as_rolls=arrived.as_rolls)
    days_ago = random.Random(f"{world.seed} appended")
    for at, part in enumerate(arrived.parts):
        feeder.today = world.today - timedelta(days=days_ago.randrange(1, 9))
        await feeder.feed(part)
        if at in arrived.settled_after:
            await settle(pool)
    return arrived.facts


class Arrived(NamedTuple):
    """A world's facts in the order and the batches in which they come, with what districts say of being live."""

    facts: list[Event]
    parts: list[list[Event]]
    as_rolls: bool
    settled_after: set[int]


def arrive(world: World) -> Arrived:
    """Draw an arrival and batches by the world's seed."""
    draw = random.Random(-world.seed - 1)
    facts = draw.choice(ARRIVALS)(world.facts, draw)
    size = draw.choice((40, 90, 200, 400, 5000))
    said_before: dict[int, list[Event]] = {}
    for share, said in world.statuses:
        said_before.setdefault(int(share * len(facts)), []).append(said)
    cuts = sorted({0, *said_before, *range(0, len(facts), size)})
    parts = [
        [*said_before.get(begin, []), *facts[begin:end]]
        for begin, end in zip(cuts, [*cuts[1:], len(facts)], strict=True)
    ]
    settled_after = {at for at in range(len(parts)) if draw.random() < 0.15}
    return Arrived(facts, parts, draw.random() < 0.75, settled_after)


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

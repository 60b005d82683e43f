"""Two workers on one lane: batches rolled back, read again from where they were before, rolls and rosters at once."""

import asyncio
import dataclasses
import random
from datetime import timedelta

import asyncpg
import pytest
from aiokafka import ConsumerRecord

from services.flagging.app import FACTS
from services.runtime.delivery.subscription import Delivery, Subscription
from services.runtime.delivery.transaction import Transaction
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import Feeder
from tests.component.flagging.conftest import Clock, Emptied
from tests.component.flagging.test_worlds import (
    arrive,
    assert_as_the_oracle_says,
    assert_every_mark_is_accounted_for,
)
from tests.component.flagging.worlds import World, a_world
from tests.delivering import deliver

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
SEEDS = range(4)


class Lost(OSError):
    """The connection is gone, just before the commit."""


async def _lose(transaction: Transaction, deliveries: list[Delivery]) -> None:
    await FACTS.handle(transaction, deliveries)
    raise Lost


LOST: Subscription = dataclasses.replace(FACTS, handle=_lose)


@pytest.mark.parametrize("seed", SEEDS)
async def test_rolled_back_and_read_again_by_another_worker_it_is_the_same_end(
    emptied: Emptied, moved_clock: Clock, seed: int
) -> None:
    pool, world, draw = await emptied.empty(), a_world(seed), random.Random(seed)
    moved_clock(world.today - timedelta(days=1))
    arrived = arrive(world)
    feeder = Feeder(pool, as_rolls=arrived.as_rolls)
    log: list[ConsumerRecord] = []
    for part in arrived.parts:
        before, records = len(log), feeder.records(part)
        log += records
        while draw.random() < 0.4:
            with pytest.raises(Lost):
                await deliver(pool, LOST, log[draw.randrange(before + 1) :])
        await deliver(pool, FACTS, log[draw.randrange(before + 1) :])
    await _assert_same_end(pool, world, moved_clock)


@pytest.mark.parametrize("seed", SEEDS)
async def test_rolls_and_rosters_of_one_lane_at_once_are_the_same_end(
    emptied: Emptied, moved_clock: Clock, seed: int
) -> None:
    pool, world = await emptied.empty(), a_world(seed)
    moved_clock(world.today - timedelta(days=1))
    feeder = Feeder(pool)
    for part in arrive(world).parts:
        records = feeder.records(part)
        await asyncio.gather(
            *(
                deliver(pool, FACTS, [each for each in records if (each.topic == "rosters") == is_roster])
                for is_roster in (True, False)
            )
        )
    await _assert_same_end(pool, world, moved_clock)


async def _assert_same_end(pool: "Pool[asyncpg.Record]", world: World, moved_clock: Clock) -> None:
    moved_clock(world.today)
    await settle(pool)
    await assert_as_the_oracle_says(pool, world)
    await assert_every_mark_is_accounted_for(pool, arrive(world).facts)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rosters_first", [True, False])
async def test_whichever_of_rolls_and_rosters_is_first_in_each_batch_it_is_the_same_end(
    emptied: Emptied, moved_clock: Clock, seed: int, rosters_first: bool
) -> None:
    pool, world = await emptied.empty(), a_world(seed)
    moved_clock(world.today - timedelta(days=1))
    feeder = Feeder(pool)
    for part in arrive(world).parts:
        records = feeder.records(part)
        for is_roster in (rosters_first, not rosters_first):
            await deliver(pool, FACTS, [each for each in records if (each.topic == "rosters") == is_roster])
    await _assert_same_end(pool, world, moved_clock)

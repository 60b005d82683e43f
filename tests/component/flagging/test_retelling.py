"""A database that was turned back reads on in other batches; told again, receivers say what the register says."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from contracts.events import Event, FlagFiguresUpdated
from contracts.topics import PARTITIONS
from services.flagging.handlers import retelling
from services.flagging.handlers.retelling import Retold, Told
from services.reporting import app as reporting
from services.runtime.delivery.publisher import partition_of
from services.scheduling import app as scheduling
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import (
    DISTRICT,
    FIRST_DAY,
    Feeder,
    calendar,
    completion,
    conclusions,
    mark,
    reopening,
    retraction,
    school_days,
    stint,
    student,
)
from tests.component.flagging.conftest import Clock
from tests.delivering import deliver, record

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ServiceDatabase = Callable[[str], Awaitable["Pool[asyncpg.Record]"]]
ANNA, BEN, CARLA, DINO = (student(number) for number in range(1, 5))
DAYS = school_days(24)
LANE = partition_of(DISTRICT, PARTITIONS)


@dataclass(slots=True)
class Receivers:
    """Scheduling and reporting, the topics from which they read, and how much of each database's outbox is in them."""

    scheduling: "Pool[asyncpg.Record]"
    reporting: "Pool[asyncpg.Record]"
    topics: dict[str, list[str]] = field(default_factory=lambda: {topic: [] for topic in retelling.TOPICS})
    relayed: dict[int, int] = field(default_factory=dict)

    async def relay(self, flagging: "Pool[asyncpg.Record]") -> list[tuple[str, str]]:
        """Publish what is new in the outbox, and let both read it; gives topic and payload."""
        after = self.relayed.get(id(flagging), 0)
        rows = await flagging.fetch("SELECT id, topic, payload FROM outbox WHERE id > $1 ORDER BY id", after)
        told = [(row["topic"], row["payload"]) for row in rows if row["topic"] in self.topics]
        self.relayed[id(flagging)] = max((row["id"] for row in rows), default=after)
        for topic, payload in told:
            offset = len(self.topics[topic])
            self.topics[topic].append(payload)
            await deliver(self.reporting, reporting.EVENTS, [record(topic, LANE, offset, payload)])
            if topic == "flags":
                await deliver(self.scheduling, scheduling.EVENTS, [record(topic, LANE, offset, payload)])
        return told

    def told(self) -> Told:
        """Read the topics from their beginning."""
        told = Told()
        for payloads in self.topics.values():
            for payload in payloads:
                told.hear(payload.encode())
        return told

    async def flags(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Give the standing flags with their days at the desk, and the standing flags in the reports."""
        desk = await self.scheduling.fetch(
            "SELECT student_key, days_absent, days_enrolled FROM flagged_student WHERE level <> 'none'"
        )
        report = await self.reporting.fetch("SELECT student_key, level FROM flag_today WHERE level <> 'none'")
        return {row[0]: (row[1], row[2]) for row in desk}, {row[0]: row[1] for row in report}

    async def requests(self) -> list[tuple[Any, ...]]:
        """Give every request with its stage."""
        rows = await self.scheduling.fetch("SELECT household_key, request_id, stage FROM request ORDER BY 1, 2")
        return [tuple(row) for row in rows]

    async def funnel(self) -> list[tuple[Any, ...]]:
        """Give what the reports count of flags: whom, since when."""
        rows = await self.reporting.fetch("SELECT student_key, ever_flagged, first_flagged_on FROM flag ORDER BY 1")
        return [tuple(row) for row in rows]


async def standing(pool: "Pool[asyncpg.Record]") -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Give what the register says, in the same form."""
    concluded = await conclusions(pool)
    days = {key[0]: (len(of.absent), len(of.counted)) for key, of in concluded.records.items()}
    return (
        {who: days[who] for who, _ in concluded.flags},
        {who: level.value for (who, _), level in concluded.flags.items()},
    )


def whole_days(days: Sequence[date]) -> list[Event]:
    return [completion(day, 1) for day in days]


BEFORE: list[Event] = [
    calendar(DAYS),
    *(stint(who, household_key=student(90 + n)) for n, who in enumerate((ANNA, BEN, CARLA, DINO))),
    *whole_days(DAYS[:12]),
    *(mark(BEN, day) for day in DAYS[2:6]),
    *(mark(CARLA, day) for day in DAYS[3:5]),
]
"""At the time of the backup Ben and Carla are flagged."""

LOST: list[list[Event]] = [
    [mark(ANNA, day) for day in DAYS[:3]],  # raised by mistake
    [retraction(CARLA, day) for day in DAYS[3:5]],  # cleared by mistake
    whole_days(DAYS[12:23]),  # September closes
    [mark(DINO, day) for day in DAYS[:3]],
]
SINCE: list[Event] = [
    *(retraction(ANNA, day) for day in DAYS[:3]),
    *(mark(CARLA, day, version=3) for day in DAYS[3:5]),
    reopening(DAYS[15], 2),
    *(mark(BEN, day, "tardy", version=2) for day in DAYS[2:4]),
]


async def test_after_a_database_was_turned_back_receivers_are_told_all_that_stands(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    moved_clock(FIRST_DAY + timedelta(days=60))
    receivers = Receivers(await service_database("scheduling"), await service_database("reporting"))
    lost, restored = await service_database("flagging"), await service_database("flagging")
    for pool in (lost, restored):
        feeder = Feeder(pool)
        await feeder.feed(BEFORE)
    await receivers.relay(lost)
    receivers.relayed[id(restored)] = await restored.fetchval("SELECT max(id) FROM outbox")
    lost_feeder = Feeder(lost)
    lost_feeder._offsets = dict(feeder._offsets)
    for part in LOST:
        await lost_feeder.feed(part)
        await receivers.relay(lost)

    # The restored copy reads the lost span and what came since as one batch: what is reverted in it was never there.
    await feeder.feed([fact for part in [*LOST, SINCE] for fact in part])
    await receivers.relay(restored)
    assert await receivers.flags() != await standing(restored), "nothing is lost, and nothing to be mended"

    assert await retell(restored, receivers) == Retold(flags=4, schools=1)
    await settle(restored)
    await receivers.relay(restored)
    assert await receivers.flags() == await standing(restored)
    await assert_tallies_are_the_registers(restored, receivers)
    assert await restored.fetchval("SELECT count(*) FROM flag_history WHERE student_key = $1", ANNA) == 2
    # Anna's request was open without a reason; Carla's is hers again.
    stages = {household: stage for household, _, stage in await receivers.requests() if stage != "closed"}
    assert set(stages) == {student(91), student(92), student(93)}


async def test_it_may_be_told_at_any_time_and_again_and_nothing_is_counted_twice(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    moved_clock(FIRST_DAY + timedelta(days=60))
    receivers = Receivers(await service_database("scheduling"), await service_database("reporting"))
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    for part in [BEFORE, *LOST, SINCE]:
        await feeder.feed(part)
    # What is on its way, and not yet on the topic, is known better here.
    assert (await retell(pool, receivers)).flags == 0
    await settle(pool)
    await receivers.relay(pool)
    before = (await receivers.flags(), await receivers.requests(), await receivers.funnel())
    assert before[0] == await standing(pool)
    for _ in range(2):
        assert await retell(pool, receivers) == Retold(flags=0, schools=0)
        await settle(pool)
        told = await receivers.relay(pool)
        flags = [payload for topic, payload in told if topic == "flags"]
        assert flags
        assert all(FlagFiguresUpdated.EVENT_TYPE in payload for payload in flags), "no line was crossed"
        assert (await receivers.flags(), await receivers.requests(), await receivers.funnel()) == before
        await assert_tallies_are_the_registers(pool, receivers)


async def retell(pool: "Pool[asyncpg.Record]", receivers: Receivers) -> Retold:
    async with pool.acquire() as connection, connection.transaction():
        return await retelling.retell(connection, DISTRICT, receivers.told())


async def assert_tallies_are_the_registers(pool: "Pool[asyncpg.Record]", receivers: Receivers) -> None:
    """Hold each student's months and each school's days in the reports against the register's own days."""
    records = (await conclusions(pool)).records
    days: dict[date, tuple[int, int]] = {}
    months: dict[tuple[Any, date], tuple[int, int]] = {}
    for (who, _, _), of in records.items():
        for day in of.own:
            counted, absent = days.get(day, (0, 0))
            days[day] = (counted + 1, absent + (day in of.absent))
            enrolled, missed = months.get((who, day.replace(day=1)), (0, 0))
            months[who, day.replace(day=1)] = (enrolled + 1, missed + (day in of.absent))
    rows = await receivers.reporting.fetch("SELECT school_day, students_counted, students_absent FROM day_tally")
    told_days = {row[0]: (row[1], row[2]) for row in rows}
    assert {day: told for day, told in told_days.items() if told != (0, 0)} == days
    rows = await receivers.reporting.fetch("SELECT student_key, month, days_enrolled, days_absent FROM student_month")
    assert rows
    for who, month, enrolled, absent in rows:
        assert (enrolled, absent) == months.get((who, month), (0, 0))

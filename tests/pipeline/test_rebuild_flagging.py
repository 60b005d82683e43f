"""Flagging made anew while facts go on, from rolls and from the single marks of before: the same by what it says."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, time, timedelta
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pydantic import TypeAdapter

from contracts.events import Event, FlagChanged, FlagCleared, FlagFiguresUpdated, FlagRaised, Level
from contracts.topics import COMPACTED, PARTITIONS
from deploy import cli
from deploy.commands import state
from deploy.commands.rebuild import services
from deploy.local.topics import admin
from services.flagging.app import FACTS
from services.runtime import clock
from services.runtime.broker_access import client_options
from services.runtime.delivery.publisher import partition_of
from services.runtime.rebuild.rebuild import Rebuild, RebuildFailed, rebuild
from tests.component.flagging.builders import (
    DISTRICT,
    Feeder,
    calendar,
    mark,
    policy,
    roll,
    school_days,
    stint,
    student,
)
from tests.component.flagging.test_copies import damage
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.zones import HERE

DAYS = school_days(40)
OFTEN_ABSENT = range(0, 60, 10)
AFTERNOON = datetime.combine(DAYS[-1] + timedelta(days=2), time(15), HERE)
FLAGS: TypeAdapter[FlagRaised | FlagChanged | FlagCleared | FlagFiguresUpdated] = TypeAdapter(
    FlagRaised | FlagChanged | FlagCleared | FlagFiguresUpdated
)


class Telling:
    """Facts, written to the topics as ingest writes them, or wrote them before."""

    def __init__(self, producer: AIOKafkaProducer, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._producer = producer
        self._pool = pool

    async def tell(self, facts: Iterable[Event], *, as_rolls: bool = True) -> None:
        """Tell facts by district, or as before by student; returns once the broker has them."""
        records = Feeder(self._pool, as_rolls=as_rolls).records(list(facts))
        sent = [
            await self._producer.send(record.topic, record.value, key=DISTRICT.encode(), partition=record.partition)
            for record in records
        ]
        await asyncio.gather(*sent)


def roster(code: str) -> list[Event]:
    """A calendar and 60 children."""
    return [calendar(DAYS, school=code), *(stint(who(code, number), school=code) for number in range(60))]


def who(code: str, number: int) -> UUID:
    return student(100 * int(code[1:]) + number)


def days_of(code: str, places: range) -> list[Event]:
    """Absences, a few children's on every third day, and the completed rolls."""
    absent = [
        mark(who(code, number), DAYS[place], school=code)
        for place in places
        for number in range(60)
        if (number in OFTEN_ABSENT and place % 3 == 0) or (number + 7 * place) % 50 == 0
    ]
    return [*absent, *(roll(DAYS[place], school=code) for place in places)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Flagging alone, behind all days that are told."""
    running = await start_stack(tmp_path_factory.mktemp("rebuild"), (), ())
    running.it_is(AFTERNOON)
    clock.use(running.clock_file)
    await running.start("flagging")
    yield running
    clock.use(None)
    await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def telling(stack: Stack) -> AsyncIterator[Telling]:
    """One school that sent single marks before it sent rolls, and one that always sent rolls."""
    producer = AIOKafkaProducer(**client_options(stack.kafka), acks="all", enable_idempotence=True)
    await producer.start()
    async with asyncpg.create_pool(stack.urls["flagging"], min_size=1, max_size=2) as pool:
        telling = Telling(producer, pool)
        await telling.tell([*roster("H01"), *days_of("H01", range(20))], as_rolls=False)
        await telling.tell([policy(1, DAYS[0])] * 2)
        for places in (range(20), range(20, 30)):
            await telling.tell([*roster("H02"), *days_of("H02", places), *days_of("H01", range(20, places.stop))])
        yield telling
    await producer.stop()


def wanted(stack: Stack) -> Rebuild:
    service, kept, own_ways = services()["flagging"]
    return Rebuild(
        service=service,
        broker=stack.door.access("flagging"),
        database_url=stack.urls["flagging"],
        admin_url=stack.database.address,
        zone=HERE,
        kept=kept,
        compacted=COMPACTED,
        own_ways=own_ways,
    )


async def all_is_judged(stack: Stack) -> None:
    """Return once every fact is applied, the timers have nothing to do and all is published."""
    await stack.drained("flagging", FACTS.topics)

    async def quiet() -> bool:
        async with stack.sql("flagging") as connection:
            return not await connection.fetchval(
                """
                SELECT EXISTS (SELECT FROM school_year WHERE is_stale OR checked_on < $1)
                    OR EXISTS (SELECT FROM judge_due) OR EXISTS (SELECT FROM outbox)
                """,
                AFTERNOON.date(),
            )

    await eventually(quiet, "timers and relay are done")


async def crossings_of(stack: Stack, student_key: UUID) -> list[tuple[Level, int]]:
    """Give the levels of a student's flag as they were told, with the absences, and hold that each follows the last."""
    told = [FLAGS.validate_json(value) for value in await stack.read("flags")]
    own = [each for each in told if not isinstance(each, FlagFiguresUpdated) and each.student_key == student_key]
    own.sort(key=lambda each: each.version)
    levels = [each.level for each in own]
    assert [each.previous_level for each in own] == [Level.NONE, *levels][: len(own)]
    return [(each.level, each.days_absent) for each in own]


async def flags_told(stack: Stack) -> dict[UUID, Level]:
    """Give everybody's level as it was told, each crossing following from the one before."""
    standing: dict[UUID, Level] = {}
    for value in await stack.read("flags"):
        event = FLAGS.validate_json(value)
        if not isinstance(event, FlagFiguresUpdated):
            assert event.previous_level is standing.get(event.student_key, Level.NONE)
            assert event.level is not event.previous_level
            standing[event.student_key] = event.level
    return standing


async def test_made_anew_from_old_marks_and_new_rolls_it_says_the_same_and_tells_nothing_twice(
    stack: Stack, telling: Telling
) -> None:
    await all_is_judged(stack)
    compared = await rebuild(wanted(stack), switch=False)
    assert compared.differences == []
    assert compared.rows["register_page"] == compared.rows["member"] == 120
    assert compared.rows["roll_page"] > 150

    async def go_on() -> None:
        for place in range(30, 35):
            await telling.tell([*days_of("H01", range(place, place + 1)), *days_of("H02", range(place, place + 1))])

    outcome, _ = await asyncio.gather(rebuild(wanted(stack)), go_on())
    assert (outcome.switched, outcome.differences) == (True, [])
    assert outcome.standstill_seconds < 5
    await all_is_judged(stack)
    assert (await rebuild(wanted(stack), switch=False)).differences == []
    told = await flags_told(stack)
    flagged = {who(code, number) for code in ("H01", "H02") for number in OFTEN_ABSENT}
    assert {each for each, level in told.items() if level is Level.SEVERELY_CHRONICALLY_ABSENT} == flagged
    days = await stack.read("day-tallies")
    assert len(days) == len(set(days))


async def test_a_damaged_page_is_found_by_student_and_what_it_hid_is_told(
    stack: Stack, telling: Telling, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "checkout", lambda: stack.folder)
    parts = stack.described()
    state.State(services={"flagging": stack.processes["flagging"].describe()}, **parts).save()

    async def leap(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(cli.run, ["rebuild", "flagging", *words])
        return code, capsys.readouterr().out

    await all_is_judged(stack)
    code, said = await leap("--compare")
    assert (code, "every row is the same" in said) == (0, True)

    child = who("H01", 10)
    async with asyncpg.create_pool(stack.urls["flagging"], min_size=1, max_size=1) as pool:
        await damage(pool, child, missed=0)
    await telling.tell(days_of("H01", range(35, 36)))
    await all_is_judged(stack)
    assert (await crossings_of(stack, child))[-1] == (Level.NONE, 0)
    code, said = await leap("--compare")
    assert code == 1
    assert "register_page: 1 rows only running, 1 rows only rebuilt, for instance" in said
    assert str(child) in said

    code, said = await leap("--json")
    assert (code, [each["table"] for each in json.loads(said)["differences"]]) == (0, ["register_page"])
    await all_is_judged(stack)
    crossings = await crossings_of(stack, child)
    absent = len([place for place in range(36) if place % 3 == 0 or (10 + 7 * place) % 50 == 0])
    assert crossings[-1] == (Level.SEVERELY_CHRONICALLY_ABSENT, absent)

    assert (await leap("--back"))[0] == 0  # the former tables hold the damage; what differs is made anew there too
    await all_is_judged(stack)
    assert await crossings_of(stack, child) == crossings
    await telling.tell(days_of("H01", range(36, 37)))
    await all_is_judged(stack)
    code, said = await leap("--compare")
    assert (code, "every row is the same" in said) == (0, True)
    assert await crossings_of(stack, child) == crossings


@pytest.mark.usefixtures("telling")
async def test_only_a_topic_that_tells_all_from_its_beginning_is_missed_when_that_is_gone(stack: Stack) -> None:
    await all_is_judged(stack)
    partition = partition_of(DISTRICT, PARTITIONS)
    async with admin(stack.kafka) as client:
        # As a broker may do with a compacted topic in time; asked to at once, it does so only where it may delete.
        changed = ConfigResource(
            ConfigResourceType.TOPIC, "district-policies", configs={"cleanup.policy": "compact,delete"}
        )
        await client.alter_configs([changed])
        await client.delete_records({TopicPartition("district-policies", partition): RecordsToDelete(before_offset=1)})
        assert (await rebuild(wanted(stack), switch=False)).differences == []
        await client.delete_records({TopicPartition("rolls", partition): RecordsToDelete(before_offset=1)})
    with pytest.raises(RebuildFailed, match="the beginning of rolls is gone"):
        await rebuild(wanted(stack), switch=False)

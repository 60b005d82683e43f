"""Landing to flag to request on real Kafka and PostgreSQL, through every fault: afterwards all equals the oracle."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from services.runtime.broker_access import client_options
from tests.pipeline.conclusions import assert_all_equals_the_oracle, assert_every_event_was_effective_once
from tests.pipeline.schools import NOW, marks, roster, whole
from tests.pipeline.stack import Stack, eventually, start_stack

EXCEPTIONS, FULL = "hartford", "norwich"
STUDENTS = range(100, 160)
_days = count(0, 6)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The running system with two districts enrolled: one sends exceptions only, one every student every day."""
    running = await start_stack(tmp_path_factory.mktemp("pipeline"), (EXCEPTIONS, FULL), ())
    running.it_is(NOW)
    try:
        await asyncio.gather(*(running.start(name) for name in ("ingest", "flagging", "scheduling", "reporting")))
        await running.land(EXCEPTIONS, roster(EXCEPTIONS, students=STUDENTS), roster=True)
        await running.land(FULL, roster(FULL, students=STUDENTS, feed="full"), roster=True)
        yield running
    finally:
        await running.stop()


async def land_next_days(stack: Stack) -> list[dict[str, Any]]:
    """Land six more days of both districts, some as whole rolls, and return the first district's records."""
    first = next(_days)
    days = range(first, first + 6)
    records = list(marks(students=STUDENTS, days=days, seed=first))
    await stack.land(EXCEPTIONS, records)
    everybody = [marks(students=STUDENTS, days=half, seed=half.start + 1, feed="full") for half in (days[:3], days[3:])]
    await stack.land(FULL, [*everybody[0], *whole(everybody[1])])
    return records


async def assert_all_is_well(stack: Stack) -> None:
    await stack.settled()
    await assert_all_equals_the_oracle(stack)
    await assert_every_event_was_effective_once(stack)


async def test_marks_become_flags_and_requests(stack: Stack) -> None:
    for _ in range(2):
        await land_next_days(stack)
    await assert_all_is_well(stack)
    async with stack.sql("scheduling") as connection:
        assert await connection.fetchval("SELECT count(*) FROM request") > 0


async def test_a_mark_that_flagging_never_dealt_with_would_be_noticed(stack: Stack) -> None:
    async with stack.sql("flagging") as connection:
        await connection.execute("UPDATE mark_count SET applied = applied - 1 WHERE district = $1", FULL)
        with pytest.raises(AssertionError):
            await assert_every_event_was_effective_once(stack)
        await connection.execute("UPDATE mark_count SET applied = applied + 1 WHERE district = $1", FULL)


async def test_a_file_sent_again_changes_nothing(stack: Stack) -> None:
    records = await land_next_days(stack)
    await stack.settled()
    async with stack.sql("flagging") as connection:
        before = await connection.fetch("SELECT * FROM flag ORDER BY student_key, school_year")
    await stack.land(EXCEPTIONS, records)
    await stack.settled()
    async with stack.sql("flagging") as connection:
        assert await connection.fetch("SELECT * FROM flag ORDER BY student_key, school_year") == before
    await assert_all_is_well(stack)


async def test_a_correction_and_a_retraction_reach_the_records(stack: Stack) -> None:
    records = await land_next_days(stack)
    given = [record for record in records if record["type"] == "mark"]
    corrected = [{**record, "category": "in_attendance", "version": 2} for record in given[::2]]
    retracted = [
        {key: record[key] for key in ("student", "school", "date")} | {"type": "retraction", "version": 2}
        for record in given[1::2]
    ]
    await stack.land(EXCEPTIONS, corrected + retracted)
    await assert_all_is_well(stack)


async def test_marks_that_come_before_their_roster_make_no_flag_until_it_comes(stack: Stack) -> None:
    newcomers = range(900, 910)
    standing = "SELECT count(*) FROM flag WHERE level > 0"
    async with stack.sql("flagging") as connection:
        before = await connection.fetchval(standing)
    await stack.land(EXCEPTIONS, marks(students=newcomers, days=range(12), seed=9, share_absent=0.5))
    await stack.settled()
    async with stack.sql("flagging") as connection:
        assert await connection.fetchval(standing) == before
    await stack.land(EXCEPTIONS, roster(EXCEPTIONS, students=newcomers), roster=True)
    await assert_all_is_well(stack)
    async with stack.sql("flagging") as connection:
        assert await connection.fetchval(standing) > before
        assert await connection.fetchval("SELECT count(*) FROM flag WHERE level > 0 AND household_key IS NULL") == 0


async def test_poison_is_kept_and_its_neighbours_take_effect(stack: Stack) -> None:
    poison = [b"\xff\xfe\x00", b'{"event_type":"roll.recorded.v1"', b"[]", b'{"event_type":"no.such.v1"}']
    await stack.land(EXCEPTIONS, poison)
    producer = AIOKafkaProducer(**client_options(stack.kafka))
    await producer.start()
    for value in poison:
        await producer.send_and_wait("rolls", value, partition=3)
    await producer.stop()
    await land_next_days(stack)
    await assert_all_is_well(stack)

    async with stack.sql("flagging") as connection:
        kept = await connection.fetch("SELECT value FROM dead_letter WHERE topic = 'rolls'")
    assert sorted(row["value"] for row in kept) == sorted(poison)
    rejected = [json.loads(value) for value in await stack.read("attendance-rejected")]
    assert len(rejected) == len(poison)


@pytest.mark.parametrize("point", ["after_poll", "before_commit", "after_commit", "relay_sent"])
async def test_flagging_may_die_at_any_point(stack: Stack, point: str) -> None:
    stack.processes["flagging"].kill()
    doomed = asyncio.create_task(stack.start("flagging", LEAP_CRASH_AT=point))
    await land_next_days(stack)
    await asyncio.gather(doomed, return_exceptions=True)

    async def dead() -> bool:
        return not stack.processes["flagging"].is_running()

    await eventually(dead, f"flagging dies {point}")
    await stack.start("flagging")
    await assert_all_is_well(stack)


@pytest.mark.parametrize("point", ["after_poll", "before_commit", "after_commit"])
async def test_ingest_killed_in_the_middle_repeats_without_effect(stack: Stack, point: str) -> None:
    stack.processes["ingest"].kill()
    doomed = asyncio.create_task(stack.start("ingest", LEAP_CRASH_AT=point))
    await land_next_days(stack)
    await asyncio.gather(doomed, return_exceptions=True)

    async def dead() -> bool:
        return not stack.processes["ingest"].is_running()

    await eventually(dead, f"ingest dies {point}; before_commit is after publishing and before its position")
    await stack.start("ingest")
    await assert_all_is_well(stack)


async def test_a_second_worker_joins_and_is_killed(stack: Stack) -> None:
    landing = asyncio.create_task(land_next_days(stack))
    # Rolls and rosters write the same registers, and while partitions move two workers may hold them.
    await asyncio.gather(
        stack.start("flagging#2"), stack.land(EXCEPTIONS, roster(EXCEPTIONS, students=range(910, 930)), roster=True)
    )
    await landing
    await land_next_days(stack)
    stack.processes.pop("flagging#2").kill()
    await land_next_days(stack)
    await assert_all_is_well(stack)


async def test_the_database_restarts(stack: Stack) -> None:
    landing = asyncio.create_task(land_next_days(stack))
    stack.database.kill()
    stack.database.start()
    await landing
    await assert_all_is_well(stack)


async def test_the_broker_is_killed(stack: Stack) -> None:
    await land_next_days(stack)
    stack.broker.kill()
    stack.broker.start()
    await land_next_days(stack)
    await assert_all_is_well(stack)


def test_no_service_outgrew_its_memory(stack: Stack) -> None:
    for name, process in stack.processes.items():
        status = Path(f"/proc/{process.pid}/status").read_text()
        kilobytes = int(status.partition("VmHWM:")[2].split()[0])
        assert kilobytes < 300 * 1024, f"{name} used {kilobytes // 1024} MB"


def test_the_seeded_districts_hold_what_the_tests_assume() -> None:
    by_type: dict[str, int] = defaultdict(int)
    for record in marks(students=STUDENTS, days=range(6), seed=0):
        by_type[record["type"]] += 1
    assert by_type["roll_completed"] == 6
    assert by_type["mark"] > 10

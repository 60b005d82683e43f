"""Landing topics made anew, and districts that come while ingest runs, on the real services."""

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import NewTopic

from contracts.topics import landing_topics
from deploy.commands.figures import Stopped
from deploy.commands.position import set_position
from deploy.commands.status import not_read
from deploy.local.topics import admin
from tests.pipeline.schools import NOW, marks, roster
from tests.pipeline.stack import Stack, eventually, start_stack

REMADE, OTHER, LATER = "hartford", "norwich", "windsor"
STUDENTS = range(100, 120)
SOON = {"LEAP_KAFKA_METADATA_MAX_AGE_MS": "1000"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Ingest and flagging, and two districts with their rosters."""
    running = await start_stack(tmp_path_factory.mktemp("landing"), (REMADE, OTHER), ())
    running.it_is(NOW)
    try:
        await running.start("ingest", **SOON)
        await running.start("flagging")
        for district in (REMADE, OTHER):
            await running.land(district, roster(district, students=STUDENTS), roster=True)
        yield running
    finally:
        await running.stop()


async def stops(stack: Stack) -> list[Stopped]:
    async with stack.sql("ingest") as connection:
        rows = await connection.fetch("SELECT topic, partition, position, reason, detail FROM stopped_partition")
    return [Stopped(service="ingest", **row) for row in rows]


async def landed(stack: Stack, district: str) -> int:
    async with stack.sql("ingest") as connection:
        return int(
            await connection.fetchval(
                "SELECT coalesce(sum(records), 0) FROM landed_count WHERE district = $1", district
            )
        )


async def make_anew(stack: Stack, topic: str) -> None:
    async with admin(stack.kafka) as client:
        await client.delete_topics([topic])

        async def made() -> bool:
            return not (await client.create_topics([NewTopic(topic, 1, 1)])).topic_errors[0][1]

        await eventually(made, "the topic again")


async def test_a_landing_topic_made_anew_stops_and_its_way_back_loses_nothing(stack: Stack) -> None:
    topic, _ = landing_topics(REMADE)
    await stack.land(REMADE, marks(students=STUDENTS, days=range(6), seed=1))
    await stack.settled()

    await make_anew(stack, topic)
    await stack.land(REMADE, marks(students=STUDENTS, days=range(6, 12), seed=2))

    async def told() -> bool:
        return [each.topic for each in await stops(stack)] == [topic]

    await eventually(told, "the topic is not read on")
    (stop,) = await stops(stack)
    sentence = not_read(stop)
    assert sentence.startswith(f"NOT READ  {topic}/0 by ingest, at {stop.position} (log_")
    assert f"leap position set {topic} 0 --to start" in sentence

    before = await landed(stack, OTHER)
    sent = await stack.land(OTHER, marks(students=STUDENTS, days=range(6), seed=3, feed="full"))

    async def others_go_on() -> bool:
        return await landed(stack, OTHER) == before + sent

    await eventually(others_go_on, "the other district's marks", 10)

    await set_position(stack.database.address, stack.kafka, topic=topic, partition=0, to="start", services=["ingest"])
    await stack.settled()
    assert await stops(stack) == []


def declare(stack: Stack, district: str) -> None:
    """Add the district to the file that ingest was started with."""
    written: dict[str, Any] = json.loads(stack.districts_file.read_text())
    written["districts"][district] = {
        "secret": secrets.token_hex(32),
        "token": f"test-token-of-{district}",
        "name": "W",
    }
    arriving = Path(f"{stack.districts_file}.new")
    arriving.write_text(json.dumps(written))
    arriving.rename(stack.districts_file)


async def test_a_district_that_comes_while_ingest_runs_is_read_whole(stack: Stack) -> None:
    await stack.lay_out(LATER)
    sent = await stack.land(LATER, roster(LATER, students=STUDENTS), roster=True)
    sent += await stack.land(LATER, marks(students=STUDENTS, days=range(6), seed=4))

    async def waits() -> bool:
        return {each.topic for each in await stops(stack)} == set(landing_topics(LATER))

    await eventually(waits, "both its topics wait")
    assert {each.reason for each in await stops(stack)} == {"not_expected"}

    declare(stack, LATER)

    async def read() -> bool:
        return await landed(stack, LATER) == sent and await stops(stack) == []

    await eventually(read, "everything it sent")
    async with stack.sql("ingest") as connection:
        assert await connection.fetchval("SELECT count(*) FROM dead_letter") == 0

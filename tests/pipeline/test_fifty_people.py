"""Fifty people at one desk whose process is killed twice meanwhile: all they were told holds, and is told on once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Union

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.topics import TOPIC_BY_NAME
from services.runtime.broker_access import client_options
from tests import people
from tests.component.visit_events import flag
from tests.crowd import Crowd, assert_the_desk_is_sound
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.zones import HERE

HARTFORD = "hartford"
COLLEAGUES = [f"person-{number:02}" for number in range(50)]
VISITORS = [f"visitor-{number:02}" for number in range(30)]
REQUESTS = 200
KILLED_AFTER_VISITS = (30, 80)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A desk with fifty people who may sign in, and the visit log behind it."""
    running = await start_stack(tmp_path_factory.mktemp("fifty"), (HARTFORD,), ())
    colleagues = {name: people.declared(name, "scheduler", (HARTFORD,)) for name in COLLEAGUES}
    running.people_file = people.people_file(running.folder, **colleagues)
    try:
        for service in ("scheduling", "visitlog"):
            await running.start(service)
        yield running
    finally:
        await running.stop()


def client(stack: Stack, name: str) -> httpx.AsyncClient:
    """A person's connection to the desk; a process that was killed comes back at the same address."""
    address = stack.processes["scheduling"].address
    return httpx.AsyncClient(base_url=address, headers=people.headers(name), timeout=30)


async def flags_raised(stack: Stack) -> None:
    """Flag one student of each of the households and wait until every one has its request."""
    producer = AIOKafkaProducer(**client_options(stack.kafka))
    await producer.start()
    for number in range(1, REQUESTS + 1):
        raised = flag(number, household_number=number)
        await producer.send("flags", raised.model_dump_json().encode(), key=HARTFORD.encode())
    await producer.stop()

    async def all_there() -> bool:
        async with stack.sql("scheduling") as connection:
            return bool(await connection.fetchval("SELECT count(*) = $1 FROM request", REQUESTS))

    await eventually(all_there, "every household has its request")


async def register_visitors(stack: Stack) -> None:
    """Register thirty trained visitors."""
    today = datetime.now(HERE).date()
    async with client(stack, COLLEAGUES[0]) as http:
        for name in VISITORS:
            command = {
                "visitor_id": name,
                "district": HARTFORD,
                "leap101_valid_from": str(today - timedelta(days=30)),
                "leap101_valid_until": str(today + timedelta(days=365)),
                "weekly_cap": 60,
            }
            answer = await http.post("/v1/visitors", json=command)
            assert answer.status_code == 201, answer.text


async def kill_twice(stack: Stack) -> None:
    """Kill the desk's process, with no warning, in the middle of the work, and start it again; twice."""
    for visits in KILLED_AFTER_VISITS:

        async def so_many_agreed(visits: int = visits) -> bool:
            async with stack.sql("scheduling") as connection:
                return bool(await connection.fetchval("SELECT count(*) >= $1 FROM visit", visits))

        await eventually(so_many_agreed, f"{visits} visits are agreed", deadline_seconds=180)
        stack.processes["scheduling"].kill()
        await asyncio.to_thread(stack.processes["scheduling"].start)


async def told(stack: Stack, topic: str) -> list[Any]:
    """Every event of the topic once: the relay delivers at least once, and readers ignore an id they have seen."""
    either: Any = Union[TOPIC_BY_NAME[topic].events]  # noqa: UP007
    reader: TypeAdapter[Any] = TypeAdapter(Annotated[either, Field(discriminator="event_type")])
    return list({event.event_id: event for event in map(reader.validate_json, await stack.read(topic))}.values())


async def test_nothing_that_fifty_people_agreed_is_lost_doubled_or_told_twice(stack: Stack) -> None:
    await flags_raised(stack)
    await register_visitors(stack)
    monday = datetime.now(HERE).date() + timedelta(days=14 - datetime.now(HERE).weekday())
    crowd = Crowd(
        client=lambda name: client(stack, name),
        people=COLLEAGUES,
        visitors=VISITORS,
        first_day=datetime.combine(monday, time(8), HERE),
    )
    async with asyncio.TaskGroup() as day:
        day.create_task(crowd.work())
        day.create_task(kill_twice(stack))

    assert crowd.interrupted > 0, "nobody noticed that the desk was away: nothing was tried"
    async with stack.sql("scheduling") as connection:
        await assert_the_desk_is_sound(connection, crowd)
        stages = {row["request_id"]: row["stage"] for row in await connection.fetch("SELECT * FROM request")}
        agreed = {row["visit_id"] for row in await connection.fetch("SELECT visit_id FROM visit")}

    async def all_told() -> bool:
        async with stack.sql("scheduling") as connection:
            return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM outbox)"))

    await eventually(all_told, "the outbox is empty")
    home_visits = await told(stack, "home-visits")
    assert_each_request_was_told_in_order(home_visits, stages)
    of_type = Counter(type(event) for event in home_visits)
    assert of_type[events.VisitRequested] == of_type[events.ContactAttempted] == REQUESTS
    assert of_type[events.FamilyAgreed] == of_type[events.VisitScheduled] == len(agreed)
    assert len(await told(stack, "visitors")) == len(VISITORS)
    await assert_the_log_expects_each_visit_once(stack, home_visits)


def assert_each_request_was_told_in_order(home_visits: list[Any], stages: dict[Any, str]) -> None:
    """Follow each request's stages through the topic to the one in which it stands."""
    standing = {event.request_id: "new" for event in home_visits if isinstance(event, events.VisitRequested)}
    for event in home_visits:
        if isinstance(event, events.RequestStageChanged):
            assert event.previous_stage == standing[event.request_id]
            standing[event.request_id] = event.stage
    assert standing == stages


async def assert_the_log_expects_each_visit_once(stack: Stack, home_visits: list[Any]) -> None:
    """Wait until the visit log has read the topic, and compare what it expects with what was agreed."""
    scheduled = {
        event.visit_id: (event.starts_at, list(event.pair))
        for event in home_visits
        if isinstance(event, events.VisitScheduled)
    }

    async def expected() -> bool:
        async with stack.sql("visitlog") as connection:
            rows = await connection.fetch("SELECT visit_id, starts_at, pair FROM visit WHERE NOT cancelled")
        return {row["visit_id"]: (row["starts_at"], list(row["pair"])) for row in rows} == scheduled

    await eventually(expected, "the visit log expects what was agreed")

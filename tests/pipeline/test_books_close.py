"""sent = accepted + waiting + rejected + duplicate, by itself again after every fault; and a loss is seen behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions

from deploy.commands.figures import measure_backlog
from deploy.commands.state import State
from deploy.local.topics import admin
from services.ingest.store.measured import list_gaps
from services.runtime.broker_access import client_options
from tests.pipeline.schools import NOW, marks, roster
from tests.pipeline.stack import Stack, eventually, start_stack

DISTRICT = "hartford"
LANDING = f"attendance-in-{DISTRICT}"
STUDENTS = range(100, 140)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Ingest and flagging with one district."""
    running = await start_stack(tmp_path_factory.mktemp("books"), (DISTRICT,), ())
    running.it_is(NOW)
    try:
        await asyncio.gather(*(running.start(name) for name in ("ingest", "flagging")))
        await running.land(DISTRICT, roster(DISTRICT, students=STUDENTS), roster=True)
        yield running
    finally:
        await running.stop()


async def gaps(stack: Stack) -> tuple[int, int]:
    """Give what is missing between the landing logs and ingest, and between ingest and flagging."""
    async with stack.sql("ingest") as connection:
        landed = sum(row["missing"] + row["uncounted"] for row in await list_gaps(connection))
        published = await connection.fetchval(
            """SELECT coalesce(sum(records), 0)::bigint FROM landed_count
               WHERE kind IN ('mark', 'retraction', 'roll_mark')"""
        )
    async with stack.sql("flagging") as connection:
        dealt_with = await connection.fetchval("SELECT coalesce(sum(applied + duplicate), 0)::bigint FROM mark_count")
    return landed, published - dealt_with


async def told(stack: Stack) -> int:
    """Count the marks in every roll that was published, copies too."""
    return sum(len(json.loads(value).get("students", ())) for value in await stack.read("rolls"))


def day_of(day: int) -> list[dict[str, Any]]:
    """Give a day's marks and its completed roll."""
    return list(marks(students=STUDENTS, days=range(day, day + 1), seed=day, share_absent=0.5))


async def land_day(stack: Stack, day: int) -> None:
    """Land a day's marks, as single records."""
    await stack.land(DISTRICT, day_of(day))


async def killed(stack: Stack, name: str) -> None:
    """Kill a service and return once it is gone."""
    stack.processes[name].kill()

    async def dead() -> bool:
        return not stack.processes[name].is_running()

    await eventually(dead, f"{name} is gone")


async def set_back(stack: Stack, service: str, topics: Iterable[str]) -> None:
    """Do what the runbooks say: stop the service, set its positions back, start it."""
    await killed(stack, service)
    async with stack.sql(service) as connection:
        await connection.execute("UPDATE position SET next_offset = 0 WHERE topic = ANY ($1)", list(topics))
    await stack.start(service)
    await stack.settled()


async def test_a_crash_between_publishing_and_commit_leaves_no_surplus(stack: Stack) -> None:
    await stack.settled()
    await killed(stack, "ingest")
    doomed = asyncio.create_task(stack.start("ingest", LEAP_CRASH_AT="before_commit"))
    await land_day(stack, 0)
    await asyncio.gather(doomed, return_exceptions=True)

    async def dead() -> bool:
        return not stack.processes["ingest"].is_running()

    await eventually(dead, "ingest dies between publishing and its commit")
    published = await told(stack)
    await stack.start("ingest")
    await stack.settled()
    assert await told(stack) > published > 0, "the fault did not publish anything twice"
    assert await gaps(stack) == (0, 0)


async def test_slow_statements_that_are_tried_again_leave_no_surplus(stack: Stack) -> None:
    await stack.settled()
    before = await told(stack)
    # Somebody's transaction holds what ingest writes last, behind its publishing. Its statement is ended as the time
    # limit would, twice, and then its whole connection.
    async with stack.sql("ingest") as connection, connection.transaction():
        await connection.execute("LOCK TABLE landed_count IN SHARE ROW EXCLUSIVE MODE")
        await land_day(stack, 1)
        for end in ("pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"):

            async def ended(how: str = end) -> bool:
                return bool(
                    await connection.fetchval(
                        f"""SELECT bool_or({how}(pid)) FROM pg_stat_activity
                            WHERE usename = current_user AND wait_event_type = 'Lock'"""
                    )
                )

            await eventually(ended, "ingest waits for the lock")
    await stack.settled()
    once = await told(stack) - before
    assert once > 2 * sum(1 for each in day_of(1) if each["type"] == "mark"), "nothing was published again"
    assert await gaps(stack) == (0, 0)


async def test_what_conservation_gap_says_of_landed_ends_by_itself(stack: Stack) -> None:
    await land_day(stack, 2)
    await stack.settled()
    await set_back(stack, "ingest", [LANDING, f"roster-in-{DISTRICT}"])
    assert await gaps(stack) == (0, 0)


async def test_what_conservation_gap_says_of_decided_ends_by_itself(stack: Stack) -> None:
    await set_back(stack, "flagging", ["rolls"])
    assert await gaps(stack) == (0, 0)


async def test_a_lost_mark_is_seen_although_others_came_twice_and_the_runbook_brings_it_back(stack: Stack) -> None:
    """Behind all of the above, which published hundreds of marks twice, one roll of a new day is passed over."""
    await stack.settled()
    await killed(stack, "flagging")
    await land_day(stack, 3)
    await stack.drained("ingest", [LANDING])
    ends = await stack.ends(["rolls"])
    async with stack.sql("flagging") as connection:
        for (topic, partition), end in ends.items():
            await connection.execute(
                "UPDATE position SET next_offset = $3 WHERE topic = $1 AND partition = $2", topic, partition, end
            )
    await stack.start("flagging")
    await stack.settled()
    landed, decided = await gaps(stack)
    assert (landed, decided > 0) == (0, True)

    await set_back(stack, "flagging", ["rolls"])
    assert await gaps(stack) == (0, 0)


async def test_records_that_ingest_passed_over_are_seen_and_the_runbook_brings_them_back(stack: Stack) -> None:
    await stack.settled()
    await killed(stack, "ingest")
    await land_day(stack, 4)
    ends = await stack.ends([LANDING])
    async with stack.sql("ingest") as connection:
        await connection.execute("UPDATE position SET next_offset = $2 WHERE topic = $1", LANDING, ends[LANDING, 0])
    await stack.start("ingest")
    await land_day(stack, 5)
    await stack.settled()
    landed, _ = await gaps(stack)
    assert landed > 0

    await set_back(stack, "ingest", [LANDING])
    assert await gaps(stack) == (0, 0)


async def test_a_file_uploaded_twice_and_read_again_has_two_receipts_that_add_up(stack: Stack) -> None:
    rows = "\n".join(map(json.dumps, day_of(6)))
    first = await upload(stack, rows)
    await stack.settled()
    second = await upload(stack, rows)
    await set_back(stack, "ingest", [LANDING])
    await set_back(stack, "flagging", ["rolls"])

    async def add_up() -> bool:
        both = [await receipt(stack, of) for of in (first, second)]
        return all(each["rows"] == each["accepted"] + each["duplicate"] for each in both)

    await eventually(add_up, "both receipts account for each of their rows, once")
    assert (await receipt(stack, first))["duplicate"] == 0
    assert await gaps(stack) == (0, 0)


async def test_status_reads_every_partition_of_a_landing_topic_and_no_position_cancels_what_waits(stack: Stack) -> None:
    found = State(**stack.described())
    await asyncio.gather(*(stack.start(name) for name in ("scheduling", "visitlog", "reporting")))
    await killed(stack, "ingest")
    async with stack.sql("ingest") as connection:
        await connection.execute("UPDATE position SET next_offset = next_offset + 1000 WHERE topic LIKE 'roster-in-%'")
    await widen(stack, LANDING)
    producer = AIOKafkaProducer(**client_options(stack.kafka))
    await producer.start()
    await producer.send_and_wait(LANDING, json.dumps(day_of(7)[0]).encode(), partition=1)
    await producer.stop()

    backlog = await measure_backlog(found)
    assert backlog.landing[DISTRICT].unread == 1
    assert backlog.lag_by_group["leap-ingest"] == 1


async def widen(stack: Stack, topic: str) -> None:
    """Give a topic a second partition, and return once the broker tells of it."""
    async with admin(stack.kafka) as client:
        await client.create_partitions({topic: NewPartitions(total_count=2)})

        async def is_told() -> bool:
            (described,) = await client.describe_topics([topic])
            return len(described["partitions"]) == 2

        await eventually(is_told, "the broker tells of the second partition")


async def upload(stack: Stack, rows: str) -> str:
    """Upload a file as the district, and give the id of its receipt."""
    headers = {"Authorization": f"Bearer test-token-of-{DISTRICT}", "Content-Type": "application/x-ndjson"}
    async with httpx.AsyncClient(base_url=stack.processes["ingest"].address) as client:
        answer = await client.post(f"/v1/districts/{DISTRICT}/attendance", content=rows, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def receipt(stack: Stack, of: str) -> dict[str, Any]:
    """Read a receipt as the district."""
    headers = {"Authorization": f"Bearer test-token-of-{DISTRICT}"}
    async with httpx.AsyncClient(base_url=stack.processes["ingest"].address) as client:
        answer: dict[str, Any] = (await client.get(f"/v1/receipts/{of}", headers=headers)).json()
    return answer

"""`leap trace` on real parts: where a landing place ended, in the five words of the trade."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions

from deploy.commands import trace
from deploy.commands.position import PositionRefused, read_positions, set_position
from deploy.commands.state import State
from deploy.commands.trace import End
from deploy.local.topics import admin
from services.runtime.broker_access import client_options
from tests.pipeline.schools import NOW, SCHOOL, roster, school_days
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.pipeline.test_landing_topics_change import make_anew

DISTRICT = "hartford"
DAYS = school_days(2)


def said(student: str, **fields: Any) -> dict[str, Any]:
    """Give a mark of the first day."""
    day = DAYS[0].isoformat()
    return {
        "type": "mark", "student": student, "school": SCHOOL, "date": day, "category": "excused_absence", "version": 1,
    } | fields  # fmt: skip


LANDED: list[dict[str, Any] | bytes] = [
    said("100"),  # 0: stands
    said("101"),  # 1: superseded by 4
    said("999"),  # 2: no roster knows the number
    said("102", category="asleep"),  # 3: goes back
    said("101", category="tardy", version=2),  # 4: stands
    {"type": "roll", "school": SCHOOL, "date": DAYS[0].isoformat(), "complete": True, "feed": "exceptions",
     "marks": [["103", "tardy", 1], ["104", "asleep", 1], ["105", "tardy", 1]]},  # 5
    said("100", date=DAYS[1].isoformat()),  # 6: its roll is not complete
    b"{" + b" " * 600_000 + b"}",  # 7: too large to go back: set aside
    {"type": "roll_completed", "school": "S9", "date": DAYS[0].isoformat(), "feed": "exceptions"},  # 8
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A district whose records ended in every way there is."""
    running = await start_stack(tmp_path_factory.mktemp("trace"), (DISTRICT,), ())
    running.it_is(NOW)
    try:
        soon = {"LEAP_KAFKA_METADATA_MAX_AGE_MS": "1000"}
        await asyncio.gather(running.start("ingest", **soon), running.start("flagging"))
        await running.land(DISTRICT, roster(DISTRICT, students=range(100, 110)), roster=True)
        await running.settled()
        await running.land(DISTRICT, LANDED)
        await running.settled()
        yield running
    finally:
        await running.stop()


def as_left_by_up(stack: Stack) -> State:
    """Give what `leap up` would have written down of these parts."""
    return State(**stack.described())


async def ends(stack: Stack, offset: int, *, partition: int = 0) -> list[End]:
    """Ask where the record at an offset ended."""
    return await trace._of_offset(as_left_by_up(stack), DISTRICT, offset, partition=partition)


@pytest.mark.parametrize(
    ("offset", "ending", "why"),
    [
        (0, "applied", "it stands: excused_absence"),
        (1, "superseded", "by version 2: tardy, landed at 4"),
        (2, "waiting", "no enrolment knows this number here"),
        (3, "rejected", "unknown_category: category: not a category we know"),
        (4, "applied", "it stands: tardy"),
        (6, "waiting", "the roll of its day is not complete"),
        (7, "dead", "ingest set it aside: too_large"),
        (8, "applied", "roll_completed: published, and no mark of it is told in `rolls` as it is kept"),
        (9, "never", "the log ends at 9"),
    ],
)
async def test_each_landing_place_says_where_it_ended(stack: Stack, offset: int, ending: str, why: str) -> None:
    (found,) = await ends(stack, offset)
    assert (found.ending, found.why) == (ending, why)


@pytest.mark.parametrize("what", ["", "x", "-1", "1/", "1/x", "2026-02-30", "1/2/3", str(2**63), "\u0664"])
def test_what_is_neither_a_place_nor_a_day_is_said_to_be_none(what: str) -> None:
    with pytest.raises(trace.NothingToTrace):
        trace._asked(what)


async def test_each_mark_of_a_landed_roll_has_an_end_of_its_own(stack: Stack) -> None:
    found = await ends(stack, 5)
    assert sorted((each.place, each.ending) for each in found) == [
        ("5", "rejected"), ("5, mark 1", "applied"), ("5, mark 3", "applied"),
    ]  # fmt: skip


async def test_a_day_is_told_by_how_its_places_ended(stack: Stack) -> None:
    found = await trace._of_day(as_left_by_up(stack), DISTRICT, DAYS[0], None)
    assert Counter(each.ending for each in found) == {
        "applied": 4, "superseded": 1, "waiting": 1, "rejected": 2,
    }  # fmt: skip
    assert await trace._of_day(as_left_by_up(stack), DISTRICT, DAYS[0], "S8") == []


async def test_what_is_still_to_be_read_waits_and_what_was_passed_over_is_missing(stack: Stack) -> None:
    stack.processes["ingest"].kill()
    await stack.land(DISTRICT, [said("106"), said("107")])
    (waits,) = await ends(stack, 9)
    assert (waits.ending, waits.why) == ("waiting", "ingest has not read it yet: it stands at 9")

    async with stack.sql("ingest") as connection:
        await connection.execute("UPDATE position SET next_offset = 10 WHERE topic = $1", f"attendance-in-{DISTRICT}")
    await stack.start("ingest", LEAP_KAFKA_METADATA_MAX_AGE_MS="1000")
    await stack.settled()
    (missing,) = await ends(stack, 9)
    assert missing.ending == "missing"
    (stands,) = await ends(stack, 10)
    assert stands.ending == "applied"


async def test_a_landing_topic_of_several_partitions_is_traced_in_each(stack: Stack) -> None:
    topic = f"attendance-in-{DISTRICT}"
    async with admin(stack.kafka) as client:
        await client.create_partitions({topic: NewPartitions(total_count=3)})
    async with AIOKafkaProducer(**client_options(stack.kafka), metadata_max_age_ms=500) as producer:

        async def is_wider() -> bool:
            return len(await producer.partitions_for(topic)) == 3

        await eventually(is_wider, "three partitions")
        # The last under the state's number of a child whose mark stands in the landed roll.
        landed = [said("108"), None, said("999"), said("105", version=2) | {"student": None, "state_student": "9105"}]
        for value in landed:
            await producer.send_and_wait(topic, json.dumps(value).encode() if value else b"none", partition=2)

    async def ended() -> list[str]:
        return [(await ends(stack, offset, partition=2))[0].ending for offset in range(5)]

    async def is_read() -> bool:
        return await ended() == ["applied", "rejected", "waiting", "applied", "never"]

    await eventually(is_read, "ingest reads the partition, too", 60)
    (stands,) = await ends(stack, 0, partition=2)
    assert stands.place == "2/0"
    (_, _, other) = sorted(await ends(stack, 5))
    assert (other.ending, other.why) == (
        "superseded", "by version 2 under the child's other number: excused_absence",
    )  # fmt: skip
    (first,) = await ends(stack, 0)
    assert (first.place, first.why) == ("0", "it stands: excused_absence")
    with pytest.raises(trace.NothingToTrace, match="no partition 3"):
        await ends(stack, 0, partition=3)


async def test_of_a_topic_made_anew_the_present_record_is_told_first_and_the_former_as_such(stack: Stack) -> None:
    """The last one: the former log is gone."""
    topic = f"attendance-in-{DISTRICT}"
    await make_anew(stack, topic)
    await stack.land(DISTRICT, [b"none", said("103", version=3), said("104"), said("105", version=3)])
    now, before = await ends(stack, 0)
    assert (now.ending, before.ending) == ("waiting", "applied")
    assert before.why.endswith(trace.OF_BEFORE)

    async def is_told() -> bool:
        async with stack.sql("ingest") as connection:
            return bool(await connection.fetchval("SELECT true FROM stopped_partition WHERE topic = $1", topic))

    await eventually(is_told, "the topic is another")
    places = (stack.database.address, stack.kafka)
    await set_position(*places, topic=topic, partition=0, to="start", services=["ingest"])
    with pytest.raises(PositionRefused, match=f"the broker knows no {topic}/2"):
        await set_position(*places, topic=topic, partition=2, to="start", services=["ingest"])
    shown = await read_positions(*places, topic=topic, services=["ingest"])
    assert [(each.partition, each.log_end) for each in shown] == [(0, 4), (1, None), (2, None)]
    await stack.settled()
    # Nobody is given the two partitions that the topic has no more: what is said of them is taken away by hand.
    for partition in (1, 2):
        await set_position(*places, topic=topic, partition=partition, to="gone", services=["ingest"])
    with pytest.raises(PositionRefused, match="is there"):
        await set_position(*places, topic=topic, partition=0, to="gone", services=["ingest"])
    assert [each.partition for each in await read_positions(*places, topic=topic, services=["ingest"])] == [0]
    assert await read_positions(*places, topic=None, services=["ingest"]) == []
    assert [(each.ending, each.why.endswith(trace.OF_BEFORE)) for each in await ends(stack, 0)] == [
        ("rejected", False), ("applied", True),
    ]  # fmt: skip
    assert [(each.ending, each.why.endswith(trace.OF_BEFORE)) for each in await ends(stack, 3)] == [
        ("applied", False), ("rejected", True),
    ]  # fmt: skip

"""What goes out: each topic a lane of its own, in order, read on while acknowledgements are awaited."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError

from services.runtime.delivery import relay as relays
from services.runtime.delivery.publisher import Message
from services.runtime.delivery.relay import RELAY_ROWS, Relay
from tests.component.runtime.kafka import create_topics, read_all, until, worker
from tests.delivering import RecordingPublisher

A_MONTH = 100_000
_WRITE = """
INSERT INTO outbox (topic, key, event_id, event_type, payload)
SELECT $1, 'key ' || number % 7, gen_random_uuid(), 'x.v1', number::text FROM generate_series(1, $2) AS number
"""


class Slow(RecordingPublisher):
    """Acknowledges what goes to `late` only when it is told to, and notes what was handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged = asyncio.Event()
        self.handed_over: list[int] = []

    async def publish_batches(
        self, topic: str, messages_by_partition: Mapping[int, Sequence[Message]], *, caused_at_ms: int | None = None
    ) -> None:
        if topic == "late":
            self.handed_over.append(sum(map(len, messages_by_partition.values())))
            await self.acknowledged.wait()
        await super().publish_batches(topic, messages_by_partition, caused_at_ms=caused_at_ms)


@asynccontextmanager
async def relaying(url: str, publisher: Any) -> AsyncIterator[Relay]:
    relay = Relay(url, publisher)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def waiting(pool: asyncpg.Pool, topic: str) -> Any:
    async def nothing_waits() -> bool:
        return not await pool.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE topic = $1)", topic)

    return nothing_waits


def payloads(publisher: RecordingPublisher, topic: str, key: str) -> list[int]:
    return [int(value) for to, _, (k, value, _) in publisher.published if to == topic and k == key.encode()]


async def test_a_flag_does_not_wait_for_tallies_that_nobody_acknowledges(pool: asyncpg.Pool, counting_url: str) -> None:
    publisher = Slow()
    await pool.execute(_WRITE, "late", 3 * RELAY_ROWS)
    async with relaying(counting_url, publisher):

        async def on_their_way() -> bool:
            return bool(publisher.handed_over)

        await until(on_their_way, "tallies on their way")
        await pool.execute(_WRITE, "flags", 3)
        await until(waiting(pool, "flags"), "flags published")
        assert publisher.handed_over == [RELAY_ROWS], "in order: nothing is handed over behind what is not acknowledged"
        assert await pool.fetchval("SELECT count(*) FROM outbox") == 3 * RELAY_ROWS

        publisher.acknowledged.set()
        await until(waiting(pool, "late"), "tallies published")
    for number in range(7):
        told = payloads(publisher, "late", f"key {number}")
        assert told == sorted(told)
    assert len([topic for topic, _, _ in publisher.published if topic == "late"]) == 3 * RELAY_ROWS


async def test_what_commits_late_under_a_lower_number_is_not_passed_over(pool: asyncpg.Pool, counting_url: str) -> None:
    publisher = RecordingPublisher()
    async with relaying(counting_url, publisher), pool.acquire() as slow:
        late = slow.transaction()
        await late.start()
        await slow.execute(_WRITE, "flags", 1)
        await pool.execute(_WRITE, "flags", 2)
        await until(waiting(pool, "flags"), "what was committed is published")
        await late.commit()
        await until(waiting(pool, "flags"), "and what was committed late")
    assert len(publisher.published) == 3


async def test_what_fails_is_sent_again_from_where_it_failed(pool: asyncpg.Pool, counting_url: str) -> None:
    class Fails(RecordingPublisher):
        failures = 2

        async def publish_batches(self, *given: Any, **named: Any) -> None:
            if self.failures:
                self.failures -= 1
                raise KafkaConnectionError
            await super().publish_batches(*given, **named)

    publisher = Fails()
    await pool.execute(_WRITE, "flags", 10)
    async with relaying(counting_url, publisher):
        await until(waiting(pool, "flags"), "published")
    assert sorted(int(value) for _, _, (_, value, _) in publisher.published) == [*range(1, 11)]
    assert payloads(publisher, "flags", "key 1") == [1, 8]


async def test_a_line_too_slow_for_all_of_it_gets_half(
    pool: asyncpg.Pool, counting_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Narrow(RecordingPublisher):
        async def publish_batches(
            self, topic: str, messages_by_partition: Mapping[int, Sequence[Message]], **named: Any
        ) -> None:
            if sum(map(len, messages_by_partition.values())) > 600:
                raise TimeoutError
            await super().publish_batches(topic, messages_by_partition, **named)

    monkeypatch.setattr(relays, "BACKOFF_SECONDS", 0.01)
    publisher = Narrow()
    await pool.execute(_WRITE, "flags", 3 * RELAY_ROWS)
    async with relaying(counting_url, publisher):
        await until(waiting(pool, "flags"), "published")
    assert len(publisher.published) == 3 * RELAY_ROWS


def test_only_a_call_that_hangs_is_a_reason_for_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher: Any = RecordingPublisher()
    relay, now = Relay("postgresql://", publisher), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + relays.STALL_SECONDS / 2)
    assert not relay.stalled()
    monkeypatch.setattr(time, "monotonic", lambda: now + relays.STALL_SECONDS + 1)
    assert "hangs" in relay.stalled()


async def test_a_months_tallies_keep_no_flag_waiting(broker: str, counting_url: str, pool: asyncpg.Pool) -> None:
    topics = await create_topics(broker, numbers=1, tallies=4, flags=4)
    await pool.execute(_WRITE, topics["tallies"], A_MONTH)
    async with worker(broker, counting_url, topics["numbers"]):

        async def begun() -> bool:
            return bool(await pool.fetchval("SELECT count(*) < $1 FROM outbox", A_MONTH))

        await until(begun, "tallies on their way")
        await pool.execute(_WRITE, topics["flags"], 3)
        await until(waiting(pool, topics["flags"]), "flags published")
        assert await pool.fetchval("SELECT count(*) FROM outbox") > 0, "while tallies still wait"
        await until(waiting(pool, topics["tallies"]), "tallies published")

    by_key: dict[bytes, list[int]] = {}
    for each in await read_all(broker, topics["tallies"]):
        by_key.setdefault(each.key, []).append(int(each.value))
    assert sum(map(len, by_key.values())) == A_MONTH
    assert all(told == sorted(told) for told in by_key.values())

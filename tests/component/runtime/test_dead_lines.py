"""A connection to the database dies without a word: what waits on it goes on in seconds, by another one."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from services.runtime.database import open_connection, open_pool
from services.runtime.delivery.consume import Consumption
from services.runtime.delivery.relay import Relay
from services.runtime.service import Timer, _repeat
from services.runtime.settings import Settings
from services.runtime.web.context import Context
from services.runtime.web.sse import Broadcast, Change
from tests.component.runtime.counting import COUNTED, Counted, subscription
from tests.component.runtime.kafka import create_topics, ones, send, until
from tests.component.runtime.silent_line import Line, through_a_line
from tests.component.runtime.test_changes_reach_pages import change
from tests.delivering import RecordingPublisher, transactions
from tests.zones import HERE

GOES_ON_SECONDS = 15.0


@pytest_asyncio.fixture
async def line(counting_url: str) -> AsyncIterator[tuple[str, Line]]:
    """The database's URL by way of a line that can die, and the line."""
    async with through_a_line(counting_url) as made:
        yield made


async def test_publishing_goes_on(line: tuple[str, Line], pool: asyncpg.Pool) -> None:
    url, between = line
    publisher: Any = RecordingPublisher()
    relay = Relay(url, publisher)
    running = asyncio.create_task(relay.run())

    async def published(count: int) -> None:
        async def reached() -> bool:
            return len({bytes(value) for _, _, (_, value, _) in publisher.published}) == count

        await until(reached, f"{count} published")

    async def emit(record: str) -> None:
        async with transactions(pool)() as transaction:
            transaction.emit(topic=COUNTED, key="a", event=Counted("a", record), partition=0)

    try:
        await emit("before")
        await published(1)
        assert between.die() >= 1
        died_at = time.monotonic()
        await emit("after")
        await published(2)
        assert time.monotonic() - died_at < GOES_ON_SECONDS
        assert not relay.stalled()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_timer_goes_on(line: tuple[str, Line]) -> None:
    url, between = line
    publisher: Any = RecordingPublisher()
    pool = await open_pool(url, "counting", zone=HERE)
    rounds: list[float] = []

    async def count_rounds(context: Context) -> None:
        async with context.begin() as transaction:
            await transaction.connection.execute("INSERT INTO tally VALUES ('a', 1) ON CONFLICT DO NOTHING")
        rounds.append(time.monotonic())

    context = Context(Settings.model_construct(time_zone=HERE.key), pool, publisher)
    running = asyncio.create_task(_repeat(Timer(name="rounds", every_seconds=1, run=count_rounds), context))

    async def several_since(moment: float) -> bool:
        return len([each for each in rounds if each > moment]) >= 2

    try:
        await until(lambda: several_since(0), "rounds")  # the line dies while none is under way
        assert between.die() >= 1
        died_at = time.monotonic()
        await until(lambda: several_since(died_at + 1), "rounds after it")
        assert rounds[-1] - died_at < GOES_ON_SECONDS
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pool.terminate()


async def test_open_pages_hear_again_and_look_again(line: tuple[str, Line], pool: asyncpg.Pool) -> None:
    url, between = line
    listening = await open_pool(url, "counting", zone=HERE)
    broadcast = Broadcast(listening)
    try:
        async with broadcast.subscribe(lambda _: True) as listener:
            await change(pool, Change("a1", 1, "hartford"))
            assert await listener.next(GOES_ON_SECONDS) == (False, {"a1": 1})
            assert between.die() >= 1
            await change(pool, Change("a1", 2, "hartford"))
            assert await listener.next(GOES_ON_SECONDS) == (True, {}), "what was missed is looked at again"
            await change(pool, Change("a1", 3, "hartford"))
            assert await listener.next(GOES_ON_SECONDS) == (False, {"a1": 3})
    finally:
        broadcast.close()
        listening.terminate()


async def test_both_ends_ask_whether_the_other_is_there(counting_url: str) -> None:
    connection = await open_connection(counting_url, "test", seconds=2.5)
    ours: Any = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    try:
        rows = await connection.fetch(
            "SELECT name, setting::int FROM pg_settings WHERE name ~ '^tcp_|idle_in_transaction|^statement_timeout'"
        )
        assert {row["name"]: row["setting"] for row in rows} == {
            "tcp_keepalives_idle": 5,
            "tcp_keepalives_interval": 2,
            "tcp_keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "statement_timeout": 2500,
            "idle_in_transaction_session_timeout": 2500,
        }
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
    finally:
        await connection.close()


async def test_partitions_are_taken_on_a_connection_that_answers(
    line: tuple[str, Line], pool: asyncpg.Pool, broker: str
) -> None:
    url, between = line
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 3))
    through_it = await open_pool(url, "counting", zone=HERE)
    reasons: list[str] = []
    publisher: Any = RecordingPublisher()
    settings = Settings(kafka_bootstrap_servers=broker, database_url="in the pool")
    taking = Consumption(
        subscription(topic, group=f"group of {topic}"),
        settings=settings, pool=through_it, publisher=publisher, give_up=reasons.append,
    )  # fmt: skip

    async def all_counted() -> bool:
        return bool(await pool.fetchval("SELECT total = 3 FROM tally WHERE name = 'a'"))

    assert between.die() >= 1
    died_at = time.monotonic()
    try:
        await taking.start()
        await until(all_counted, "the partition's records, by another connection")
        assert time.monotonic() - died_at < GOES_ON_SECONDS
        assert reasons == []
    finally:
        await taking.stop()
        through_it.terminate()

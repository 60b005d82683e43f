"""Our services as contestants: from the moment they may read to the last mark applied, their first batch included."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from contracts.events import Event
from contracts.topics import PARTITIONS
from deploy.local import Process
from deploy.local.parts import last_lines
from services.flagging.rules.absence import Level
from services.runtime.delivery.publisher import Message, Publisher
from tests.bench import before, load, referee
from tests.bench.contestant import ContestantFailed
from tests.bench.machine import Ground, Reading, peak_megabytes, read_clocks
from tests.bench.runs import Input, Run, run_of
from tests.component.flagging.builders import Feeder

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 900.0
_CHRONIC = "SELECT student_key FROM flag WHERE level >= $1"
_APPLIED = "SELECT coalesce(sum(applied + duplicate), 0)::bigint FROM mark_count"
_ACCEPTED = "SELECT coalesce(sum(records), 0)::bigint FROM landed_count"
_INGESTS = 2
"""How many subscriptions ingest has: with the last of them it may begin."""
_BLOCKED = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"


class NoProgress(Exception):
    """The service did not get to the end of its topics in time; its log is in the benchmark's folder."""


async def flagging(records: Input) -> Run:
    """One worker on a full topic, its students enrolled."""
    url = await enrolled(records.ground, load.roster(records.marks))
    # On the first day: later, months would close for being late, before their marks are there.
    clock = records.ground.clock("flagging", load.FIRST_DAY)
    start = partial(records.ground.start, "flagging", url, clock=clock)
    used, peak = await to_the_end(records.ground, url, start, query=_APPLIED, marks=records.marks)
    await _require_flags("flagging", records.truth, url)
    return run_of("flagging", records.name, records.marks, used, peak)


async def flagging_before(records: Input) -> Run:
    """The worker of the commit before rolls, on single marks. Raises PeerMissing where git can't give it."""
    ground = records.ground
    code = await asyncio.to_thread(before.lay_out, ground.folder)
    url = (await ground.fresh_schemas("flagging", code=code))["flagging"]
    await before.enrol(code, url, load.roster(records.marks), ground.folder)
    clock = ground.clock("flagging", load.FIRST_DAY)
    start = partial(before.start_worker, code, ground=ground, database_url=url, clock=clock)
    used, peak = await to_the_end(ground, url, start, query=_APPLIED, marks=records.marks)
    await _require_flags("flagging before", records.truth, url)
    return run_of("flagging before", records.name, records.marks, used, peak)


async def ingest(records: Input) -> Run:
    """Ingest alone on a full landing topic: decode, check, hash, gather, publish, store its position."""
    ground = records.ground
    await _empty(ground, "rolls")
    url = (await ground.fresh_schemas("ingest"))["ingest"]
    start = partial(ground.start, "ingest", url, clock=ground.clock("ingest", load.LAST_DAY))
    used, peak = await to_the_end(ground, url, start, query=_ACCEPTED, marks=records.marks, subscriptions=_INGESTS)
    return run_of("ingest", records.name, records.marks, used, peak)


async def ingest_and_flagging(records: Input) -> Run:
    """Both together on a full landing topic: until flagging has applied what ingest was sent."""
    ground, marks = records.ground, records.marks
    await _empty(ground, "rolls")
    pseudonyms = ground.pseudonyms()[load.LANDING_DISTRICT]
    keys = {key: pseudonyms.student_key(student=key, state_student=None) for key in load.student_keys(marks)}
    flagging_url = await enrolled(ground, load.roster(marks, key_of=keys.__getitem__))
    ingest_url = (await ground.fresh_schemas("ingest"))["ingest"]
    behind = ground.start("flagging", flagging_url, clock=ground.clock("flagging", load.FIRST_DAY))
    try:
        await asyncio.to_thread(behind.wait_ready)
        await _stable(ground.broker.address, "leap-flagging", members=1)
        async with (
            _watching(flagging_url, behind) as watch,
            _watching(ingest_url) as first,
            _held(ingest_url) as let_go,
        ):
            worker = ground.start("ingest", ingest_url, clock=ground.clock("ingest", load.LAST_DAY))
            watch.workers.append(worker)
            try:
                await first.blocked(_INGESTS)
                began = read_clocks(ground, worker.pid, behind.pid)
                await let_go()
                await watch.reached(_APPLIED, marks)
                used = read_clocks(ground, worker.pid, behind.pid).since(began)
                peak = max(peak_megabytes(worker.pid), peak_megabytes(behind.pid))
            finally:
                worker.stop()
    finally:
        behind.stop()
    chronic = frozenset(UUID(keys[str(key)]) for key in records.truth.chronic)
    truth = referee.Truth(crossings=records.truth.crossings, chronic=chronic)
    await _require_flags("ingest and flagging", truth, flagging_url)
    return run_of("ingest and flagging", records.name, marks, used, peak)


async def together(records: Input, rolls: dict[int, list[Message]], *, workers: int) -> Run:
    """One or two workers that share the lanes before the first roll is there.

    The ground must be of this contest alone: the topic is emptied, and filled when they stand. A worker that found it
    full would take half of it while the second one joins.
    """
    ground = records.ground
    await _empty(ground, records.topic)
    url = await enrolled(ground, load.roster(records.marks))
    clock = ground.clock("flagging", load.FIRST_DAY)
    publisher = Publisher(ground.broker.address, source="bench")
    await publisher.start()
    async with _watching(url) as watch:
        try:
            for _ in range(workers):
                watch.workers.append(ground.start("flagging", url, clock=clock))
            for worker in watch.workers:
                await asyncio.to_thread(worker.wait_ready)
            await _stable(ground.broker.address, "leap-flagging", members=workers)
            pids = [worker.pid for worker in watch.workers]
            began = read_clocks(ground, *pids)
            await publisher.publish_batches(records.topic, rolls)
            await watch.reached(_APPLIED, records.marks)
            used = read_clocks(ground, *pids).since(began)
            peak = max(peak_megabytes(pid) for pid in pids)
        finally:
            await publisher.stop()
            for worker in watch.workers:
                worker.stop()
    await _require_flags(at_once(workers), records.truth, url)
    return run_of(at_once(workers), records.name, records.marks, used, peak)


def at_once(workers: int) -> str:
    """Name the contestant that is so many workers at once."""
    return f"flagging, {workers} at once"


async def enrolled(ground: Ground, roster: Iterable[Event]) -> str:
    """Make a schema for flagging in which these students are enrolled, and give its URL.

    Through flagging's own handler, before anything is timed; the positions that this leaves are of no log of Kafka's.
    """
    url = (await ground.fresh_schemas("flagging"))["flagging"]
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await Feeder(pool).feed(roster)
        await pool.execute("DELETE FROM position")
    return url


async def to_the_end(
    ground: Ground, url: str, start: Callable[[], Process], *, query: str, marks: int, subscriptions: int = 1
) -> tuple[Reading, float]:
    """Run one worker: its clocks from the moment it may take its positions, before it has read anything."""
    async with _watching(url) as watch, _held(url) as let_go:
        worker = start()
        watch.workers.append(worker)
        try:
            await watch.blocked(subscriptions)
            began = read_clocks(ground, worker.pid)
            await let_go()
            await watch.reached(query, marks)
            used = read_clocks(ground, worker.pid).since(began)
            return used, peak_megabytes(worker.pid)
        finally:
            worker.stop()


async def _require_flags(contestant: str, truth: referee.Truth, url: str) -> None:
    # Crossings that cancel out inside a batch are folded: who stands over the line in the end is compared.
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_CHRONIC, int(Level.chronically_absent))
    finally:
        await connection.close()
    referee.require_chronic(contestant, truth, frozenset(UUID(bytes=row[0].bytes) for row in rows))


class _Watch:
    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", workers: Sequence[Process]) -> None:
        self._connection = connection
        self.workers = list(workers)

    async def reached(self, query: str, expected: int) -> None:
        """Return once the query gives that much; more is a contestant that counts twice."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (reached := await self._connection.fetchval(query)) < expected:
            self._go_on(deadline, f"stands at {reached:,} of {expected:,}")
            await asyncio.sleep(POLL_SECONDS)
        if reached > expected:
            raise ContestantFailed(f"{reached:,} marks were applied, {expected:,} were there")

    async def blocked(self, subscriptions: int) -> None:
        """Return once that many subscriptions wait for what is held."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while await self._connection.fetchval(_BLOCKED) < subscriptions:
            self._go_on(deadline, "never came to its positions")
            await asyncio.sleep(POLL_SECONDS)

    def _go_on(self, deadline: float, else_said: str) -> None:
        for worker in self.workers:
            if not worker.is_running():
                raise NoProgress(f"{worker.name} ended before its turn did{last_lines(worker.log)}")
        if time.monotonic() > deadline:
            names = " and ".join(worker.name for worker in self.workers)
            raise NoProgress(f"{names} {else_said}")


@asynccontextmanager
async def _watching(url: str, *workers: Process) -> AsyncIterator[_Watch]:
    connection = await asyncpg.connect(url)
    try:
        yield _Watch(connection, workers)
    finally:
        await connection.close()


@asynccontextmanager
async def _held(url: str) -> AsyncIterator[Any]:
    """Hold the table of positions, without which a worker reads nothing, until the caller lets go."""
    connection = await asyncpg.connect(url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE position IN ACCESS EXCLUSIVE MODE")
        yield transaction.rollback
    finally:
        await connection.close()


async def _empty(ground: Ground, topic: str) -> None:
    """Take away what a topic holds: a group without positions begins behind it."""
    client = AIOKafkaAdminClient(bootstrap_servers=ground.broker.address)
    await client.start()
    try:
        everything = RecordsToDelete(before_offset=-1)
        await client.delete_records({TopicPartition(topic, number): everything for number in range(PARTITIONS)})
    finally:
        await client.close()


async def _stable(bootstrap: str, group: str, *, members: int) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            # Before the first member has joined there is no coordinator to ask.
            with suppress(KafkaError):
                (answer,) = await client.describe_consumer_groups([group])
                _, _, state, *_, joined = answer.groups[0][:6]
                if state == "Stable" and len(joined) == members:
                    return
            await asyncio.sleep(POLL_SECONDS)
        raise ContestantFailed(f"{group} never had {members} members")
    finally:
        await client.close()

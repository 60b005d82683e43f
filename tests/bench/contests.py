"""The contestants. Each takes the same records from its first to its last; what it used and what it came to is read."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from contracts.topics import PARTITIONS
from deploy.local import Process
from deploy.local.machine import checkout
from deploy.local.parts import last_lines
from services.flagging.rules.absence import Level
from tests.bench import load, referee
from tests.bench.contestant import ContestantFailed, Finished, run_contestant
from tests.bench.machine import THIS_PYTHON, Ground, Reading, peak_megabytes, read_clocks
from tests.bench.peer_setup import command_of
from tests.component.flagging.builders import Feeder

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 600.0
WARM_UP_MARKS = 300_000
_numbers = itertools.count(1)
_POSITIONS = """
SELECT coalesce(sum(next_offset), 0)::bigint FROM position
WHERE consumer_group = $1 AND (topic = $2 OR topic LIKE $2 || '-in-%')
"""
_CHRONIC = "SELECT student_key FROM flag WHERE level >= $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the contestants of one contest read: a full topic of a ground, and what is true of the marks in it.

    `name` says how the marks come: another form of the same marks is another input, with the same truth.
    """

    name: str
    ground: Ground
    topic: str
    marks: int
    truth: referee.Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant's run. CPU is per mark, in µs; None where the part's processes can't be asked."""

    contestant: str
    marks: int
    seconds: float
    client_cpu_us: float
    postgres_cpu_us: float | None
    broker_cpu_us: float | None
    peak_megabytes: float

    @property
    def marks_per_second(self) -> float:
        """Give the rate."""
        return self.marks / self.seconds

    @property
    def all_cpu_us(self) -> float | None:
        """Give the CPU of all processes together, or None where one of them can't be asked."""
        if self.postgres_cpu_us is None or self.broker_cpu_us is None:
            return None
        return self.client_cpu_us + self.postgres_cpu_us + self.broker_cpu_us


class NoProgress(Exception):
    """The service did not get to the end of its topics in time; its log is in the benchmark's folder."""


async def flagging(records: Input) -> Run:
    """One worker, started when the topic is full; from its first stored position to its last."""
    url = await _enrolled(records)
    run = await _service("flagging", records.ground, url, topic=records.topic, marks=records.marks)
    await _require_flags(run.contestant, records, url)
    return run


async def ingest(ground: Ground, marks: int) -> Run:
    """Ingest, started when the landing topics are full: decode, check, hash, encode, publish, store its position."""
    url = (await ground.fresh_schemas("ingest"))["ingest"]
    return await _service("ingest", ground, url, topic="attendance", marks=marks)


async def _enrolled(records: Input) -> str:
    """Make a schema for flagging in which the students of the marks are enrolled, and give its URL.

    Through flagging's own handler, before anything is timed; the positions that this leaves are of no log of Kafka's.
    """
    url = (await records.ground.fresh_schemas("flagging"))["flagging"]
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await Feeder(pool).feed(load.roster(records.marks))
        await pool.execute("DELETE FROM position")
    return url


async def _service(name: str, ground: Ground, url: str, *, topic: str, marks: int) -> Run:
    worker = ground.start(name, url)
    try:
        async with _watching(url, worker) as watch:
            first = await watch.progress(f"leap-{name}", topic, beyond=0)
            began = read_clocks(ground, worker.pid)
            last = await watch.progress(f"leap-{name}", topic, beyond=marks - 1)
            used = read_clocks(ground, worker.pid).since(began)
        return _run_of(name, last - first, used, peak_megabytes(worker.pid))
    finally:
        worker.stop()


async def flagging_together(records: Input, *, workers: int) -> Run:
    """One or two workers that begin at the same moment: all hold their first batch when the positions are let go.

    Without it the first worker would take half of the topic while the second one joins.
    """
    ground = records.ground
    url = await _enrolled(records)
    started: list[Process] = []
    async with _watching(url) as watch, _positions_held(url) as let_go:
        try:
            for _ in range(workers):
                started.append(ground.start("flagging", url))
            watch.workers.extend(started)
            await _stable(ground.broker.address, "leap-flagging", members=workers)
            await watch.waiting_for_positions(workers)
            pids = [worker.pid for worker in started]
            began = read_clocks(ground, *pids)
            await let_go()
            taken = await watch.progress("leap-flagging", records.topic, beyond=records.marks - 1)
            used = read_clocks(ground, *pids).since(began)
            run = _run_of(together(workers), taken, used, max(peak_megabytes(pid) for pid in pids))
        finally:
            for worker in started:
                worker.stop()
    await _require_flags(run.contestant, records, url)
    return run


def together(workers: int) -> str:
    """Name the contestant that is so many workers at once."""
    return f"flagging, {workers} at once"


async def _require_flags(contestant: str, records: Input, url: str) -> None:
    # Crossings that cancel out inside a batch are folded: who stands over the line in the end is compared.
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_CHRONIC, int(Level.chronically_absent))
    finally:
        await connection.close()
    referee.require_chronic(contestant, records.truth, frozenset(UUID(bytes=row[0].bytes) for row in rows))


async def ceiling(records: Input) -> Run:
    """The same marks in one Python process that keeps nothing."""
    finished = await _python("ceiling", records.ground, records.topic, str(records.marks))
    referee.require_counts(
        "in-memory ceiling", records.truth, crossings=finished.said["crossings"], chronic=finished.said["chronic"]
    )
    return _run_of("in-memory ceiling", records.marks, finished.used, finished.peak_megabytes)


async def per_message(records: Input, marks: int) -> Run:
    """One INSERT and one commit per message. It keeps marks and judges nothing, so there is nothing to check."""
    url = await _enrolled(records)
    finished = await _python("per_message", records.ground, records.topic, str(marks), url)
    return _run_of("one INSERT per message", marks, finished.used, finished.peak_megabytes)


async def _python(module: str, ground: Ground, *arguments: str) -> Finished:
    command = [THIS_PYTHON, "-m", f"tests.bench.{module}", ground.broker.address, *arguments]
    return await run_contestant(
        command, folder=checkout(), log=ground.folder / f"{module}.log", clocks=partial(read_clocks, ground)
    )


async def peer(records: Input, *, name: str) -> Run:
    """A peer in a process of its own. Raises PeerMissing where it can't be had, WrongResult where it computes nonsense.

    A peer on the JVM takes the first marks once before it is counted, so that its code is compiled by then.
    """
    command = await asyncio.to_thread(command_of, name, into=checkout() / ".leap" / "bench")
    ground, marks, crossings = records.ground, records.marks, f"crossings-{next(_numbers)}"
    async with _peers_topics(ground, crossings, f"{crossings}-warm-up"):
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=ground.folder, ignore_cleanup_errors=True) as folder:
            finished = await run_contestant(
                [*command, ground.broker.address, records.topic, str(marks), crossings, str(min(marks, WARM_UP_MARKS))],
                folder=Path(folder),
                log=ground.folder / f"{name}.log",
                clocks=partial(read_clocks, ground),
            )
        told = await referee.crossings_told(ground.broker.address, crossings)
    referee.require_crossings(name, records.truth, told)
    return _run_of(name, marks, finished.used, finished.peak_megabytes)


@asynccontextmanager
async def _peers_topics(ground: Ground, *names: str) -> AsyncIterator[None]:
    """Make the peer's topics, and delete them and whatever it made itself: nobody's turn pays for compacting them."""
    client = AIOKafkaAdminClient(bootstrap_servers=ground.broker.address)
    await client.start()
    try:
        before = set(await client.list_topics())
        await client.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        try:
            yield
        finally:
            made = set(await client.list_topics()) - before
            await client.delete_topics([name for name in made if not name.startswith("__")])
    finally:
        await client.close()


def _run_of(contestant: str, marks: int, used: Reading, peak: float) -> Run:
    return Run(
        contestant=contestant,
        marks=marks,
        seconds=used.wall,
        client_cpu_us=1e6 * used.client / marks,
        postgres_cpu_us=None if used.postgres is None else 1e6 * used.postgres / marks,
        broker_cpu_us=None if used.broker is None else 1e6 * used.broker / marks,
        peak_megabytes=peak,
    )


class _Watch:
    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", workers: Sequence[Process]) -> None:
        self._connection = connection
        self.workers = list(workers)

    async def progress(self, group: str, topic: str, *, beyond: int) -> int:
        """The sum of the stored positions, once it is larger than `beyond`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (reached := await self._connection.fetchval(_POSITIONS, group, topic)) <= beyond:
            self._require_life()
            if time.monotonic() > deadline:
                raise NoProgress(f"{group} stands at {reached} and not beyond {beyond}")
            await asyncio.sleep(POLL_SECONDS)
        return int(reached)

    def _require_life(self) -> None:
        for worker in self.workers:
            if not worker.is_running():
                raise NoProgress(f"{worker.name} ended before its turn did{last_lines(worker.log)}")

    async def waiting_for_positions(self, workers: int) -> None:
        """Return once that many workers wait for the position rows."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        blocked = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        while await self._connection.fetchval(blocked) < workers:
            self._require_life()
            if time.monotonic() > deadline:
                raise NoProgress("not every worker came to its first batch")
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _watching(url: str, *workers: Process) -> AsyncIterator[_Watch]:
    connection = await asyncpg.connect(url)
    try:
        yield _Watch(connection, workers)
    finally:
        await connection.close()


@asynccontextmanager
async def _positions_held(url: str) -> Any:
    """Holds every position row of `attendance` until the caller lets go."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO position (consumer_group, topic, partition, next_offset)"
            " SELECT 'leap-flagging', 'attendance', partition, 0 FROM generate_series(0, $1 - 1) AS partition",
            PARTITIONS,
        )
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT 1 FROM position FOR UPDATE")
        release: Callable[[], Awaitable[None]] = transaction.rollback
        yield release
    finally:
        await connection.close()


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

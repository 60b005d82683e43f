"""The contestants. Each takes the same marks from its first to its last and says how long that took."""

import asyncio
import time
import venv
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.topics import PARTITIONS
from deploy.local import Process
from deploy.local.machine import checkout
from tests.bench import load
from tests.bench.machine import (
    THIS_PYTHON,
    ContestantFailed,
    Ground,
    cpu_seconds,
    peak_megabytes,
    run_contestant,
    server_cpu_seconds,
)
from tests.component.flagging.builders import Feeder

POLL_SECONDS = 0.02
DEADLINE_SECONDS = 600.0
PEERS = Path(__file__).parent / "peers"
_POSITIONS = """
SELECT coalesce(sum(next_offset), 0)::bigint FROM position
WHERE consumer_group = $1 AND (topic = $2 OR topic LIKE $2 || '-in-%')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant's run. CPU is per mark, in µs; None where a contestant has no database."""

    contestant: str
    marks: int
    seconds: float
    client_cpu_us: float
    postgres_cpu_us: float | None = None
    peak_megabytes: float = 0.0

    @property
    def marks_per_second(self) -> float:
        """Give the rate."""
        return self.marks / self.seconds


class NoProgress(Exception):
    """The service did not get to the end of its topics in time; its log is in the benchmark's folder."""


async def flagging(ground: Ground, marks: int) -> Run:
    """One worker, started when the topic is full; from its first stored position to its last."""
    url = await _enrolled(ground, marks)
    return await _service("flagging", ground, url, group="leap-flagging", topic="attendance", marks=marks)


async def ingest(ground: Ground, marks: int) -> Run:
    """Ingest, started when the landing topics are full: decode, check, hash, encode, publish, store its position."""
    url = (await ground.fresh_schemas("ingest"))["ingest"]
    return await _service("ingest", ground, url, group="leap-ingest", topic="attendance", marks=marks)


async def _enrolled(ground: Ground, marks: int) -> str:
    """Make a schema for flagging in which the students of the marks are enrolled, and give its URL.

    Through flagging's own handler, before anything is timed; the positions that this leaves are of no log of Kafka's.
    """
    url = (await ground.fresh_schemas("flagging"))["flagging"]
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        feeder = Feeder(pool)
        await feeder.feed(load.roster(marks))
        await pool.execute("DELETE FROM position")
    return url


async def _service(name: str, ground: Ground, url: str, *, group: str, topic: str, marks: int) -> Run:
    worker = ground.start(name, url)
    try:
        async with _watching(url) as watch:
            first = await watch.progress(group, topic, beyond=0)
            began, client, server = time.perf_counter(), cpu_seconds(worker.pid), server_cpu_seconds(_server(ground))
            last = await watch.progress(group, topic, beyond=marks - 1)
            seconds, taken = time.perf_counter() - began, last - first
            client, server = cpu_seconds(worker.pid) - client, server_cpu_seconds(_server(ground)) - server
        return Run(
            contestant=name,
            marks=taken,
            seconds=seconds,
            client_cpu_us=1e6 * client / taken,
            postgres_cpu_us=1e6 * server / taken,
            peak_megabytes=peak_megabytes(worker.pid),
        )
    finally:
        worker.stop()


async def flagging_together(ground: Ground, marks: int, *, workers: int) -> Run:
    """One or two workers that begin at the same moment: all hold their first batch when the positions are let go.

    Without it the first worker would take half of the topic while the second one joins.
    """
    url = await _enrolled(ground, marks)
    started: list[Process] = []
    async with _watching(url) as watch, _positions_held(url) as let_go:
        try:
            for _ in range(workers):
                started.append(ground.start("flagging", url))
            await _stable(ground.broker.address, "leap-flagging", members=workers)
            await watch.waiting_for_positions(workers)
            pids = [worker.pid for worker in started]
            client, server = cpu_seconds(*pids), server_cpu_seconds(_server(ground))
            began = time.perf_counter()
            await let_go()
            taken = await watch.progress("leap-flagging", "attendance", beyond=marks - 1)
            seconds = time.perf_counter() - began
            return Run(
                contestant=f"flagging, {workers} at once",
                marks=taken,
                seconds=seconds,
                client_cpu_us=1e6 * (cpu_seconds(*pids) - client) / taken,
                postgres_cpu_us=1e6 * (server_cpu_seconds(_server(ground)) - server) / taken,
                peak_megabytes=max(peak_megabytes(pid) for pid in pids),
            )
        finally:
            for worker in started:
                worker.stop()


async def ceiling(ground: Ground, marks: int) -> Run:
    """The same marks in one Python process that keeps nothing."""
    arguments = ("-m", "tests.bench.ceiling", ground.broker.address, "attendance", str(marks))
    return _run_of("in-memory ceiling", await run_contestant(THIS_PYTHON, *arguments, folder=checkout()))


async def per_message(ground: Ground, marks: int) -> Run:
    """One INSERT and one commit per message."""
    url = await _enrolled(ground, marks)
    server = server_cpu_seconds(_server(ground))
    arguments = ("-m", "tests.bench.per_message", ground.broker.address, "attendance", str(marks), url)
    result = await run_contestant(THIS_PYTHON, *arguments, folder=checkout())
    used = server_cpu_seconds(_server(ground)) - server
    return _run_of("one INSERT per message", result, postgres_cpu_us=1e6 * used / marks)


async def peer(ground: Ground, marks: int, *, name: str) -> Run:
    """A peer in an environment of its own. Raises PeerMissing where it can't be had."""
    python = await asyncio.to_thread(_peer_python, name)
    folder = ground.folder / name
    folder.mkdir(exist_ok=True)
    arguments = (str(PEERS / f"{name}.py"), ground.broker.address, "attendance", str(marks))
    return _run_of(name, await run_contestant(python, *arguments, folder=folder))


class PeerMissing(Exception):
    """The peer's packages can't be installed here; it is left out of the comparison."""


def _peer_python(name: str) -> Path:
    import subprocess

    environment = checkout() / ".leap" / "bench" / name
    python = environment / "bin" / "python"
    ready = environment / "ready"
    wanted = (PEERS / f"{name}.txt").read_text()
    if ready.exists() and ready.read_text() == wanted:
        return python
    venv.create(environment, with_pip=True, clear=True)
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(PEERS / f"{name}.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        reason = installed.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise PeerMissing(f"{name} can't be had here: {reason[0]}")
    ready.write_text(wanted)
    return python


def _run_of(contestant: str, result: dict[str, Any], postgres_cpu_us: float | None = None) -> Run:
    return Run(
        contestant=contestant,
        marks=result["marks"],
        seconds=result["seconds"],
        client_cpu_us=1e6 * result["cpu_seconds"] / result["marks"],
        postgres_cpu_us=postgres_cpu_us,
    )


def _server(ground: Ground) -> int | None:
    return ground.database.pid


class _Watch:
    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def progress(self, group: str, topic: str, *, beyond: int) -> int:
        """The sum of the stored positions, once it is larger than `beyond`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (reached := await self._connection.fetchval(_POSITIONS, group, topic)) <= beyond:
            if time.monotonic() > deadline:
                raise NoProgress(f"{group} stands at {reached} and not beyond {beyond}")
            await asyncio.sleep(POLL_SECONDS)
        return int(reached)

    async def waiting_for_positions(self, workers: int) -> None:
        """Return once that many workers wait for the position rows."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        blocked = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        while await self._connection.fetchval(blocked) < workers:
            if time.monotonic() > deadline:
                raise NoProgress("not every worker came to its first batch")
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _watching(url: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        yield _Watch(connection)
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

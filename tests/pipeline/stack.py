"""The whole system on real parts, for tests: one broker, one database, services as processes that can be killed."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from contracts.services import SERVICES
from contracts.topics import landing_topics
from deploy.kafka.layout import lay_out
from deploy.local import (
    Part,
    Process,
    door_of,
    free_port,
    provision,
    start_broker,
    start_database,
    start_service,
)
from deploy.local.doors import Door
from services.runtime.broker_access import Access, client_options
from tests import people

DEADLINE_SECONDS = 60.0


async def eventually(
    holds: Callable[[], Awaitable[bool]], what: str, deadline_seconds: float = DEADLINE_SECONDS
) -> None:
    """Return once the condition holds, and fail, saying what was waited for, when the deadline passes."""
    until = time.monotonic() + deadline_seconds
    while not await holds():
        if time.monotonic() > until:
            raise AssertionError(f"not within {deadline_seconds:.0f} s: {what}")
        await asyncio.sleep(0.1)  # a poll with a deadline, not a guess at how long something takes


class Stack:
    """Handles to the running parts. Services are named; a second worker of one gets a suffix, `flagging#2`."""

    def __init__(
        self,
        folder: Path,
        broker: Part,
        database: Part,
        urls: dict[str, str],
        districts: tuple[str, ...],
        *,
        door: Door,
    ):
        self.folder, self.broker, self.database, self.urls, self.districts = folder, broker, database, urls, districts
        self.door = door
        self.processes: dict[str, Process] = {}
        self.ready_within_seconds = DEADLINE_SECONDS
        self._log: AIOKafkaConsumer | None = None
        self.people_file = people.people_file(folder, **_people_of(districts))
        self.clock_file = folder / "clock"
        self.districts_file = folder / "districts.json"
        self.districts_file.write_text(
            json.dumps(
                {
                    "state_secret": secrets.token_hex(32),
                    "districts": {
                        code: {"secret": secrets.token_hex(32), "token": f"test-token-of-{code}", "name": code.title()}
                        for code in districts
                    },
                }
            )
        )

    @property
    def kafka(self) -> Access:
        """Give the broker's own way in, for which nothing is forbidden: for what a test does that nobody else may."""
        return self.door.administrator

    async def start(self, name: str, **environment: str) -> Process:
        """Start a worker and return once it is ready."""
        service = name.partition("#")[0]
        # The broker takes a killed worker's partitions away after this time: the tests wait it out after every kill.
        environment.setdefault("LEAP_KAFKA_SESSION_TIMEOUT_MS", "6000")
        environment["LEAP_PEOPLE_FILE"] = str(self.people_file)
        environment["LEAP_SESSION_SECRET_FILE"] = str(people.session_secret_file(self.folder))
        if self.clock_file.exists():
            environment["LEAP_CLOCK_FILE"] = str(self.clock_file)
        if service == "ingest":
            environment["LEAP_DISTRICTS_FILE"] = str(self.districts_file)
        process = start_service(
            service,
            broker=self.door.access(service),
            database_url=self.urls[service],
            port=free_port(),
            folder=self.folder / name.replace("#", "-"),
            env=environment,
        )
        self.processes[name] = process
        await asyncio.to_thread(process.wait_ready, self.ready_within_seconds)
        return process

    def it_is(self, moment: datetime) -> None:
        """Move the clock of the services that start from now on, and of those that run with a moved one."""
        moved = self.clock_file.with_suffix(".new")
        moved.write_text(str(moment.timestamp() - time.time()))
        moved.rename(self.clock_file)

    async def lay_out(self, *later: str) -> None:
        """Make topics, users and rules of the stack's districts and of these, as the operator does for a new one."""
        await lay_out(self.door, (*self.districts, *later), database=database_in(self.database.address))

    def described(self) -> dict[str, Any]:
        """Give broker, door and database as `leap up` writes them down."""
        return {
            "broker": self.broker.describe(),
            "door": self.door.describe(),
            "database": self.database.describe(),
        }

    async def land(self, district: str, records: Iterable[dict[str, Any] | bytes], *, roster: bool = False) -> int:
        """Write records to the district's landing topic, in their order, as the district would."""
        topic = landing_topics(district)[1 if roster else 0]
        producer = AIOKafkaProducer(**client_options(self.door.district(district)), acks="all", enable_idempotence=True)
        await producer.start()
        try:
            sent = [
                await producer.send(topic, record if isinstance(record, bytes) else json.dumps(record).encode())
                for record in records
            ]
            await asyncio.gather(*sent)
            return len(sent)
        finally:
            await producer.stop()

    @asynccontextmanager
    async def sql(self, service: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Connect as the service's own role."""
        connection = await asyncpg.connect(self.urls[service])
        try:
            yield connection
        finally:
            await connection.close()

    async def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Read the log ends of the topics."""
        if self._log is None:
            self._log = AIOKafkaConsumer(**client_options(self.kafka))
            await self._log.start()
        partitions = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in self._log.partitions_for_topic(topic) or await _partitions(self._log, topic)
        ]
        ends = await self._log.end_offsets(partitions)
        return {(each.topic, each.partition): offset for each, offset in ends.items()}

    async def drained(self, service: str, topics: Iterable[str]) -> None:
        """Return once the service's positions stand at the log ends and its outbox is empty."""
        names = tuple(topics)

        async def at_the_end() -> bool:
            ends = await self.ends(names)
            try:
                async with self.sql(service) as connection:
                    rows = await connection.fetch("SELECT topic, partition, next_offset FROM position")
                    waiting = await connection.fetchval("SELECT count(*) FROM outbox")
            except (OSError, asyncpg.PostgresError):
                return False
            positions = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
            return not waiting and all(positions.get(where, 0) >= end for where, end in ends.items())

        await eventually(at_the_end, f"{service} at the end of {', '.join(names)}")

    async def settled(self) -> None:
        """Return once nothing is on its way any more, landing to flag to request."""
        landing = [topic for district in self.districts for topic in landing_topics(district)]
        await self.drained("ingest", landing)
        await self.drained("flagging", ("rolls", "rosters", "calendars"))
        for service in ("scheduling", "reporting"):
            if service in self.processes:
                await self.drained(service, ("flags",))

    async def read(self, *topics: str) -> list[bytes]:
        """Read every value of the topics, from their beginning, partition by partition."""
        return [record.value for record in await self.records(*topics)]

    async def records(self, *topics: str) -> list[ConsumerRecord]:
        """Read every record of the topics, from their beginning, partition by partition."""
        ends = await self.ends(topics)
        consumer = AIOKafkaConsumer(**client_options(self.kafka), auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(*where) for where in ends])
            await consumer.seek_to_beginning()
            found: list[ConsumerRecord] = []
            # By where it stands, not by the last record seen: what was cut, or cleaned away, is never brought.
            left = {TopicPartition(*where): end for where, end in ends.items() if end}
            while left := {each: end for each, end in left.items() if await consumer.position(each) < end}:
                for records in (await consumer.getmany(*left, timeout_ms=500)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    async def stop(self) -> None:
        """End everything, services first."""
        if self._log is not None:
            await self._log.stop()
        for process in self.processes.values():
            process.stop()
        self.database.stop()
        self.broker.stop()


def _people_of(districts: Iterable[str]) -> dict[str, dict[str, Any]]:
    declared: dict[str, dict[str, Any]] = {}
    for district in districts:
        roles = {
            f"desk-{district}": "scheduler",
            f"office-{district}": "district",
            f"visitor-{district}-1": "visitor",
            f"visitor-{district}-2": "visitor",
        }
        declared |= {name: people.declared(name, role, (district,)) for name, role in roles.items()}
    return declared


async def _partitions(consumer: Any, topic: str) -> set[int]:
    await consumer._client.add_topic(topic)
    return consumer.partitions_for_topic(topic) or set()


def database_in(url: str) -> str:
    """Name the database of a URL."""
    return urlsplit(url).path.lstrip("/")


async def start_stack(
    folder: Path, districts: tuple[str, ...], services: Iterable[str] = SERVICES, *, secure: bool = True
) -> Stack:
    """Bring up broker, database, topics and the named services in a folder of their own.

    Not `secure` is for services of a release that could not sign in.
    """
    passwords = folder / "users" if secure else None
    broker, database = (
        start_broker(folder / "broker", secure=secure, passwords=passwords),
        start_database(folder / "database"),
    )
    urls = await provision(database.address, SERVICES)
    door = door_of(broker, passwords)
    await lay_out(door, districts, database=database_in(database.address))
    stack = Stack(folder, broker, database, urls, districts, door=door)
    for service in services:
        await stack.start(service)
    return stack

"""What operators and disks do: a landing topic made anew, a database put back while Kafka is ahead."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError

from contracts.topics import landing_topics
from deploy.commands import rebuild, retell
from deploy.commands.position import set_position
from deploy.local import create_topics
from deploy.local.machine import checkout
from deploy.local.topics import admin
from tests.faults import town
from tests.faults.bed import Bed
from tests.faults.checks import WRONG, waiting
from tests.faults.reading import Reader
from tests.faults.sender import Sender

PATIENCE_SECONDS = 90.0
AHEAD_SECONDS = 8.0
TAKEN_BACK_BY = ("scheduling", "visitlog")
"""Who says things of its own, which its restored tables have to learn again from the topics."""


@dataclass(slots=True, kw_only=True)
class Operators:
    """Does what the runbooks are for, and then what they say."""

    bed: Bed
    sender: Sender
    reader: Reader
    number: int
    count: Callable[[str], None]
    found: list[str] = field(default_factory=list)
    put_back: bool = False

    async def topic_made_anew(self) -> None:
        """Delete a district's landing topic and make it again; its partition stops, and the runbook's way back is gone.

        What nobody had read would be lost with it, which the district would send again: so it is deleted when all is
        read, and the district sends everything again.
        """
        self.count("landing topic made anew")
        district = town.RECREATED
        topic = landing_topics(district)[0]
        async with self.sender.holding(topic):
            await self._until(lambda: self._is_read(topic), f"{topic} is read")
            await self.reader.read_on()
            self.reader.keep(topic)
            async with admin(self.bed.kafka) as client:
                await client.delete_topics([topic])
            await self._until(self._made, f"{topic} is made again")
            self.reader.is_another(topic)
            for number in range(self.number):
                await self.sender.land_held(topic, self.sender.town.attendance(district, number))
        await self._until(lambda: self._stopped(topic), f"{WRONG}: nobody notices that {topic} is another log")
        await read_on_from_the_start(self.bed)

    async def _made(self) -> bool:
        await create_topics(self.bed.kafka, town.DISTRICTS, copies=self.bed.shape.brokers)
        return True

    async def _is_read(self, topic: str) -> bool:
        ends = await self.bed.ends([topic])
        async with self.bed.sql("ingest") as connection:
            at = await connection.fetchval("SELECT next_offset FROM position WHERE topic = $1", topic)
        return bool(at == ends[topic, 0])

    async def _stopped(self, topic: str) -> bool:
        async with self.bed.sql("ingest") as connection:
            return bool(await connection.fetchval("SELECT true FROM stopped_partition WHERE topic = $1", topic))

    def _copy(self) -> None:
        cluster, copy = self._cluster()
        self.bed.database_process.stop()
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", cluster, copy], check=True)
        self.bed.database_process.start()
        self.bed.write_down()

    async def database_put_back(self) -> None:
        """Copy the whole database, put that back later while Kafka is ahead, and do what deploy/RESTORE.md says."""
        self.count("database put back")
        await asyncio.to_thread(self._copy)
        await asyncio.sleep(AHEAD_SECONDS)  # what happens meanwhile is what the copy does not know
        self.put_back = True
        names = tuple(self.bed.processes)
        self.bed.hold(*names)
        await asyncio.to_thread(self._swap)
        for service in TAKEN_BACK_BY:
            await asyncio.to_thread(self._take_back, service)
        self.bed.let_go()
        # Flagging is told again once it has caught up, as the README says.
        await self._until(self._has_caught_up, "flagging has caught up")
        environment = self.bed.processes["flagging"].environment
        rebuild.live_in_the_time_of(environment)
        await retell._retell(self.bed.kafka, self.bed.urls["flagging"], town.DISTRICTS, None)

    def _swap(self) -> None:
        cluster, copy = self._cluster()
        self.bed.database_process.stop()
        shutil.rmtree(cluster)
        copy.rename(cluster)
        self.bed.database_process.start()
        self.bed.write_down()

    def _take_back(self, service: str) -> None:
        taken = subprocess.run(
            [sys.executable, "-m", "services.runtime.rebuild.take_back", service],
            cwd=checkout(),
            env={**_plain(), **self.bed.processes[service].environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if taken.returncode:
            self.found.append(f"{WRONG}: {service} could not take back what it told: {taken.stderr[-300:]}")

    async def _has_caught_up(self) -> bool:
        return await waiting(self.bed, self.reader) == 0

    def _cluster(self) -> tuple[Path, Path]:
        cluster = self.bed.folder / "database" / "cluster"
        return cluster, cluster.with_name("copy")

    async def _until(self, holds: Callable[[], object], what: str) -> None:
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            with suppress(KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if await holds():  # type: ignore[misc]
                    return
            if asyncio.get_running_loop().time() > until:
                self.found.append(what if what.startswith(WRONG) else f"{WRONG}: not within time: {what}")
                return
            await asyncio.sleep(0.5)  # a poll with a deadline


async def read_on_from_the_start(bed: Bed) -> None:
    """Do what `leap status` says of every landing topic that is another one by now. Raises PositionRefused."""
    async with bed.sql("ingest") as connection:
        rows = await connection.fetch("SELECT topic, partition FROM stopped_partition WHERE reason LIKE 'log_%'")
    for topic, partition in map(tuple, rows):
        places = bed.database.address, bed.kafka
        await set_position(*places, topic=topic, partition=partition, to="start", services=["ingest"])


def _plain() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("LEAP_")}

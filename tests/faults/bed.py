"""The system under faults: brokers, database and two of each service, with bad lines between them, and who restarts."""

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psutil

from contracts.services import SERVICES
from deploy.kafka.layout import lay_out
from deploy.local import PartFailed, Process, free_port, part_from, provision
from deploy.local.doors import Door, own_door
from deploy.local.postgres import start_postgres
from tests import people
from tests.faults import town
from tests.faults.brokers import Cluster
from tests.faults.proxy import Proxy
from tests.pipeline.stack import Stack, database_in

READY_SECONDS = 180.0
LOOK_SECONDS = 0.3
DISK_MEGABYTES = 2500
SESSION_SECONDS = 6
_PARTS = "parts.json"


class Shape(NamedTuple):
    """How large the system is. `own_disks`: broker and database each on a small disk, which can be full."""

    brokers: int = 1
    workers: int = 2
    own_disks: bool = False


class Bed(Stack):
    """A stack whose services reach broker and database by lines only, and are started again when they end."""

    def __init__(
        self, folder: Path, cluster: Cluster, database: Process, urls: dict[str, str], shape: Shape, door: Door
    ) -> None:
        """Keep the districts' secrets of an earlier run: every key would change with them."""
        secrets = folder / "districts.json"
        kept = secrets.read_text() if secrets.exists() else None
        super().__init__(folder, cluster, database, urls, town.DISTRICTS, door=door)
        if kept is not None:
            self.districts_file.write_text(kept)
        office = {
            f"coordinator-{code}": people.declared(f"coordinator-{code}", "coordinator", (code,))
            for code in town.DISTRICTS
        }
        everybody = json.loads(self.people_file.read_text())["people"]
        self.people_file = people.people_file(folder, **everybody, **office)
        self.cluster, self.shape = cluster, shape
        self.database_process = database
        self.database_line = Proxy(free_port(), urlsplit(database.address).port or 0)
        self.ended_by_themselves: Counter[str] = Counter()
        self.ready_within_seconds = READY_SECONDS
        self._killed: set[str] = set()
        self._held: set[str] = set()
        self._watching: asyncio.Task[None] | None = None

    @property
    def lines(self) -> list[Proxy]:
        """Give every line there is."""
        return [*self.cluster.proxies, self.database_line]

    def names(self) -> list[str]:
        """Name every worker."""
        numbers = range(1, self.shape.workers + 1)
        return [service if n == 1 else f"{service}#{n}" for service in SERVICES for n in numbers]

    async def open(self) -> None:
        """Start the lines and all services, and watch over them."""
        for line in self.lines:
            await line.start()
        await asyncio.gather(*(self.start(name) for name in self.names()))
        self.write_down()
        self._watching = asyncio.create_task(self._watch(), name="watch over the services")

    async def start(self, name: str, **environment: str) -> Process:
        """Start a worker behind the lines, and return once it is ready."""
        url = urlsplit(self.urls[name.partition("#")[0]])
        login = url.netloc.rpartition("@")[0]
        return await super().start(
            name,
            LEAP_KAFKA_BOOTSTRAP_SERVERS=self.cluster.for_services,
            LEAP_DATABASE_URL=urlunsplit(url._replace(netloc=f"{login}@127.0.0.1:{self.database_line.port}")),
            LEAP_KAFKA_SESSION_TIMEOUT_MS=str(SESSION_SECONDS * 1000),
            **environment,
        )

    def kill(self, name: str) -> None:
        """End a worker as a power cut would; the watch starts it again."""
        self.expect_end(name)
        self.processes[name].kill()

    def expect_end(self, name: str) -> None:
        """Note that the worker's end is our doing."""
        self._killed.add(name)

    def arm(self, name: str, point: str) -> None:
        """Start a worker anew, to die by itself at a named point; the watch starts it again without."""
        self.processes[name].environment["LEAP_CRASH_AT"] = point
        self.kill(name)

    def disarm(self) -> None:
        """Start those anew, without, that have not come to their point."""
        for name, process in self.processes.items():
            if process.environment.pop("LEAP_CRASH_AT", None):
                self.kill(name)

    def hold(self, *names: str) -> None:
        """Kill workers and leave them down until they are let go."""
        self._held.update(names)
        for name in names:
            self.kill(name)

    def let_go(self) -> None:
        """Let the watch start what was held, and what was frozen go on."""
        self._held.clear()
        for process in self.processes.values():
            with suppress(psutil.Error):
                psutil.Process(process.pid).resume()

    async def _watch(self) -> None:
        while True:
            for name, process in self.processes.items():
                if name not in self._held and not process.is_running():
                    self._start_again(name, process)
            await asyncio.sleep(LOOK_SECONDS)  # who restarts services looks from time to time, too

    def _start_again(self, name: str, process: Process) -> None:
        was_armed = process.environment.get("LEAP_CRASH_AT")
        if name in self._killed:
            self._killed.discard(name)
        elif was_armed:
            del process.environment["LEAP_CRASH_AT"]
        else:
            self.ended_by_themselves[name.partition("#")[0]] += 1
        process.launch()
        self.write_down()

    def start_parts(self) -> None:
        """Start brokers and database where they are down."""
        self.cluster.start()
        if not self.database_process.is_running():
            self.database_process.start()
        self.write_down()

    async def ready(self) -> bool:
        """Tell whether every worker says that it is ready."""
        return all(await asyncio.gather(*(asyncio.to_thread(each._says_ready) for each in self.processes.values())))

    def write_down(self) -> None:
        """Note every process, so that a later run finds and ends what this one may leave."""
        parts = [*self.cluster.brokers, self.database_process, *self.processes.values()]
        arriving = self.folder / f"{_PARTS}.new"
        arriving.write_text(json.dumps([each.describe() for each in parts]))
        arriving.rename(self.folder / _PARTS)

    async def close(self) -> None:
        """End everything; what is stored stays."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self._held.update(self.processes)
        for process in self.processes.values():
            process.kill()
        for line in self.lines:
            await line.stop()
        await self.stop()


@asynccontextmanager
async def running(folder: Path, shape: Shape) -> AsyncIterator[Bed]:
    """Bring up what is in the folder, or all anew: brokers, database, topics, lines, two of each service."""
    disks = [folder / "brokers", folder / "database"] if shape.own_disks else []
    cluster = await asyncio.to_thread(_laid_out, folder, disks, shape)
    bed, database = None, None
    try:
        await asyncio.to_thread(cluster.start)
        database = await asyncio.to_thread(start_postgres, folder / "database", durable=False)
        urls = await provision(database.address, SERVICES)
        door = replace(own_door(cluster.address, folder / "users"), copies=shape.brokers)
        await lay_out(door, town.DISTRICTS, database=database_in(database.address))
        bed = Bed(folder, cluster, database, urls, shape, door)
        bed.it_is(town.NOW)
        await bed.open()
        yield bed
    finally:
        if bed is not None:
            await bed.close()
        if database is not None:
            database.stop()
        cluster.stop()
        await asyncio.to_thread(_unmount, *disks)


def _laid_out(folder: Path, disks: list[Path], shape: Shape) -> Cluster:
    folder.mkdir(parents=True, exist_ok=True)
    _end_what_was_left(folder)
    for disk in disks:
        _mount(disk)
    return Cluster(folder / "brokers", shape.brokers, folder / "users")


def can_have_disks() -> bool:
    """Tell whether this machine lets us mount a file as a disk."""
    return os.geteuid() == 0 and all(map(shutil.which, ("mount", "umount", "mkfs.ext4"))) and _mounts_work()


def _mounts_work() -> bool:
    probe = Path("/tmp") / f"leap-disk-{os.getpid()}"
    try:
        _mount(probe, megabytes=16)
    except PartFailed:
        return False
    finally:
        _unmount(probe)
        shutil.rmtree(probe, ignore_errors=True)
        probe.with_suffix(".disk").unlink(missing_ok=True)
    return True


def _mount(disk: Path, *, megabytes: int = DISK_MEGABYTES) -> None:
    if disk.is_mount():
        return
    image = disk.with_suffix(".disk")
    disk.mkdir(parents=True, exist_ok=True)
    commands: list[list[str | Path]] = [["mount", "-o", "loop", image, disk]]
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        commands.insert(0, ["mkfs.ext4", "-q", "-m", "0", image])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PartFailed(f"{disk} could not be mounted: {done.stderr.strip()}")


def _unmount(*disks: Path) -> None:
    for disk in disks:
        subprocess.run(["umount", disk], check=False, capture_output=True)


def _end_what_was_left(folder: Path) -> None:
    file = folder / _PARTS
    described: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    for each in reversed(described):
        with suppress(PartFailed):
            part_from(each).kill()

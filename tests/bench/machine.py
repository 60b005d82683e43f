"""The parts a benchmark runs on, fresh databases, and what the processes really cost."""

import itertools
import json
import secrets
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from deploy.local import Part, Process, free_port, provision, start_broker, start_database, start_service
from deploy.local.machine import checkout, write_whole
from services.ingest.rules.pseudonyms import Pseudonyms
from services.runtime.migrate import migrate
from tests.people import people_file, session_secret_file

_numbers = itertools.count(1)


class Ground:
    """One broker and one database server of this benchmark's own, both durable and with the full compiler on.

    The broker asks nobody who they are: the others' clients are measured on the same one.
    """

    def __init__(self, folder: Path, *, districts: Iterable[str] = ()) -> None:
        self.folder = folder
        self.broker: Part = start_broker(folder / "kafka", secure=False, quick_start=False)
        self.database: Part = start_database(folder / "postgres", durable=True)
        self.people_file = people_file(folder)
        self.districts_file = folder / "districts.json"
        self.districts_file.write_text(
            json.dumps(
                {
                    "state_secret": secrets.token_hex(32),
                    "districts": {
                        code: {"secret": secrets.token_hex(32), "token": secrets.token_hex(16), "name": code}
                        for code in districts
                    },
                }
            )
        )

    def pseudonyms(self) -> dict[str, Pseudonyms]:
        """Give what ingest makes of each district's numbers: whom to look for behind it."""
        named = json.loads(self.districts_file.read_text())
        state_secret = bytes.fromhex(named["state_secret"])
        return {
            code: Pseudonyms(secret=bytes.fromhex(each["secret"]), state_secret=state_secret)
            for code, each in named["districts"].items()
        }

    def clock(self, name: str, day: date) -> Path:
        """Move the clock of this name to the noon of a day, in New York or near it, and give its file."""
        path = self.folder / f"clock-{name}"
        noon = datetime(day.year, day.month, day.day, 16, tzinfo=UTC)
        write_whole(path, str(noon.timestamp() - time.time()))
        return path

    async def fresh_schemas(self, *services: str, code: Path | None = None) -> dict[str, str]:
        """Make a new database, migrate the services' schemas in it and give each service's URL.

        `code` is another checkout, whose migrations are run.
        """
        name = f"bench_{next(_numbers)}"
        connection = await asyncpg.connect(self.database.address)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        admin_url = urlunsplit(urlsplit(self.database.address)._replace(path=f"/{name}"))
        urls = await provision(admin_url, services)
        for service, url in urls.items():
            connection = await asyncpg.connect(url)
            try:
                await migrate(connection, (code or checkout()) / "services" / service / "migrations")
            finally:
                await connection.close()
        return urls

    def unbounded(self, url: str) -> str:
        """Give the database of a service's URL to its administrator, whom row-level security doesn't keep from COPY."""
        return urlunsplit(urlsplit(self.database.address)._replace(path=urlsplit(url).path))

    def start(self, service: str, database_url: str, *, clock: Path | None = None) -> Process:
        """Start one service process and return before it is ready."""
        return start_service(
            service,
            broker=self.broker.address,
            database_url=database_url,
            port=free_port(),
            folder=self.folder / f"{service}-{next(_numbers)}",
            env={
                "LEAP_PEOPLE_FILE": str(self.people_file),
                "LEAP_SESSION_SECRET_FILE": str(session_secret_file(self.folder)),
                **({"LEAP_CLOCK_FILE": str(clock)} if clock else {}),
                **({"LEAP_DISTRICTS_FILE": str(self.districts_file)} if service == "ingest" else {}),
            },
        )

    def stop(self) -> None:
        """Stop both parts."""
        self.broker.stop()
        self.database.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the clocks say, in seconds: the wall's, and the CPU that the client, PostgreSQL and the broker have used.

    None where a part runs in a container, whose processes are not ours to ask. `sender` is this process.
    """

    wall: float
    client: float
    postgres: float | None
    broker: float | None
    sender: float = 0.0

    def since(self, earlier: "Reading") -> "Reading":
        """Give what passed between two readings."""
        return Reading(
            wall=self.wall - earlier.wall,
            client=self.client - earlier.client,
            postgres=None if self.postgres is None else self.postgres - (earlier.postgres or 0.0),
            broker=None if self.broker is None else self.broker - (earlier.broker or 0.0),
            sender=self.sender - earlier.sender,
        )

    @property
    def machine_share(self) -> float:
        """Give the share of all cores' time that these processes had, user's and system's; another's work is none."""
        used = self.client + (self.postgres or 0.0) + (self.broker or 0.0) + self.sender
        return used / self.wall / (psutil.cpu_count() or 1)


def read_clocks(ground: Ground, *clients: int | None) -> Reading:
    """Read all clocks at once."""
    return Reading(
        wall=time.perf_counter(),
        client=cpu_seconds(*clients),
        postgres=None if ground.database.pid is None else server_cpu_seconds(ground.database.pid),
        broker=None if ground.broker.pid is None else cpu_seconds(ground.broker.pid),
        sender=time.process_time(),
    )


def cpu_seconds(*pids: int | None) -> float:
    """Sum the CPU time that these processes have used so far."""
    return sum(_own_seconds(psutil.Process(pid)) for pid in pids if pid is not None)


def server_cpu_seconds(pid: int | None) -> float:
    """Sum the CPU time of a PostgreSQL server: postmaster, every backend, and those that have ended."""
    if pid is None:
        return 0.0
    postmaster = psutil.Process(pid)
    times = postmaster.cpu_times()
    seconds: float = times.user + times.system + times.children_user + times.children_system
    for backend in postmaster.children(recursive=True):
        try:
            seconds += _own_seconds(backend)
        except psutil.NoSuchProcess:
            continue
    return seconds


def server_cpu_by_service(pid: int | None, services: Iterable[str]) -> dict[str, float]:
    """Split a PostgreSQL server's CPU time by the service whose role its processes serve.

    What serves none (WAL writer, checkpointer, autovacuum, whoever watches) is "PostgreSQL itself".
    """
    used = dict.fromkeys((*(f"PostgreSQL for {service}" for service in services), "PostgreSQL itself"), 0.0)
    for process in [] if pid is None else psutil.Process(pid).children(recursive=True):
        try:
            title = " ".join(process.cmdline())
            seconds = _own_seconds(process)
        except psutil.NoSuchProcess:
            continue
        served = next((name for name in services if f"postgres: {name}_" in title), None)
        used[f"PostgreSQL for {served}" if served else "PostgreSQL itself"] += seconds
    return used


def peak_megabytes(pid: int | None) -> float:
    """Read the most memory the process ever held."""
    if pid is None:
        return 0.0
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def forget_peak(pid: int | None) -> None:
    """Let `peak_megabytes` begin anew, where the kernel allows it."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


THIS_PYTHON = sys.executable


def _own_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)

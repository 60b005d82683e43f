"""The faults: each is done to the running system, and undone again; what they are called is what the table says."""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
import psutil

from tests.faults import town
from tests.faults.bed import SESSION_SECONDS, Bed
from tests.faults.proxy import Way

CRASH_POINTS = ("after_poll", "before_commit", "after_commit", "relay_sent")
Count = Callable[[str], None]


class Skipped(Exception):
    """This machine or this size of the system does not allow the fault; the message says why."""


@dataclass(slots=True)
class Faults:
    """What can be done to a system, by seeded draws. `count` is told of every single fault."""

    bed: Bed
    draw: random.Random
    count: Count
    kinds: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the kinds."""
        self.kinds = {
            "broker kill -9": self.broker_killed,
            "database kill -9": self.database_killed,
            "broker partition": self.broker_cut_off,
            "database partition": self.database_cut_off,
            "freeze": self.frozen,
            "crash point": self.crash_point,
            "all killed": self.all_killed,
            "sessions ended": self.sessions_ended,
            "commit unanswered": self.commits_unanswered,
            "slow line": self.slow_line,
            "full disk": self.full_disk,
            "clock jump": self.clock_jump,
            "rolling restart": self.rolling_restart,
            "one of three brokers": self.one_broker_of_three,
        }

    async def some_time(self, least: float, most: float) -> None:
        """Let the fault last; drawn, because how long decides what it meets."""
        await asyncio.sleep(self.draw.uniform(least, most))

    def kill_one(self) -> None:
        """Kill any worker."""
        self.count("service kill -9")
        self.bed.kill(self.draw.choice(sorted(self.bed.processes)))

    async def all_killed(self) -> None:
        """Kill every worker at once."""
        self.count("all killed")
        for name in self.bed.processes:
            self.bed.kill(name)

    async def crash_point(self) -> None:
        """Let a worker that reads die by itself, at a named point of its batch."""
        self.count("crash point")
        worker = self.draw.choice(sorted(self.bed.processes))
        self.bed.arm(worker, self.draw.choice(CRASH_POINTS))
        await self.some_time(3, 6)

    async def frozen(self) -> None:
        """Freeze a worker for longer than its session, while others take over."""
        self.count("freeze")
        process = self.bed.processes[self.draw.choice(sorted(self.bed.processes))]
        with suppress(psutil.Error):
            frozen = psutil.Process(process.pid)
            frozen.send_signal(signal.SIGSTOP)
            await self.some_time(SESSION_SECONDS + 2, 2 * SESSION_SECONDS + 4)
            frozen.send_signal(signal.SIGCONT)

    async def broker_killed(self) -> None:
        """Kill every broker, and start them a while later."""
        self.count("broker kill -9")
        await asyncio.to_thread(self.bed.cluster.kill)
        await self.some_time(0, 8)
        await asyncio.to_thread(self.bed.cluster.start)
        self.bed.write_down()

    async def one_broker_of_three(self) -> None:
        """Kill one of three brokers, or cut it off from the services; the others go on."""
        if len(self.bed.cluster.brokers) < 3:
            raise Skipped("one broker only (BROKERS=3 has three)")
        self.count("one of three brokers")
        number = self.draw.randrange(3)
        if self.draw.random() < 0.5:
            line = self.bed.cluster.proxies[number]
            line.turn(self.draw.choice((Way.SWALLOWED, Way.REFUSED)))
            await self.some_time(5, 15)
            line.turn(Way.OPEN)
            return
        broker = self.bed.cluster.brokers[number]
        await asyncio.to_thread(broker.kill)
        await self.some_time(2, 12)
        await asyncio.to_thread(broker.start)
        self.bed.write_down()

    async def database_killed(self) -> None:
        """Kill PostgreSQL, with whatever it was committing, and start it a while later."""
        self.count("database kill -9")
        await asyncio.to_thread(self.bed.database_process.kill)
        await self.some_time(0, 5)
        await asyncio.to_thread(self.bed.database_process.start)
        self.bed.write_down()

    async def sessions_ended(self) -> None:
        """End half of all sessions, whatever they are doing."""
        self.count("sessions ended")
        connection = await asyncpg.connect(self.bed.database.address, timeout=10)
        try:
            await connection.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.5"""
            )
        finally:
            await connection.close()

    async def commits_unanswered(self) -> None:
        """Let transactions commit, and cut the line before their services hear of it."""
        before = self.bed.database_line.lost_answers
        self.bed.database_line.lose_answers_to_commits(self.draw.randint(1, 4))
        await self.some_time(3, 6)
        self.bed.database_line.lose_answers_to_commits(0)
        for _ in range(self.bed.database_line.lost_answers - before):
            self.count("commit unanswered")

    async def broker_cut_off(self) -> None:
        """Cut the services off from every broker: bytes swallowed, or connections refused."""
        self.count("broker partition")
        way = self.draw.choice((Way.SWALLOWED, Way.DEAF, Way.REFUSED))
        for line in self.bed.cluster.proxies:
            line.turn(way)
        await self.some_time(4, 14)
        for line in self.bed.cluster.proxies:
            line.turn(Way.OPEN)

    async def database_cut_off(self) -> None:
        """Cut the services off from the database: bytes swallowed, answers lost, or connections refused."""
        self.count("database partition")
        self.bed.database_line.turn(self.draw.choice((Way.SWALLOWED, Way.DEAF, Way.REFUSED)))
        await self.some_time(4, 14)
        self.bed.database_line.turn(Way.OPEN)

    async def slow_line(self) -> None:
        """Make every line slow: a quarter of a second each way, or 40 kB a second."""
        self.count("slow line")
        way = self.draw.choice((Way.DELAYED, Way.NARROW))
        for line in self.bed.lines:
            line.turn(way)
        await self.some_time(6, 14)
        for line in self.bed.lines:
            line.turn(Way.OPEN)

    async def full_disk(self) -> None:
        """Fill the database's disk or the broker's to the last byte, and make room again."""
        if not self.bed.shape.own_disks:
            raise Skipped("no disk of its own (it needs root and a machine that mounts files)")
        self.count("full disk")
        disk = self.bed.folder / self.draw.choice(("database", "brokers"))
        ballast = disk / "ballast"
        try:
            await asyncio.to_thread(_fill, ballast)
            await self.some_time(4, 10)
        finally:
            ballast.unlink(missing_ok=True)
        await asyncio.to_thread(self.bed.start_parts)  # Kafka ends on a full disk, and somebody starts it

    async def clock_jump(self) -> None:
        """Let the services' clock jump by weeks and back, inside the school year; nothing may be judged by it."""
        self.count("clock jump")
        self.bed.it_is(town.NOW + timedelta(days=self.draw.choice((-20, -3, 3, 20))))
        await self.some_time(2, 6)
        self.bed.it_is(town.NOW)

    async def rolling_restart(self) -> None:
        """Stop and start one worker after the other, as an upgrade does."""
        self.count("rolling restart")
        for name in sorted(self.bed.processes):
            self.bed.expect_end(name)
            await asyncio.to_thread(self.bed.processes[name].stop)


def _fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(ballast.parent).free)
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))

"""All services on a made-up state, and its school year as far as it has landed: what was sent, and what must follow."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.services import SERVICES
from contracts.topics import PARTITIONS, landing_topics
from deploy.local import Process, create_topics
from services.runtime.database import Connection
from services.runtime.delivery.publisher import Message, Publisher
from tests.bench import state
from tests.bench.machine import Ground, cpu_seconds, forget_peak, peak_megabytes, server_cpu_by_service
from tests.bench.state import State

DEADLINE_SECONDS = 1800.0
_LAND_BYTES = 2 << 20
LANDED = "SELECT coalesce(sum(records), 0)::bigint FROM landed_count WHERE kind IN ('mark', 'roll_mark')"
APPLIED = "SELECT coalesce(sum(applied + duplicate), 0)::bigint FROM mark_count"
_REFUSED = """
SELECT coalesce(sum(records), 0)::bigint FROM landed_count WHERE kind IN ('rejected', 'roll_mark_rejected')"""
_COMPLETE = "SELECT count(*) FROM school_year WHERE get_bit(completed, $1) = 1"
_NOT_LOOKED_AT = "SELECT count(*) FROM school_year WHERE checked_on < $1 OR is_stale"


@dataclass(slots=True)
class Sent:
    """What has landed: marks by district, and the (district, student, day) that some of them are about."""

    marks: Counter[str] = field(default_factory=Counter)
    whole_days: list[int] = field(default_factory=list)
    of_part_days: set[tuple[str, str, int]] = field(default_factory=set)


class Running:
    """The running services, the state they serve, and where its year stands."""

    def __init__(self, ground: Ground, its: State, urls: dict[str, str], publisher: Publisher) -> None:
        self.ground, self.state, self.urls, self.publisher = ground, its, urls, publisher
        self.ends = AIOKafkaConsumer(bootstrap_servers=ground.broker.address, group_id=None)
        self.views: dict[str, Connection] = {}
        self.workers: dict[str, Process] = {}
        self.sent = Sent()
        self.next_day = 1
        self.load_peaks: dict[str, float] = {}

    async def start(self, day: int) -> None:
        """Start every service on the n-th school day, and flagging alone on the first.

        It would close months for being late, before their marks are there; ingest would refuse days to come.
        """
        today = self.ground.clock("others", state.day_of(day))
        clocks = {"flagging": self.ground.clock("flagging", state.FIRST_DAY)}
        await self.ends.start()
        for service in SERVICES:
            self.workers[service] = self.ground.start(service, self.urls[service], clock=clocks.get(service, today))
            self.views[service] = await asyncpg.connect(self.urls[service])
        await asyncio.gather(*(asyncio.to_thread(worker.wait_ready) for worker in self.workers.values()))

    async def stop(self) -> None:
        """Stop all."""
        for view in self.views.values():
            await view.close()
        await self.ends.stop()
        await self.publisher.stop()
        for worker in self.workers.values():
            worker.stop()

    async def land(self, topic: str, values: Iterable[bytes]) -> None:
        """Land records on a district's topic, in pieces that a broker takes."""
        waiting: list[Message] = []
        size = 0
        for value in values:
            waiting.append((None, value, []))
            size += len(value)
            if size >= _LAND_BYTES:
                await self.publisher.publish_batches(topic, {0: waiting})
                waiting, size = [], 0
        if waiting:
            await self.publisher.publish_batches(topic, {0: waiting})

    async def land_all(self, values_by_topic: Mapping[str, Iterable[bytes]]) -> None:
        """Land records on many topics at once: districts don't wait for each other."""
        await asyncio.gather(*(self.land(topic, values) for topic, values in values_by_topic.items()))

    async def enrol(self) -> None:
        """Land the roster, and return when everybody is enrolled."""
        print(f"enrolling {self.state.students:,} students of {len(self.state.districts)} districts", flush=True)
        for district in self.state.districts:
            await self.land(landing_topics(district)[1], self.state.roster(district))
        positions = "SELECT coalesce(sum(next_offset), 0)::bigint FROM position WHERE topic = 'rosters'"
        await self.until("flagging", positions, self.state.students, poll_seconds=0.5)

    async def bring_to(self, day: int) -> None:
        """Land what is missing before a day, as whole rolls, a school's days one behind the other, and let all settle.

        So a batch of flagging's holds weeks of few schools: the cheap way, and the services' own.
        """
        days = range(self.next_day, day)
        if days:
            print(f"landing the school days {days[0]} to {days[-1]} as whole rolls", flush=True)
            began = time.perf_counter()
            for district in self.state.districts:
                await self.land(landing_topics(district)[0], self.state.whole_rolls(district, days))
            self.have_landed(days)
            await self.applied()
            marks, seconds = sum(self.sent.marks.values()), time.perf_counter() - began
            print(f"  {marks:,} marks have landed so far; these days took {seconds:.1f} s", flush=True)
        await self.begin_day(day)

    def have_landed(self, days: Iterable[int]) -> None:
        """Take down that these days have landed whole."""
        for day in days:
            self.sent.whole_days.append(day)
            for district in self.state.districts:
                self.sent.marks[district] += self.state.marks_on(district, day)
            self.next_day = day + 1

    def turn_clocks(self, day: int) -> None:
        """Turn the clocks of all but flagging to a school day: up to it, ingest takes marks."""
        self.ground.clock("others", state.day_of(day))

    async def begin_day(self, day: int) -> None:
        """Turn every clock to a school day, and let what waits for a new day be done."""
        today = state.day_of(day)
        self.turn_clocks(day)
        self.ground.clock("flagging", today)
        await self.until("flagging", _NOT_LOOKED_AT, 0, today, poll_seconds=0.25)
        await self.settled()

    async def applied(self) -> None:
        """Return when all that landed is applied, whole days are complete, and everything told has arrived."""
        await self.until("flagging", APPLIED, sum(self.sent.marks.values()), poll_seconds=0.25)
        for day in self.sent.whole_days[-1:]:
            await self.is_complete(day)
        await self.settled()

    async def is_complete(self, day: int) -> None:
        """Return when every school's roll of a day is complete."""
        await self.until("flagging", _COMPLETE, sum(self.state.schools.values()), place_of(state.day_of(day)))

    async def settled(self) -> None:
        """Return when nobody has anything to send or to read."""
        deadline, quiet = time.monotonic() + DEADLINE_SECONDS, 0
        while quiet < len(self.views):
            for service in self.views:
                quiet = quiet + 1 if await self.has_sent(service) and await self.has_read(service) else 0
            self._go_on(deadline, "the services never came to rest")
            await asyncio.sleep(0.1)

    async def has_sent(self, service: str) -> bool:
        """Tell whether a service's outbox is empty."""
        return not await self.views[service].fetchval("SELECT EXISTS (SELECT FROM outbox)")

    async def has_read(self, service: str) -> bool:
        """Tell whether a service's positions are at the ends of its topics."""
        rows = await self.views[service].fetch("SELECT topic, partition FROM position")
        ends = await self.ends.end_offsets([TopicPartition(*row) for row in rows]) if rows else {}
        return await self.has_come(service, ends)

    async def ends_of(self, topic: str) -> dict[TopicPartition, int]:
        """Give where a topic ends by now."""
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return dict(await self.ends.end_offsets(partitions))

    async def has_come(self, service: str, ends: Mapping[TopicPartition, int]) -> bool:
        """Tell whether a service's positions are at or behind these ends."""
        rows = await self.views[service].fetch("SELECT topic, partition, next_offset FROM position")
        positions = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return all(positions.get(partition, 0) >= end for partition, end in ends.items())

    async def wait_for(self, what: str, holds: Callable[[], Awaitable[bool]], *, poll_seconds: float = 0.05) -> None:
        """Return when it holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not await holds():
            self._go_on(deadline, f"never came: {what}")
            await asyncio.sleep(poll_seconds)

    async def until(self, service: str, query: str, expected: int, *arguments: Any, poll_seconds: float = 0.1) -> None:
        """Return when a service's query gives this."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (seen := int(await self.views[service].fetchval(query, *arguments) or 0)) != expected:
            self._go_on(deadline, f"{service}: {seen:,} instead of {expected:,} ({query})")
            await asyncio.sleep(poll_seconds)

    def _go_on(self, deadline: float, else_said: str) -> None:
        ended = [name for name, worker in self.workers.items() if not worker.is_running()]
        if ended:
            raise RuntimeError(f"{' and '.join(ended)} ended; the logs are in {self.ground.folder} with --keep")
        if time.monotonic() > deadline:
            raise TimeoutError(else_said)

    def cpu_by_part(self) -> dict[str, float]:
        """Give the CPU seconds that each part has used so far; the sending districts are this process."""
        used = {name: cpu_seconds(worker.pid) for name, worker in self.workers.items()}
        used |= server_cpu_by_service(self.ground.database.pid, self.workers)
        return used | {"Kafka": cpu_seconds(self.ground.broker.pid), "the districts, sending": time.process_time()}

    def peaks(self) -> dict[str, float]:
        """Give the most memory that each service held since the last `forget_peaks`, in MB."""
        return {name: peak_megabytes(worker.pid) for name, worker in self.workers.items()}

    def forget_peaks(self) -> None:
        """Keep what the load has taken, and let the peaks begin anew."""
        self.load_peaks = self.peaks()
        for worker in self.workers.values():
            forget_peak(worker.pid)

    async def not_conserved(self) -> list[str]:
        """Name every count that differs from what was sent: exactly, by district."""
        wrong: list[str] = []

        def compare(what: str, counted: object, expected: object) -> None:
            if counted != expected:
                wrong.append(f"{what}: {counted} instead of {expected}")

        accepted = await self._by_district("ingest", "sum(records)", "landed_count WHERE kind IN ('mark', 'roll_mark')")
        taken = await self._by_district("flagging", "sum(applied + duplicate)", "mark_count")
        kept = await self._by_district("flagging", "sum(length(codes))", "roll_page")
        for district in self.state.districts:
            compare(f"marks accepted from {district}", accepted.get(district), self.sent.marks[district])
            compare(f"marks taken from {district}", taken.get(district), self.sent.marks[district])
            compare(f"marks kept of {district}", kept.get(district), self._kept_of(district))
        compare("records rejected", await self.views["ingest"].fetchval(_REFUSED), 0)
        for service, view in self.views.items():
            compare(f"dead letters of {service}", await view.fetchval("SELECT count(*) FROM dead_letter"), 0)
        for line in wrong[:20]:
            print(f"  not conserved: {line}", flush=True)
        return wrong

    def _kept_of(self, district: str) -> int:
        whole = set(self.sent.whole_days)
        part = sum(where == district and day not in whole for where, _, day in self.sent.of_part_days)
        return part + sum(self.state.marks_on(district, day) for day in whole)

    async def _by_district(self, service: str, what: str, table: str) -> dict[str, int]:
        rows = await self.views[service].fetch(f"SELECT district, ({what})::bigint AS n FROM {table} GROUP BY district")
        return {row["district"]: row["n"] for row in rows}


@asynccontextmanager
async def running(ground: Ground, its: State, *, day: int) -> AsyncIterator[Running]:
    """Start the services on a ground of their own, on a state's n-th school day, and stop them again."""
    await create_topics(ground.broker.address, its.districts)
    publisher = Publisher(ground.broker.address, source="bench")
    await publisher.start()
    system = Running(ground, its, await ground.fresh_schemas(*SERVICES), publisher)
    try:
        await system.start(day)
        yield system
    finally:
        await system.stop()


def place_of(day: date) -> int:
    """Give a day's place in the sets of days that flagging keeps."""
    return (day - date(day.year if day.month >= 7 else day.year - 1, 7, 1)).days

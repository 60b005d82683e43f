"""Sending the simulated state through its districts' landing topics, and counting exactly what was sent."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from aiokafka import AIOKafkaProducer

from contracts.calendar import school_year_of
from contracts.topics import landing_topics
from deploy.demo.calendars import first_school_day, last_possible_day
from deploy.demo.feed import DistrictDay, Visited, days
from deploy.demo.records import Sent as SentRecord
from services.runtime.broker_access import Broker, client_options

_BATCH_BYTES = 512 * 1024
_IN_FLIGHT = 64


@dataclass(slots=True, kw_only=True)
class Counts:
    """What one district sent, by kind: marks single and in rolls; `repeats` says how much had been sent before."""

    marks: int = 0
    retractions: int = 0
    rolls: int = 0
    roster: int = 0
    garbage: int = 0
    repeats: int = 0

    @property
    def total(self) -> int:
        """Count every record and every mark in a roll, each delivery once: as `leap status` does."""
        return self.marks + self.retractions + self.rolls + self.roster + self.garbage

    def add(self, record: SentRecord) -> None:
        """Count one record, and the marks of a roll."""
        self.marks += record.marks
        if record.kind != "marks":
            setattr(self, record.kind, getattr(self, record.kind) + 1)
        if record.repeat:
            self.repeats += record.marks + (record.kind != "marks")


@dataclass(slots=True, kw_only=True)
class Sent:
    """What each district has sent, for the sum that must add up: sent = accepted + rejected + duplicate."""

    until: date
    by_district: dict[str, Counts] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Count every record of every district."""
        return sum(counts.total for counts in self.by_district.values())

    def add(self, day: DistrictDay) -> None:
        """Count one district's day."""
        counts = self.by_district.setdefault(day.district, Counts())
        for record in (*day.roster, *day.attendance):
            counts.add(record)

    def write(self, report: Path) -> None:
        """Write the counts as JSON, for whoever checks them later."""
        districts = {code: asdict(counts) | {"total": counts.total} for code, counts in self.by_district.items()}
        report.write_text(json.dumps({"until": self.until.isoformat(), "districts": districts}, indent=1) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a replay is: the school date it has reached, and the days behind and in all."""

    day: date
    days_done: int
    days_total: int
    records: int
    marks: int


def ignore(_: Progress) -> None:
    """Do nothing with progress, where nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is done around each day that is sent.

    `before_day` is awaited before its first record is sent; `after_day` when a day has been acknowledged, and before
    the next one is drawn with what was added to the visits by then.
    """

    before_day: Callable[[date], Awaitable[None]] | None = None
    progress: Callable[[Progress], None] = ignore
    after_day: Callable[[date], Awaitable[None]] | None = None


UNWATCHED = Around()


async def replay(
    *,
    broker_of: Callable[[str], Broker],
    scale: float,
    seed: int,
    until: date,
    districts_file: Path,
    visited: Visited | None = None,
    around: Around = UNWATCHED,
) -> Sent:
    """Send the school year that contains `until`, up to it, for the districts named in `districts_file`.

    It returns when the broker has acknowledged every record. The topics must exist. `visited` may grow meanwhile.
    `broker_of` gives a district's own way to the broker: each sends as itself, and could not send as another.
    """
    named = districts_named_in(districts_file)
    first = first_school_day(school_year_of(until))
    days_total = max(1, (min(until, last_possible_day(school_year_of(until))) - first).days + 1)
    sent = Sent(until=until)
    records = marks = 0

    lane = _Lane(broker_of)
    try:
        for day, sent_by_district in days(scale=scale, seed=seed, until=until, districts=named, visited=visited):
            if around.before_day is not None:
                await around.before_day(day)
            for each in sent_by_district:
                attendance_in, roster_in = landing_topics(each.district)
                await lane.send(each.district, roster_in, each.roster)
                await lane.send(each.district, attendance_in, each.attendance)
                sent.add(each)
                records += len(each.roster) + len(each.attendance)
                marks += sum(record.marks for record in each.attendance)
            around.progress(
                Progress(
                    day=day,
                    days_done=max(0, (day - first).days),
                    days_total=days_total,
                    records=records,
                    marks=marks,
                )
            )
            if around.after_day is not None:
                await lane.settle()
                await around.after_day(day)
        await lane.settle()
    finally:
        await lane.stop()
    around.progress(Progress(day=until, days_done=days_total, days_total=days_total, records=records, marks=marks))
    return sent


def districts_named_in(districts_file: Path) -> frozenset[str]:
    """Read the codes of the districts that take part."""
    return frozenset(json.loads(districts_file.read_text())["districts"])


class _Lane:
    """Batches on their way to the broker, bounded: one partition per topic keeps a district's order."""

    def __init__(self, broker_of: Callable[[str], Broker]) -> None:
        self._broker_of = broker_of
        self._producers: dict[str, AIOKafkaProducer] = {}
        self._in_flight: list[asyncio.Future[object]] = []

    async def send(self, district: str, topic: str, records: tuple[SentRecord, ...]) -> None:
        producer = await self._producer_of(district)
        batch = producer.create_batch()
        for record in records:
            if batch.append(key=None, value=record.value, timestamp=None) is None:
                await self._ship(producer, topic, batch)
                batch = producer.create_batch()
                batch.append(key=None, value=record.value, timestamp=None)
        if batch.record_count():
            await self._ship(producer, topic, batch)

    async def _producer_of(self, district: str) -> AIOKafkaProducer:
        if district not in self._producers:
            self._producers[district] = AIOKafkaProducer(
                **client_options(self._broker_of(district)),
                acks="all",
                enable_idempotence=True,
                max_batch_size=_BATCH_BYTES,
            )
            await self._producers[district].start()
        return self._producers[district]

    async def _ship(self, producer: AIOKafkaProducer, topic: str, batch: object) -> None:
        self._in_flight.append(await producer.send_batch(batch, topic, partition=0))
        if len(self._in_flight) >= _IN_FLIGHT:
            await self.settle()

    async def settle(self) -> None:
        await asyncio.gather(*self._in_flight)
        self._in_flight.clear()

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._producers.values()))

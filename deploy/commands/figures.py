"""How far everything is and whether it adds up, read from the log's ends, the positions and the services' counts."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.services import SERVICES
from contracts.topics import TOPICS
from deploy.commands import http_client, people
from deploy.commands.state import State
from deploy.local.topics import admin, is_landing


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictFigures:
    """One district: everything it sent is accepted, rejected or a duplicate, or the sum is off.

    A landed roll counts as a record and, beside that, as its marks.
    """

    district: str
    sent: int
    accepted: int
    rejected: int
    duplicate: int
    waiting_numbers: int = 0
    """Numbers of pupils that no enrolment knows; their marks are accepted, kept, and count when one comes."""
    waiting_days: int = 0
    rolls_waiting: int = 0
    """Schools' days whose marks wait for their roll although three school days have passed; the oldest such day."""
    oldest_roll_waiting: str | None = None
    days_without_mark: int = 0
    """Students' days, this school year, of which a complete roll of a full feed says nothing: present."""
    schools_without_calendar: int = 0

    @property
    def gap(self) -> int:
        """Count the records nobody accounts for; 0 where it adds up, below 0 where some count twice."""
        return self.sent - self.accepted - self.rejected - self.duplicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A partition that a service does not read on, and what a person can do."""

    service: str
    topic: str
    partition: int
    position: int | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The whole system at one moment."""

    districts: list[DistrictFigures]
    lag_by_group: dict[str, int]
    waiting_in_outbox: dict[str, int]
    dead_letters: dict[str, int]
    totals: dict[str, int] = field(default_factory=dict)
    stopped: list[Stopped] = field(default_factory=list)

    @property
    def lag(self) -> int:
        """Count the records some group has still to read and the events still to be published."""
        return sum(self.lag_by_group.values()) + sum(self.waiting_in_outbox.values())

    @property
    def adds_up(self) -> bool:
        """Tell whether every district's sum holds, every partition is read, and nothing was put aside as unreadable."""
        put_aside = any(self.dead_letters.values()) or self.stopped
        return all(district.gap == 0 for district in self.districts) and not put_aside


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is still on its way."""

    log_ends: dict[TopicPartition, int]
    lag_by_group: dict[str, int]
    waiting_in_outbox: dict[str, int]
    dead_letters: dict[str, int]
    stopped: list[Stopped] = field(default_factory=list)
    empty_by_topic: dict[str, int] = field(default_factory=dict)
    """Of landing topics: offsets at which no record stands, the ends of transactions and what was rolled back."""

    @property
    def records(self) -> int:
        """Count everything that is still on its way."""
        return sum(self.lag_by_group.values()) + sum(self.waiting_in_outbox.values())


async def measure_backlog(state: State) -> Backlog:
    """Compare the positions in PostgreSQL with the ends of the log, positions first: never too favourable."""
    positions: dict[str, dict[TopicPartition, int]] = {}
    outbox, dead_letters = {}, {}
    stopped: list[Stopped] = []
    empty: dict[str, int] = {}
    connection = await asyncpg.connect(state.admin_url())
    try:
        for service in SERVICES:
            rows = await connection.fetch(
                f"SELECT consumer_group, topic, partition, next_offset, empty_offsets FROM {service}.position"
            )
            for group, topic, partition, next_offset, empty_offsets in rows:
                positions.setdefault(group, {})[TopicPartition(topic, partition)] = next_offset
                if is_landing(topic):
                    empty[topic] = empty.get(topic, 0) + empty_offsets
            stops = await connection.fetch(
                f"SELECT topic, partition, position, reason, detail FROM {service}.stopped_partition ORDER BY 1, 2"
            )
            stopped += [Stopped(service=service, **row) for row in stops]
            outbox[service] = await connection.fetchval(f"SELECT count(*) FROM {service}.outbox")
            dead_letters[service] = await connection.fetchval(f"SELECT count(*) FROM {service}.dead_letter")
    finally:
        await connection.close()

    ends = await _log_ends(state.bootstrap())
    lag_by_group = {}
    for group, at in sorted(positions.items()):
        topics = {each.topic for each in at}
        # A group that subscribes by pattern owes us the landing topics it has not even seen.
        reads = [each for each in ends if each.topic in topics or (_reads_landing(topics) and is_landing(each.topic))]
        lag_by_group[group] = sum(ends[each] - at.get(each, 0) for each in reads)
    return Backlog(
        log_ends=ends,
        lag_by_group=lag_by_group,
        waiting_in_outbox=outbox,
        dead_letters=dead_letters,
        stopped=stopped,
        empty_by_topic=empty,
    )


async def measure(state: State) -> Figures:
    """Gather the figures of `leap status`."""
    backlog = await measure_backlog(state)

    def counts_of(service: str) -> dict[str, Any]:
        return dict(http_client.get(state.address_of(service), "/v1/counts", people.acting_as("ops")))

    landed = {each["district"]: each for each in counts_of("ingest")["districts"]}
    applied = {each["district"]: each for each in counts_of("flagging")["districts"]}
    reporting = counts_of("reporting")

    sent: dict[str, int] = {}
    for partition, end in backlog.log_ends.items():
        if is_landing(partition.topic):
            district = partition.topic.split("-in-", 1)[1]
            sent[district] = sent.get(district, 0) + end - backlog.empty_by_topic.get(partition.topic, 0)
    districts = [
        _district(name, count, landed.get(name, {}), applied.get(name, {})) for name, count in sorted(sent.items())
    ]
    return Figures(
        districts=districts,
        lag_by_group=backlog.lag_by_group,
        waiting_in_outbox=backlog.waiting_in_outbox,
        dead_letters=backlog.dead_letters,
        stopped=backlog.stopped,
        totals={name: count for name, count in reporting.items() if isinstance(count, int)},
    )


def _district(name: str, sent: int, landed: dict[str, Any], applied: dict[str, Any]) -> DistrictFigures:
    marks_applied, duplicate = int(applied.get("applied", 0)), int(applied.get("duplicate", 0))
    # Marks and retractions are accepted where they took effect, behind Kafka; the rest where it was published.
    other = int(landed.get("rolls", 0)) + int(landed.get("roster", 0))
    in_rolls_rejected = int(landed.get("roll_marks_rejected", 0))
    return DistrictFigures(
        district=name,
        sent=sent + int(landed.get("roll_marks", 0)) + in_rolls_rejected,
        accepted=marks_applied + other,
        rejected=int(landed.get("rejected", 0)) + in_rolls_rejected,
        duplicate=duplicate,
        waiting_numbers=int(applied.get("waiting_numbers", 0)),
        waiting_days=int(applied.get("waiting_days", 0)),
        rolls_waiting=int(applied.get("rolls_waiting", 0)),
        oldest_roll_waiting=applied.get("oldest_roll_waiting"),
        days_without_mark=int(applied.get("days_without_mark", 0)),
        schools_without_calendar=int(applied.get("schools_without_calendar", 0)),
    )


async def _log_ends(bootstrap: str) -> dict[TopicPartition, int]:
    async with admin(bootstrap) as client:
        landing = [name for name in await client.list_topics() if is_landing(name)]
    partitions = [TopicPartition(name, 0) for name in landing]
    partitions += [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
    # What is committed: nobody waits for what may yet be rolled back.
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed")
    await consumer.start()
    # Assigned, so that all topics are asked for at once and not each by a failed try; paused, so that nothing is read.
    consumer.assign(partitions)
    consumer.pause(*partitions)
    try:
        return dict(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()


def _reads_landing(topics: set[str]) -> bool:
    return any(is_landing(topic) for topic in topics)

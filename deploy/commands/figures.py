"""How far everything is and whether it adds up, read from the log's ends, the positions and the services' counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.services import SERVICES
from contracts.topics import PARTITIONS, TOPICS
from deploy.commands import http_client, people
from deploy.commands.state import State
from deploy.local.topics import admin, is_landing
from services.runtime.broker_access import Broker, client_options
from services.runtime.delivery.publisher import partition_of

_FLAGGING = "leap-flagging"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrictFigures:
    """One district: everything it sent is accepted, waiting, rejected or a duplicate, or the sum is off.

    A landed roll counts as a record and, beside that, as its marks. Each landing place counts once, however often it is
    read. `waiting` is what was not dealt with yet, and what was set aside for a person to repair.
    """

    district: str
    sent: int
    accepted: int
    waiting: int = 0
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
        return self.sent - self.accepted - self.waiting - self.rejected - self.duplicate


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


@dataclass(slots=True, kw_only=True)
class Landing:
    """How much of a district's landing logs nobody has dealt with: not `read` yet, or set `aside` by ingest.

    `is_applied` says that flagging has read what was published of it.
    """

    unread: int = 0
    aside: int = 0
    is_applied: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is still on its way."""

    log_ends: dict[TopicPartition, int]
    lag_by_group: dict[str, int]
    waiting_in_outbox: dict[str, int]
    dead_letters: dict[str, int]
    landing: dict[str, Landing] = field(default_factory=dict)
    stopped: list[Stopped] = field(default_factory=list)

    @property
    def records(self) -> int:
        """Count everything that is still on its way."""
        return sum(self.lag_by_group.values()) + sum(self.waiting_in_outbox.values())


async def measure_backlog(state: State) -> Backlog:
    """Compare the positions in PostgreSQL with the ends of the log, positions first: never too favourable."""
    positions: dict[str, dict[TopicPartition, int]] = {}
    outbox, dead_letters = {}, {}
    stopped: list[Stopped] = []
    connection = await asyncpg.connect(state.admin_url())
    try:
        for service in SERVICES:
            rows = await connection.fetch(
                f"SELECT consumer_group, topic, partition, next_offset FROM {service}.position"
            )
            for group, topic, partition, next_offset in rows:
                positions.setdefault(group, {})[TopicPartition(topic, partition)] = next_offset
            stops = await connection.fetch(
                f"SELECT topic, partition, position, reason, detail FROM {service}.stopped_partition ORDER BY 1, 2"
            )
            stopped += [Stopped(service=service, **row) for row in stops]
            outbox[service] = await connection.fetchval(f"SELECT count(*) FROM {service}.outbox")
            dead_letters[service] = await connection.fetchval(f"SELECT count(*) FROM {service}.dead_letter")
        aside = await connection.fetch("SELECT topic, count(*) AS records FROM ingest.dead_letter GROUP BY topic")
    finally:
        await connection.close()

    ends = await _log_ends(state.kafka())
    lag_by_group = {}
    for group, at in sorted(positions.items()):
        topics = {each.topic for each in at}
        # A group that subscribes by pattern owes us the landing topics it has not even seen.
        reads = [each for each in ends if each.topic in topics or (_reads_landing(topics) and is_landing(each.topic))]
        lag_by_group[group] = sum(_behind(each, at, ends) for each in reads)
    backlog = Backlog(
        log_ends=ends,
        lag_by_group=lag_by_group,
        waiting_in_outbox=outbox,
        dead_letters=dead_letters,
        stopped=stopped,
    )
    landed = _districts_of_groups(positions)
    for partition in filter(lambda each: is_landing(each.topic), ends):
        district = _district_of(partition.topic)
        behind = _behind(partition, landed, ends)
        lane = TopicPartition("rolls", partition_of(district, PARTITIONS))
        found = backlog.landing.setdefault(district, Landing())
        found.unread += behind
        found.is_applied = not _behind(lane, positions.get(_FLAGGING, {}), ends)
    for topic, records in aside:
        if is_landing(topic):
            backlog.landing.setdefault(_district_of(topic), Landing()).aside += records
    return backlog


def _districts_of_groups(positions: dict[str, dict[TopicPartition, int]]) -> dict[TopicPartition, int]:
    return {each: at for group in positions.values() for each, at in group.items() if is_landing(each.topic)}


def _behind(partition: TopicPartition, at: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> int:
    """Count what is still to be read. A position beyond its log is a fault of its own, and no record less to read."""
    return max(0, ends.get(partition, 0) - at.get(partition, 0))


def _district_of(landing_topic: str) -> str:
    return landing_topic.split("-in-", 1)[1]


async def measure(state: State) -> Figures:
    """Gather the figures of `leap status`."""

    def counts_of(service: str) -> dict[str, Any]:
        return dict(http_client.get(state.address_of(service), "/v1/counts", people.acting_as("ops")))

    # From the far end on: what is dealt with meanwhile shows as on its way, and never as dealt with twice.
    reporting = counts_of("reporting")
    applied = {each["district"]: each for each in counts_of("flagging")["districts"]}
    landed = {each["district"]: each for each in counts_of("ingest")["districts"]}
    backlog = await measure_backlog(state)

    districts = [
        _district(name, backlog.landing.get(name, Landing()), landed.get(name, {}), applied.get(name, {}))
        for name in sorted({*backlog.landing, *landed, *applied})
    ]
    return Figures(
        districts=districts,
        lag_by_group=backlog.lag_by_group,
        waiting_in_outbox=backlog.waiting_in_outbox,
        dead_letters=backlog.dead_letters,
        stopped=backlog.stopped,
        totals={name: count for name, count in reporting.items() if isinstance(count, int)},
    )


def _district(name: str, landing: Landing, landed: dict[str, Any], applied: dict[str, Any]) -> DistrictFigures:
    marks_applied, duplicate = int(applied.get("applied", 0)), int(applied.get("duplicate", 0))
    # Marks and retractions are accepted where they took effect, behind Kafka; the rest where it was published.
    other = int(landed.get("rolls", 0)) + int(landed.get("roster", 0))
    in_rolls, in_rolls_rejected = int(landed.get("roll_marks", 0)), int(landed.get("roll_marks_rejected", 0))
    published = int(landed.get("marks", 0)) + int(landed.get("retractions", 0)) + in_rolls
    # While flagging has still to read, a difference is no gap but a wait.
    on_their_way = 0 if landing.is_applied else max(0, published - marks_applied - duplicate)
    records = int(landed.get("landed", 0)) + int(landed.get("missing", 0)) + landing.unread + landing.aside
    return DistrictFigures(
        district=name,
        sent=records + in_rolls + in_rolls_rejected,
        accepted=marks_applied + other,
        waiting=landing.unread + landing.aside + on_their_way,
        rejected=int(landed.get("rejected", 0)) + in_rolls_rejected,
        duplicate=duplicate,
        waiting_numbers=int(applied.get("waiting_numbers", 0)),
        waiting_days=int(applied.get("waiting_days", 0)),
        rolls_waiting=int(applied.get("rolls_waiting", 0)),
        oldest_roll_waiting=applied.get("oldest_roll_waiting"),
        days_without_mark=int(applied.get("days_without_mark", 0)),
        schools_without_calendar=int(applied.get("schools_without_calendar", 0)),
    )


async def _log_ends(broker: Broker) -> dict[TopicPartition, int]:
    async with admin(broker) as client:
        landing = [name for name in await client.list_topics() if is_landing(name)]
        # As many partitions as there are: somebody may have widened a landing topic.
        described = await client.describe_topics(landing)
    partitions = [
        TopicPartition(topic["topic"], each["partition"]) for topic in described for each in topic["partitions"]
    ]
    partitions += [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
    # What is committed: nobody waits for what may yet be rolled back.
    consumer = AIOKafkaConsumer(**client_options(broker), enable_auto_commit=False, isolation_level="read_committed")
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

"""What landed and what was told, read from the topics as anybody could: raw records, counted and followed."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.runtime.broker_access import Broker, client_options
from tests.pipeline.year.landed import Landed

FLAGS, VISITS = "flags", "home-visits"
PARTITIONS = 24
_FORMER = "former-*.jsonl"
PATIENCE_SECONDS = 30.0
Ends = dict[TopicPartition, int]


@dataclass(slots=True)
class Sent:
    """What a district sent, counted record by record: what the books must come to."""

    records: int = 0
    rejected: int = 0
    marks: int = 0
    retractions: int = 0
    roll_marks: int = 0

    @property
    def all_marks(self) -> int:
        """Count every mark and retraction, by itself or in a roll."""
        return self.marks + self.retractions + self.roll_marks


@dataclass(slots=True)
class Told:
    """What flagging and the desk have told: levels by student, requests by id, and what is wrong about the telling."""

    levels: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: set[str] = field(default_factory=set)
    repeats: int = 0
    wrong: list[str] = field(default_factory=list)
    _contents: dict[str, int] = field(default_factory=dict)

    def take(self, value: bytes) -> None:
        """Take in one event. An id that comes again has no effect, and must say the same, whenever it is said.

        Flagging put back from a copy cuts its batches otherwise: it may tell a version again with more in it, which
        nobody acts on who has heard of a newer one.
        """
        event = json.loads(value)
        name, content = event["event_id"], hash(json.dumps(event | {"occurred_at": ""}, sort_keys=True))
        if name in self._contents:
            self.repeats += 1
            if self._contents[name] != content and not self._is_superseded(event):
                self.wrong.append(f"doubled: event {name} was told twice and not alike")
            return
        self._contents[name] = content
        kind = event["event_type"]
        if kind.startswith("absence-flag.figures"):
            for told in zip(event["students"], event["versions"], event["levels"], strict=True):
                self._stands(*told)
        elif kind.startswith("absence-flag."):
            self._stands(event["student_key"], event["version"], event["level"])
        elif kind == "visit.requested.v1":
            if event["request_id"] in self.requests:
                self.wrong.append(f"doubled: request {event['request_id']} was opened twice")
            self.requests.add(event["request_id"])

    def _is_superseded(self, event: dict[str, Any]) -> bool:
        if not event["event_type"].startswith("absence-flag."):
            return False
        students = event["students"] if "students" in event else [event["student_key"]]
        versions = event["versions"] if "versions" in event else [event["version"]]
        return all(version < self.levels[who][0] for who, version in zip(students, versions, strict=True))

    def _stands(self, student: str, version: int, level: str) -> None:
        known = self.levels.get(student, (0, ""))
        if version <= known[0]:
            self.wrong.append(f"wrong: a flag's version went from {known[0]} to {version} on the topic")
        self.levels[student] = max(known, (version, level))


class _Kept(NamedTuple):
    """A record of a landing topic that is no more."""

    topic: str
    timestamp: int
    value: bytes

    @classmethod
    def of(cls, written: tuple[str, int, str]) -> Self:
        """Read it as it was kept."""
        return cls(written[0], written[1], bytes.fromhex(written[2]))


class Reader:
    """Reads on from where it stood, on its own consumers, which it makes anew when the broker was away."""

    def __init__(self, broker: Broker, landing: Sequence[str], folder: Path) -> None:
        """Begin with what had landed on topics that are no more: the folder has it, whoever broke off in between."""
        self._broker, self._landing = broker, landing
        self.landed, self.told = Landed(), Told()
        self.sent: defaultdict[str, Sent] = defaultdict(Sent)
        self._at: Ends = {}
        self._folder = folder
        self._read: defaultdict[str, list[ConsumerRecord]] = defaultdict(list)
        """What stands on each landing topic as it is now."""
        self._knows_former = False
        self._consumer: AIOKafkaConsumer | None = None

    async def stop(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._consumer.stop(), PATIENCE_SECONDS)
            self._consumer = None

    async def ends(self, partitions: Iterable[TopicPartition]) -> Ends:
        """Read the log ends. Raises what the broker's absence raises."""
        consumer = await self._connected()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return dict(await consumer.end_offsets(list(partitions)))
        except BaseException:
            await self.stop()
            raise

    async def read_on(self) -> None:
        """Read what has landed and what was told since the last time."""
        wanted = [TopicPartition(topic, 0) for topic in self._landing]
        wanted += [TopicPartition(topic, n) for topic in (FLAGS, VISITS) for n in range(PARTITIONS)]
        ends = await self.ends(wanted)
        consumer = await self._connected()
        try:
            if not self._knows_former:
                await self._read_former(consumer, ends)
            consumer.assign([each for each in wanted if ends[each] > self._at.get(each, 0)])
            for each in consumer.assignment():
                consumer.seek(each, self._at.get(each, 0))
            async with asyncio.timeout(10 * PATIENCE_SECONDS):
                while any(self._at.get(each, 0) < ends[each] for each in consumer.assignment()):
                    for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                        self._take(partition, records)
        except BaseException:
            await self.stop()
            raise

    def keep(self, topic: str) -> None:
        """Write down what landed on a topic that will be deleted; all of it has been read."""
        number = len([*self._folder.glob(_FORMER)])
        file = self._folder / _FORMER.replace("*", f"{number:04}")
        arriving = file.with_suffix(".new")
        lines = [json.dumps([each.topic, each.timestamp, each.value.hex()]) for each in self._read[topic]]
        arriving.write_text("\n".join(lines))
        arriving.rename(file)

    def is_another(self, topic: str) -> None:
        """Read a topic from its beginning, because it is another one now; what the former one said still counts."""
        self._at.pop(TopicPartition(topic, 0), None)
        self._read.pop(topic, None)

    async def _read_former(self, consumer: AIOKafkaConsumer, ends: Ends) -> None:
        """Take in what was kept of former topics, but of one that was kept and never deleted."""
        for file in sorted(self._folder.glob(_FORMER)):
            kept = [_Kept.of(json.loads(line)) for line in file.read_text().splitlines()]
            now = TopicPartition(kept[0].topic, 0)
            if ends[now] and await self._first(consumer, now) == (kept[0].timestamp, kept[0].value):
                file.unlink()
                continue
            for each in kept:
                self._count(each)
        self._knows_former = True

    async def _first(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> tuple[int, bytes]:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await consumer.getmany(partition, timeout_ms=500, max_records=1)):
                pass
        return found[partition][0].timestamp, found[partition][0].value

    def _take(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if partition.topic in (FLAGS, VISITS):
                self.told.take(record.value)
            else:
                self._count(record)
                self._read[partition.topic].append(record)
            self._at[partition] = record.offset + 1

    def _count(self, record: "ConsumerRecord | _Kept") -> None:
        before, district = self.landed.refused, record.topic.split("-in-", 1)[1]
        self.landed.take(district, record.value, landed_at=datetime.fromtimestamp(record.timestamp / 1000, UTC))
        sent = self.sent[district]
        sent.records += 1
        if self.landed.refused > before:
            sent.rejected += 1
            return
        said: dict[str, Any] = json.loads(record.value)
        of_kind = Counter({said["type"]: 1})
        sent.marks += of_kind["mark"]
        sent.retractions += of_kind["retraction"]
        if said["type"] == "roll":
            sent.roll_marks += len(said["marks"])

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**client_options(self._broker), enable_auto_commit=False)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await consumer.start()
            self._consumer = consumer
        return self._consumer

"""Not far ahead of whoever reads on: what a flood lands in one lane waits where it landed, and not before the others.

Behind a subscription its topics share lanes, the partitions of one topic that another group reads. What is written
there in a minute keeps whoever comes after it waiting for as long as the other group needs for it. So where that group
is some seconds behind in a lane, the topics that wrote most of it are not read for the moment. The others are.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetFetchRequest

from services.runtime.delivery.logs import Logs

PACE_SECONDS = 1.0
# The other group tells its offsets every second, so of these two are not to be known.
AHEAD_SECONDS = 4.0
NEAR_SECONDS = 2.0
# Whoever wrote less than this is no flood, however little the others wrote.
FLOOD_RECORDS = 1_000
FLOOD_SHARE = 0.2
KEPT_LOOKS = 600
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Whom a subscription keeps near: the group that reads `topic`, to whose partition `lane_of` each topic writes.

    How far the group is, is what it told Kafka. That may be old or missing: it decides when something is read, and
    never whether.
    """

    group: str
    topic: str
    lane_of: Callable[[str], int]


@dataclass(slots=True)
class Lane:
    """What was seen of one lane: when its log ended where, as far as the other group has not read it."""

    ends: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=KEPT_LOOKS))
    behind_since: float | None = None

    def see(self, now: float, *, end: int, read: int) -> None:
        """Note where the lane ends and how far it is read."""
        if not self.ends or self.ends[-1][1] != end:
            self.ends.append((now, end))
        while self.ends and self.ends[0][1] <= read:
            self.ends.popleft()
        self.behind_since = self.ends[0][0] if self.ends else None

    def seconds_behind(self, now: float) -> float:
        """Tell how long the oldest of what is not read has been there."""
        return 0.0 if self.behind_since is None else now - self.behind_since


def floods(written: Mapping[TopicPartition, int]) -> set[TopicPartition]:
    """Name those that wrote so much of a lane that the rest of it waits for them."""
    least = max(FLOOD_RECORDS, FLOOD_SHARE * sum(written.values()))
    return {partition for partition, records in written.items() if records >= least}


class Pacing:
    """Looks at the lanes, and says which partitions are not to be read for the moment."""

    def __init__(self, pace: Pace) -> None:
        self.held: set[TopicPartition] = set()
        self._pace = pace
        self._lanes: dict[int, Lane] = {}
        self._at: deque[tuple[float, dict[TopicPartition, int]]] = deque(maxlen=KEPT_LOOKS)

    async def look(self, consumer: AIOKafkaConsumer, next_offsets: Mapping[TopicPartition, int]) -> None:
        """See how far the other group is behind in the lanes of these partitions, and choose whom to hold."""
        lanes = {each: self._pace.lane_of(each.topic) for each in next_offsets}
        wanted = [TopicPartition(self._pace.topic, lane) for lane in sorted(set(lanes.values()))]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                read = await self._read(consumer, wanted)
                bounds = await Logs(consumer).bounds(read)
        except (KafkaError, OSError, TimeoutError):
            return  # nothing is known: as it was
        self.decide(
            time.monotonic(),
            next_offsets,
            lanes,
            {each.partition: (bounds[each].end, offset) for each, offset in read.items() if each in bounds},
        )

    def decide(
        self,
        now: float,
        next_offsets: Mapping[TopicPartition, int],
        lanes: Mapping[TopicPartition, int],
        seen: Mapping[int, tuple[int, int]],
    ) -> None:
        """Choose whom to hold: `seen` gives each lane's end, and how far the other group has read it."""
        for number, (end, read) in seen.items():
            lane = self._lanes.setdefault(number, Lane())
            lane.see(now, end=end, read=read)
            mine = [each for each, its in lanes.items() if its == number]
            behind = lane.seconds_behind(now)
            if behind < NEAR_SECONDS:
                self.held.difference_update(mine)
            elif behind > AHEAD_SECONDS and lane.behind_since is not None:
                self.held |= floods(self._written(mine, next_offsets, lane.behind_since))
        self.held &= next_offsets.keys()
        self._at.append((now, dict(next_offsets)))

    def _written(
        self, partitions: Iterable[TopicPartition], next_offsets: Mapping[TopicPartition, int], since: float
    ) -> dict[TopicPartition, int]:
        # As it stood at the last look before what waits was there.
        before: Mapping[TopicPartition, int] = {}
        for at, offsets in self._at:
            if at >= since and before:
                break
            before = offsets
        return {each: next_offsets[each] - before.get(each, next_offsets[each]) for each in partitions}

    async def _read(self, consumer: AIOKafkaConsumer, lanes: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask how far the other group is; a lane of which it never told anything is left out: nobody reads it."""
        client: Any = consumer._client
        coordinator = await client.coordinator_lookup(CoordinationType.GROUP, self._pace.group)
        if not await client.ready(coordinator):
            return {}
        wanted = [(self._pace.topic, [each.partition for each in lanes])]
        answer = await client.send(coordinator, OffsetFetchRequest(self._pace.group, wanted))
        return {
            TopicPartition(topic, partition): offset
            for topic, parts in answer.topics
            for partition, offset, _, error in parts
            if not error and offset >= 0
        }

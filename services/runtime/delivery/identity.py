"""What tells one log from another, and what follows for a position in it: rules, without input or output."""

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from aiokafka import ConsumerRecord, TopicPartition

_WAY_BACK = "leap position set {topic} {partition} --to start"


class Bounds(NamedTuple):
    """Where a log begins, and where what may be read of it ends: the first offset that is not there yet."""

    start: int
    end: int


class Fingerprint(NamedTuple):
    """A record as it can be known again: where it stood, when it was appended, the checksum of key and value."""

    offset: int
    timestamp_ms: int
    checksum: int

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """Take a record's fingerprint."""
        return cls(record.offset, record.timestamp, checksum_of(record.key, record.value))


def checksum_of(key: bytes | None, value: bytes | None) -> int:
    """Add up key and value."""
    return zlib.crc32(value or b"", zlib.crc32(key or b""))


class Standing(NamedTuple):
    """A stored position: the next offset to apply, and the last record applied, where one was since it was set."""

    next_offset: int
    last: Fingerprint | None = None


class Reason(StrEnum):
    """Why a partition is not read on."""

    REPLACED = "log_replaced"
    SHORTENED = "log_shortened"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    NOT_EXPECTED = "not_expected"
    NO_ANSWER = "no_answer"
    POISON = "poison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A partition that is not read on: why, where it stood, what its log looked like, and what a person can do."""

    partition: TopicPartition
    reason: Reason
    detail: str
    position: int | None = None
    bounds: Bounds | None = None


class GoOn(NamedTuple):
    """Read on at `offset`. Where that lies behind the position, what stood between is gone from the log."""

    offset: int


def judge(
    *, partition: TopicPartition, standing: Standing, bounds: Bounds, found: Fingerprint | None, compacted: bool
) -> GoOn | Stop:
    """Say whether this is the log that the position is of, by what stands now where the last applied record stood.

    `found` is None where the log holds no record at that offset. On a `compacted` topic that is nothing unusual: a
    newer word on the same key took its place, and whoever reads such a topic keeps the newest version of each key.
    """
    position, last = standing

    def stopped(reason: Reason, matter: str) -> Stop:
        return Stop(
            partition=partition, reason=reason, detail=_advice(partition, matter), position=position, bounds=bounds
        )

    if position > bounds.end:
        return stopped(Reason.SHORTENED, f"the log ends at {bounds.end}, before the position {position}")
    if last is not None and found is not None and found != last:
        return stopped(Reason.REPLACED, f"another record stands at {last.offset} than the one applied from there")
    if last is not None and found is None and last.offset >= bounds.start and not compacted:
        return stopped(Reason.REPLACED, f"no record stands at {last.offset}, where one was applied from")
    # What retention removed can't be held against the fingerprint, and stopping would only lose more.
    return GoOn(max(position, bounds.start))


def unreadable(partition: TopicPartition, *, offset: int, end: int, why: str) -> Stop:
    """Say that nothing can be read of a partition from `offset` to before `end`."""
    topic, number = partition
    return Stop(
        partition=partition,
        reason=Reason.UNREADABLE,
        detail=(
            f"what stands at {offset} can't be read ({why}): mend the reader and start again, or pass over it by "
            f"`leap position set {topic} {number} --to {end}` and have its sender send it anew"
        ),
        position=offset,
    )


def poisoned(partition: TopicPartition, *, offset: int, why: str) -> Stop:
    """Say that so many records of a partition can't be applied that it is this service's fault: none is set aside."""
    topic, number = partition
    return Stop(
        partition=partition,
        reason=Reason.POISON,
        detail=(
            f"{why}, the next at {offset}: this release has a fault with them. Start one that has not: it reads on from"
            f" there. Or pass over them by `leap position set {topic} {number} --to OFFSET`"
        ),
        position=offset,
    )


def _advice(partition: TopicPartition, matter: str) -> str:
    topic, number = partition
    way_back = _WAY_BACK.format(topic=topic, partition=number)
    return (
        f"{matter}: the topic was made anew, or its broker lost records. Bring the log back, or read what it holds now "
        f"from its beginning by `{way_back}`: what is known already changes nothing"
    )

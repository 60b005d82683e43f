"""What is true of the marks, and who came to something else: a contestant that computed nonsense gets no figure."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.topics import PARTITIONS
from tests.bench.ceiling import Student, marks_in

_PATIENCE_POLLS = 20
_POLL_MS = 500


class Crossing(msgspec.Struct, frozen=True):
    """A student crossed the 10 % line: up or down, with the days enrolled and absent at that mark."""

    student_key: UUID
    chronic: bool
    figures: tuple[int, int]


_decode = msgspec.json.Decoder(Crossing).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Every crossing, mark by mark, and who is over the line in the end."""

    crossings: Counter[Crossing]
    chronic: frozenset[UUID]


class WrongResult(Exception):
    """A contestant came to another result than the ceiling's rule; the message says where."""


def truth_of(values: Iterable[bytes]) -> Truth:
    """Judge the records of a topic by the ceiling's rule, in the order in which each student's were sent."""
    students: defaultdict[UUID, Student] = defaultdict(Student)
    crossings: Counter[Crossing] = Counter()
    for value in values:
        for mark in marks_in(value):
            key = UUID(bytes=mark.student)
            student = students[key]
            if student.apply(mark):
                crossings[Crossing(key, student.chronic, (len(student.marks), student.absent))] += 1
    return Truth(crossings=crossings, chronic=frozenset(key for key, each in students.items() if each.chronic))


def require_crossings(contestant: str, truth: Truth, found: Counter[Crossing]) -> None:
    """Let pass who told each crossing of the truth as often as it happened, and no other; WrongResult for the rest."""
    if found == truth.crossings:
        return
    missing, added = truth.crossings - found, found - truth.crossings
    raise WrongResult(
        f"{contestant} told {found.total():,} crossings of {truth.crossings.total():,}: "
        f"{missing.total():,} missing, {added.total():,} that never were, "
        f"such as {next(iter(missing or added))}"
    )


def require_chronic(contestant: str, truth: Truth, found: frozenset[UUID]) -> None:
    """Let pass who ends with the same students over the line; for who may fold crossings that cancel out in a batch."""
    if found != truth.chronic:
        raise WrongResult(
            f"{contestant} ends with {len(found):,} students over the line instead of {len(truth.chronic):,}: "
            f"{len(truth.chronic - found):,} missing, {len(found - truth.chronic):,} too many"
        )


def require_counts(contestant: str, truth: Truth, *, crossings: int, chronic: int) -> None:
    """Let pass who counts as many crossings and as many students over the line."""
    if (crossings, chronic) != (truth.crossings.total(), len(truth.chronic)):
        raise WrongResult(
            f"{contestant} counts {crossings:,} crossings and {chronic:,} students over the line "
            f"instead of {truth.crossings.total():,} and {len(truth.chronic):,}"
        )


async def crossings_told(bootstrap: str, topic: str) -> Counter[Crossing]:
    """Read what a peer told, all of it, and nothing that its transactions took back."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        told: Counter[Crossing] = Counter()
        for _ in range(_PATIENCE_POLLS):
            while batches := await consumer.getmany(timeout_ms=_POLL_MS):
                told.update(_decode(record.value) for records in batches.values() for record in records)
            if all([await consumer.position(partition) >= ends[partition] for partition in partitions]):
                return told
    except msgspec.MsgspecError as error:
        raise WrongResult(f"{topic} holds what is no crossing: {error}") from None
    finally:
        await consumer.stop()
    raise WrongResult(f"{topic} could not be read to its end: a transaction is left open")

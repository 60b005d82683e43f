"""A batch of records, applied: positions locked, records decoded, handler, outbox, positions moved, commit."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import NamedTuple, Self

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from services.runtime.delivery.dead_letter import HANDLER, DeadLetter, bury, recent_handler_failures
from services.runtime.delivery.faults import crash_point
from services.runtime.delivery.positions import lock_positions, move_positions
from services.runtime.delivery.subscription import Delivery, Subscription, Undecodable
from services.runtime.delivery.transaction import Begin, Transaction
from services.runtime.seen import tracing

# A millisecond's worth: between such stretches PostgreSQL's answers and the heartbeat have their turn.
RECORDS_AT_A_TIME = 500

MAX_POISON_PER_BATCH = 50
MAX_POISON_PER_WINDOW = 500
POISON_WINDOW_SECONDS = 600

# SQLSTATE classes that speak about the values given, and so about a record: a triggered data exception (21, 22),
# a constraint (23), a failed check (44), an exception raised by our own SQL (P0), a limit on size (54).
# Every other class (connection, locks, resources, shutdown, a missing table or right) is no record's fault.
_DATA_CLASSES = frozenset({"21", "22", "23", "44", "54", "P0"})


class Hole(NamedTuple):
    """Offsets that the log did not deliver: `expected` is the stored position, `found` the first record's offset."""

    partition: TopicPartition
    expected: int
    found: int


class Decoded(NamedTuple):
    """What records were read as, in their order, and what of them can't be read."""

    deliveries: list[Delivery]
    dead: list[DeadLetter]


class Batch(NamedTuple):
    """Records read together and decoded. `at_work` is set when the handler has them and only waits for others."""

    records: Sequence[ConsumerRecord]
    decoded: Decoded
    at_work: asyncio.Event

    @classmethod
    async def read(cls, subscription: Subscription, records: Sequence[ConsumerRecord]) -> Self:
        """Decode the records, and let others have their turn meanwhile."""
        decoded = Decoded([], [])
        for start in range(0, len(records), RECORDS_AT_A_TIME):
            part = decode_all(subscription, records[start : start + RECORDS_AT_A_TIME])
            decoded.deliveries.extend(part.deliveries)
            decoded.dead.extend(part.dead)
            await asyncio.sleep(0)
        return cls(records, decoded, asyncio.Event())

    def starts(self) -> dict[TopicPartition, int]:
        """Name each partition's first offset here: where to read again."""
        return {partition: run[0].offset for partition, run in _by_partition(self.records).items()}


class HoleFound(Exception):
    """A batch starts beyond its position. Read again from the position: if the hole is still there, it is the log's."""

    def __init__(self, holes: list[Hole]) -> None:
        super().__init__(f"{len(holes)} partitions start beyond their positions")
        self.holes = holes


class PoisonBurst(Exception):
    """Too many records in a row can't be applied: the fault is in this service, not in the records. Stop."""


@dataclass(slots=True)
class Applied:
    """What became of a batch's records. `next_offsets` holds only partitions that moved."""

    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    applied: int = 0
    skipped: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)


def is_transient(error: BaseException) -> bool:
    """Tell trouble of the surroundings, which passes, from trouble with a record, which stays."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] not in _DATA_CLASSES
    if isinstance(error, MessageSizeTooLargeError | RecordTooLargeError):
        return False
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg reports a value it can't encode as an InterfaceError that is a ValueError too.
        return not isinstance(error, ValueError)
    return isinstance(error, KafkaError | OSError | TimeoutError | MemoryError | asyncpg.InternalClientError)


async def apply_batch(
    begin: Begin,
    subscription: Subscription,
    batch: Batch,
    accepted_holes: Collection[Hole] = (),
) -> Applied:
    """Apply the records (each partition's together, in order), each exactly once over any number of calls.

    `begin` opens one of the service's transactions.

    Poison is searched by halves, each committed for itself, and set aside alone. Raises HoleFound, PoisonBurst, or
    a transient error; what halves before it did stays done, and the same records may be given again.
    """
    parts = _Parts(begin, subscription, accepted_holes)
    pending = [batch.records]
    poison = 0
    while pending:
        part = pending.pop()
        try:
            with tracing.consuming(subscription.group, part):
                await parts.apply(part, batch if part is batch.records else None)
            continue
        except HoleFound:
            raise
        except asyncpg.QueryCanceledError:
            # A statement that takes too long with many records may do with half of them.
            if len(part) == 1:
                raise
            failure = ""
        except Exception as error:
            if is_transient(error):
                raise
            failure = type(error).__name__

        if len(part) > 1:
            middle = len(part) // 2
            pending += [part[middle:], part[:middle]]
            continue
        poison += 1
        await _refuse_burst(begin, poison)
        await parts.apply(part, handler_failure=failure)
    return parts.applied


async def _refuse_burst(begin: Begin, poison_in_batch: int) -> None:
    if poison_in_batch > MAX_POISON_PER_BATCH:
        raise PoisonBurst(f"more than {MAX_POISON_PER_BATCH} records of one batch can't be applied")
    async with begin() as transaction:
        recent = await recent_handler_failures(
            transaction.connection, seconds=POISON_WINDOW_SECONDS, limit=MAX_POISON_PER_WINDOW + 1
        )
    if recent >= MAX_POISON_PER_WINDOW:
        raise PoisonBurst(f"{MAX_POISON_PER_WINDOW} records in {POISON_WINDOW_SECONDS} seconds can't be applied")


@dataclass(slots=True)
class _Parts:
    """A batch, whole or in parts: what applies each of them, and what has become of those that are done."""

    begin: Begin
    subscription: Subscription
    accepted_holes: Collection[Hole]
    # A hole behind a record of the same batch is the log's own (compaction).
    begun: set[TopicPartition] = field(default_factory=set)
    applied: Applied = field(default_factory=Applied)

    async def apply(
        self, records: Sequence[ConsumerRecord], whole: Batch | None = None, *, handler_failure: str = ""
    ) -> None:
        """Apply the records in one transaction. `whole` is the batch where they are all of it."""
        by_partition = _by_partition(records)
        # Crashed before the connection is given back: that takes a moment, and the relay would be on its way by then.
        async with self.begin(then=partial(crash_point, "after_commit")) as transaction:
            read, next_offsets = await self._take_effect(transaction, by_partition, whole, handler_failure)

        self.begun.update(by_partition)
        self.applied.next_offsets |= next_offsets
        self.applied.applied += len(read.deliveries)
        self.applied.skipped += len(records) - len(read.deliveries) - len(read.dead)
        self.applied.dead_letters.update(letter.reason for letter in read.dead)

    async def _take_effect(
        self,
        transaction: Transaction,
        by_partition: Mapping[TopicPartition, list[ConsumerRecord]],
        whole: Batch | None,
        handler_failure: str,
    ) -> tuple[Decoded, dict[TopicPartition, int]]:
        group = self.subscription.group
        positions = await lock_positions(transaction.connection, group, by_partition)
        self._refuse_holes(by_partition, positions)
        await transaction.caused_at(min(run[0].timestamp for run in by_partition.values()))
        fresh, next_offsets = _fresh(by_partition, positions)
        transaction.moving = {tuple(each): (positions[each], end) for each, end in next_offsets.items()}
        if handler_failure:
            read = Decoded([], [DeadLetter(each, HANDLER, handler_failure) for each in fresh])
        elif whole is not None and len(fresh) == len(whole.records):
            read = whole.decoded
        else:
            read = decode_all(self.subscription, fresh)
        if whole is not None:
            whole.at_work.set()  # who waits for it runs once the handler has nothing to do but wait
        if read.deliveries:
            await self.subscription.handle(transaction, read.deliveries)
        await bury(transaction.connection, read.dead)
        await transaction.flush()
        await move_positions(transaction.connection, group, next_offsets)
        crash_point("before_commit")
        return read, next_offsets

    def _refuse_holes(
        self, by_partition: Mapping[TopicPartition, list[ConsumerRecord]], positions: Mapping[TopicPartition, int]
    ) -> None:
        holes = [
            Hole(partition, positions[partition], run[0].offset)
            for partition, run in by_partition.items()
            if run[0].offset > positions[partition] and partition not in self.begun
        ]
        if any(hole not in self.accepted_holes for hole in holes):
            raise HoleFound(holes)


def decode_all(subscription: Subscription, records: Sequence[ConsumerRecord]) -> Decoded:
    """Decode each record by itself, so that a bad one takes no other with it."""
    decode = subscription.decode
    try:
        # tuple.__new__ rather than Delivery: a third of the time, and this is done for every record there is.
        return Decoded(list(map(tuple.__new__, repeat(Delivery), zip(records, map(decode, records), strict=True))), [])
    except Exception:  # noqa: S110, BLE001 - once more, one by one, to find out which
        pass

    deliveries: list[Delivery] = []
    dead: list[DeadLetter] = []
    for record in records:
        try:
            deliveries.append(Delivery(record, decode(record)))
        except Undecodable as error:
            dead.append(DeadLetter(record, error.reason, error.detail))
        except Exception as error:  # noqa: BLE001 - a service's own fault with a record sets it aside too
            dead.append(DeadLetter(record, "decode", type(error).__name__))
    return Decoded(deliveries, dead)


def _by_partition(records: Sequence[ConsumerRecord]) -> dict[TopicPartition, list[ConsumerRecord]]:
    by_partition: dict[TopicPartition, list[ConsumerRecord]] = {}
    topic, partition = "", -1
    append = None
    for record in records:
        if record.partition != partition or record.topic != topic or append is None:
            topic, partition = record.topic, record.partition
            append = by_partition.setdefault(TopicPartition(topic, partition), []).append
        append(record)
    return by_partition


def _fresh(
    by_partition: Mapping[TopicPartition, list[ConsumerRecord]], positions: Mapping[TopicPartition, int]
) -> tuple[list[ConsumerRecord], dict[TopicPartition, int]]:
    fresh: list[ConsumerRecord] = []
    next_offsets: dict[TopicPartition, int] = {}
    for partition, run in by_partition.items():
        if run[0].offset < positions[partition]:  # read again after a crash or a rebalance: applied already
            run = [each for each in run if each.offset >= positions[partition]]
        if run:
            fresh += run
            next_offsets[partition] = run[-1].offset + 1
    return fresh, next_offsets

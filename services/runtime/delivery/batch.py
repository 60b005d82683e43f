"""A batch of records, applied: positions locked, records decoded, handler, outbox, positions moved, commit."""

import asyncio
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import repeat
from typing import NamedTuple, Self

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from services.runtime.delivery.dead_letter import HANDLER, DeadLetter, bury, recent_handler_failures
from services.runtime.delivery.faults import crash_point
from services.runtime.delivery.identity import Fingerprint
from services.runtime.delivery.positions import Move, lock_positions, move_positions
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


class Reach(NamedTuple):
    """Offsets of a partition, `end` excluded, that were read: what was not found among them is no record."""

    begin: int
    end: int


class Hole(NamedTuple):
    """Offsets that were not read: `expected` is the stored position, `found` the offset from which a batch was read."""

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
    reach: Mapping[TopicPartition, Reach]
    decoded: Decoded
    at_work: asyncio.Event

    @classmethod
    async def read(
        cls,
        subscription: Subscription,
        records: Sequence[ConsumerRecord],
        reach: Mapping[TopicPartition, Reach] | None = None,
    ) -> Self:
        """Decode the records, and let others have their turn meanwhile. Without `reach` they are all that was read."""
        decoded = Decoded([], [])
        for start in range(0, len(records), RECORDS_AT_A_TIME):
            part = decode_all(subscription, records[start : start + RECORDS_AT_A_TIME])
            decoded.deliveries.extend(part.deliveries)
            decoded.dead.extend(part.dead)
            await asyncio.sleep(0)
        if reach is None:
            reach = {each: Reach(run[0].offset, run[-1].offset + 1) for each, run in _by_partition(records).items()}
        return cls(records, reach, decoded, asyncio.Event())

    def starts(self) -> dict[TopicPartition, int]:
        """Name where each partition was read from: where to read again."""
        return {partition: reach.begin for partition, reach in self.reach.items()}

    async def without(self, partitions: Container[TopicPartition], subscription: Subscription) -> "Batch":
        """Leave out what was read of these partitions."""
        kept = [each for each in self.records if TopicPartition(each.topic, each.partition) not in partitions]
        reach = {each: reach for each, reach in self.reach.items() if each not in partitions}
        return self if len(kept) == len(self.records) else await Batch.read(subscription, kept, reach)


class HoleFound(Exception):
    """A batch was read from beyond its position, which was set back meanwhile: read again from the position."""

    def __init__(self, holes: list[Hole]) -> None:
        super().__init__(f"{len(holes)} partitions were read from beyond their positions")
        self.holes = holes


class PoisonBurst(Exception):
    """Too many records of a partition can't be applied: the fault is in this service, not in them. Stop there."""

    def __init__(self, record: ConsumerRecord, why: str) -> None:
        super().__init__(why)
        self.partition = TopicPartition(record.topic, record.partition)
        self.offset: int = record.offset


@dataclass(slots=True)
class Applied:
    """What became of a batch's records. `next_offsets` and `lasts` hold only partitions that moved."""

    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    lasts: dict[TopicPartition, Fingerprint] = field(default_factory=dict)
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


async def apply_batch(begin: Begin, subscription: Subscription, batch: Batch) -> Applied:
    """Apply the records (each partition's together, in order), each exactly once over any number of calls.

    `begin` opens one of the service's transactions.

    Poison is searched by halves, each committed for itself, and set aside alone. Raises HoleFound, PoisonBurst, or
    a transient error; what halves before it did stays done, and the same records may be given again.
    """
    parts = _Parts(begin, subscription, batch)
    pending = [batch.records]
    poison: Counter[TopicPartition] = Counter()
    while pending:
        part = pending.pop()
        try:
            with tracing.consuming(subscription.group, part):
                await parts.apply(part)
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
        (record,) = part
        partition = TopicPartition(record.topic, record.partition)
        poison[partition] += 1
        await _refuse_burst(begin, record, poison[partition])
        await parts.apply(part, handler_failure=failure)
    return parts.applied


async def _refuse_burst(begin: Begin, record: ConsumerRecord, poison_in_batch: int) -> None:
    if poison_in_batch > MAX_POISON_PER_BATCH:
        raise PoisonBurst(record, f"more than {MAX_POISON_PER_BATCH} records of one batch can't be applied")
    async with begin() as transaction:
        recent = await recent_handler_failures(
            transaction.connection,
            record.topic,
            record.partition,
            seconds=POISON_WINDOW_SECONDS,
            limit=MAX_POISON_PER_WINDOW + 1,
        )
    if recent >= MAX_POISON_PER_WINDOW:
        raise PoisonBurst(record, f"{MAX_POISON_PER_WINDOW} records in {POISON_WINDOW_SECONDS} s can't be applied")


@dataclass
class _Parts:
    """A batch, whole or in parts: what applies each of them, and what has become of those that are done."""

    begin: Begin
    subscription: Subscription
    batch: Batch
    # What follows a record of the same batch was read with it.
    begun: set[TopicPartition] = field(default_factory=set)
    applied: Applied = field(default_factory=Applied)

    async def apply(self, records: Sequence[ConsumerRecord], *, handler_failure: str = "") -> None:
        """Apply the records, all of the batch's or some of them, in one transaction."""
        by_partition = _by_partition(records)
        whole = self.batch if records is self.batch.records else None
        # Crashed before the connection is given back: that takes a moment, and the relay would be on its way by then.
        async with self.begin(then=partial(crash_point, "after_commit")) as transaction:
            read, moves = await self._take_effect(transaction, by_partition, whole, handler_failure)

        self.begun.update(by_partition)
        for partition, move in moves.items():
            self.applied.next_offsets[partition] = move.next_offset
            if move.last is not None:
                self.applied.lasts[partition] = move.last
        self.applied.applied += len(read.deliveries)
        self.applied.skipped += len(records) - len(read.deliveries) - len(read.dead)
        self.applied.dead_letters.update(letter.reason for letter in read.dead)

    async def _take_effect(
        self,
        transaction: Transaction,
        by_partition: Mapping[TopicPartition, list[ConsumerRecord]],
        whole: Batch | None,
        handler_failure: str,
    ) -> tuple[Decoded, dict[TopicPartition, Move]]:
        group = self.subscription.group
        positions = await lock_positions(transaction.connection, group, by_partition)
        self._refuse_holes(by_partition, positions)
        await transaction.caused_at(min(run[0].timestamp for run in by_partition.values()))
        fresh, moves = self._fresh(by_partition, positions)
        transaction.moving = {tuple(each): (positions[each], move.next_offset) for each, move in moves.items()}
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
        await move_positions(transaction.connection, group, moves)
        crash_point("before_commit")
        return read, moves

    def _refuse_holes(
        self, by_partition: Mapping[TopicPartition, list[ConsumerRecord]], positions: Mapping[TopicPartition, int]
    ) -> None:
        starts = {each: self.batch.reach[each].begin for each in by_partition if each not in self.begun}
        holes = [Hole(each, positions[each], begin) for each, begin in starts.items() if begin > positions[each]]
        if holes:
            raise HoleFound(holes)

    def _fresh(
        self, by_partition: Mapping[TopicPartition, list[ConsumerRecord]], positions: Mapping[TopicPartition, int]
    ) -> tuple[list[ConsumerRecord], dict[TopicPartition, Move]]:
        fresh: list[ConsumerRecord] = []
        moves: dict[TopicPartition, Move] = {}
        for partition, run in by_partition.items():
            if run[0].offset < positions[partition]:  # read again after a crash or a rebalance: applied already
                run = [each for each in run if each.offset >= positions[partition]]
            if run:
                fresh += run
                # With the partition's last record here, what follows it and was read holds none.
                last = run[-1]
                end = self.batch.reach[partition].end if last is self._lasts[partition] else last.offset + 1
                moves[partition] = Move(end, len(run), Fingerprint.of(last))
        return fresh, moves

    @cached_property
    def _lasts(self) -> dict[TopicPartition, ConsumerRecord]:
        return {partition: run[-1] for partition, run in _by_partition(self.batch.records).items()}


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

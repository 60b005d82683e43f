"""The partitions of a member: where each is read on, which are not and why, and whether its log is still the same.

Each is judged by itself. What is wrong with one is told, in the log, in a table and by a metric, and stops no other.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
)

from services.runtime.database import POOL_SECONDS, Connection, at_once
from services.runtime.delivery import positions
from services.runtime.delivery.batch import Applied
from services.runtime.delivery.identity import (
    Bounds,
    Fingerprint,
    GoOn,
    Reason,
    Standing,
    Stop,
    judge,
    poisoned,
    unreadable,
)
from services.runtime.delivery.lag import Lag
from services.runtime.delivery.logs import Logs
from services.runtime.delivery.membership import Membership
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.unreadable import RecordsUnreadable
from services.runtime.seen import telemetry

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.5
PATIENCE_SECONDS = 4.0
# A quiet partition's log is held against its fingerprint every so many looks, one that moved at every look.
LOOKS_PER_QUIET = 6
# Rounds in which a partition alone does not answer before it is said not to.
MISSING_LOOKS = 3
REFUSED_SECONDS = 60.0


class Partitions:
    """Takes partitions, looks after them, and lets each go on or stop."""

    def __init__(self, subscription: Subscription, membership: Membership, lag: Lag, pool: asyncpg.Pool) -> None:
        self.stops: dict[TopicPartition, Stop] = {}
        self._paced: set[TopicPartition] = set()
        self._subscription = subscription
        self._membership = membership
        self._lag = lag
        self._pool = pool
        self._alone = asyncio.Lock()
        self._doubted: set[TopicPartition] = set()
        self._untold: set[TopicPartition] = set()
        self._stopped_at: dict[TopicPartition, float] = {}
        self._missing: dict[TopicPartition, int] = {}
        self._looks = 0
        # What this member saw standing in the log, and what it has applied since: both of one log, or it has changed.
        self._seen: dict[TopicPartition, Fingerprint] = {}
        self._newest: dict[TopicPartition, Fingerprint] = {}
        self._trouble = asyncio.Event()

    async def take(self, consumer: AIOKafkaConsumer, assigned: Iterable[TopicPartition]) -> None:
        """Let the partitions just assigned, all paused, be read from their positions, or say of each why not."""
        async with self._alone:
            self.stops.clear()
            self._paced = set()
            self._doubted.clear()
            self._seen.clear()
            self._newest.clear()
            self._missing.clear()
            self._lag.assigned({}, {})
            await self._examine(Logs(consumer), set(assigned))

    def applied(self, applied: Applied) -> None:
        """Note what was applied last of each partition."""
        self._newest.update(applied.lasts)

    def concerns(self, error: KafkaError) -> bool:
        """Stop what an error in fetching is about, where it is about partitions and not about the whole member."""
        if isinstance(error, RecordsUnreadable):
            self._stop(unreadable(error.partition, offset=error.offset, end=error.end, why=error.why))
        elif isinstance(error, RecordTooLargeError) and len(error.args) > 2:
            _, partition, offset, *_ = error.args
            self._stop(unreadable(partition, offset=offset, end=offset + 1, why="larger than a fetch"))
        elif isinstance(error, OffsetOutOfRangeError):
            self._doubt(error.args[0])
        elif isinstance(error, TopicAuthorizationFailedError):
            for each in self._mine():
                if each.topic == error.args[0]:
                    detail = f"the broker lets {self._subscription.group} not read it: grant Read on the topic"
                    self._stop(Stop(partition=each, reason=Reason.REFUSED, detail=detail))
        else:
            return False
        return True

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Read none of these for the moment, and again what was held before and is not among them."""
        paced, before = set(partitions), self._paced
        if paced == before:
            return
        self._paced = paced
        self._lag.hold(self.stops.keys() | paced)
        self._membership.pause(paced)
        self._membership.resume(before - paced - self.stops.keys() - self._doubted)
        telemetry.HELD_BACK.labels(self._subscription.group).set(len(paced))
        log.info("what is read was paced", group=self._subscription.group, held_back=len(paced))

    def poisoned(self, partition: TopicPartition, *, offset: int, why: str) -> None:
        """Read nothing more of a partition whose records can't be applied, one after the other."""
        self._stop(poisoned(partition, offset=offset, why=why))

    def not_to_apply(self) -> set[TopicPartition]:
        """Name the partitions of which nothing that is in hand may be applied any more."""
        given_up = (Reason.REPLACED, Reason.SHORTENED, Reason.POISON)
        return {each for each, stop in self.stops.items() if stop.reason in given_up}

    async def wait(self, stopping: asyncio.Event) -> None:
        """Wait until it is time to look again, sooner where something is open."""
        unsettled = self._doubted or any(stop.reason is Reason.NO_ANSWER for stop in self.stops.values())
        if not self._trouble.is_set() or unsettled:
            waits = [asyncio.create_task(each.wait()) for each in (stopping, self._trouble)]
            seconds = LOOK_AGAIN_SECONDS if unsettled else LOOK_SECONDS
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()
        self._trouble.clear()

    async def look(self) -> None:
        """Measure the logs, and see whether each is still the one that was read and whether stopped ones can go on."""
        async with self._alone, asyncio.timeout(PATIENCE_SECONDS):
            consumer, mine = self._membership.consumer, self._mine()
            if consumer is None or not mine:
                return
            logs = Logs(consumer)
            bounds = await logs.bounds(mine)
            if not bounds:
                raise KafkaConnectionError  # the broker is away: that is no partition's own trouble
            await self._move_over_what_is_no_record()
            self._lag.measured({each: where.end for each, where in bounds.items()})
            stored = await self._stored(mine)
            await self._hold_against_what_was_seen(logs, bounds)
            await self._examine(logs, self._to_examine(mine, bounds, stored))
            await self._tell_stops()

    def _mine(self) -> set[TopicPartition]:
        consumer = self._membership.consumer
        return set(consumer.assignment()) if consumer is not None else set()

    def _to_examine(
        self,
        mine: set[TopicPartition],
        bounds: Mapping[TopicPartition, Bounds],
        stored: Mapping[TopicPartition, Standing],
    ) -> set[TopicPartition]:
        at = self._lag.next_offsets
        self._missing = {each: self._missing.get(each, 0) + 1 for each in mine - bounds.keys()}
        # Whoever sets a position by hand takes the fingerprint away.
        by_hand = {
            each
            for each in mine
            if each in stored and not stored[each].last and at.get(each) != stored[each].next_offset
        }
        chosen = (self._doubted & mine) | by_hand | (mine - at.keys() - self.stops.keys())
        chosen |= {each for each, where in bounds.items() if where.end < at.get(each, 0)}
        chosen |= {each for each, looks in self._missing.items() if looks >= MISSING_LOOKS}
        chosen |= {each for each in self.stops.keys() & mine if self._may_go_on(self.stops[each])}
        return chosen

    def _may_go_on(self, stop: Stop) -> bool:
        if stop.reason is Reason.REFUSED:
            return time.monotonic() - self._stopped_at[stop.partition] > REFUSED_SECONDS
        return stop.reason not in (Reason.UNREADABLE, Reason.POISON)

    async def _examine(self, logs: Logs, partitions: set[TopicPartition]) -> None:
        """Judge the partitions by their logs: those that may be read are, from their positions."""
        if not partitions:
            return
        expected = {each for each in partitions if self._expected(each)}
        bounds = await logs.bounds(expected)
        # A dead line is met here and told at once: waited for, it would take all the time that an assignment has.
        async with self._pool.acquire(timeout=POOL_SECONDS) as connection, at_once(connection):
            standings = await positions.take_standings(
                connection, self._subscription.group, {each: where.start for each, where in bounds.items()}
            )
        fingerprints = await logs.fingerprints({each: at.last.offset for each, at in standings.items() if at.last})
        going = {}
        for each in partitions:
            verdict = self._judge(each, expected, bounds, standings, fingerprints)
            if isinstance(verdict, Stop):
                self._stop(verdict)
            else:
                going[each] = verdict.offset
        self._lag.placed({each: at.next_offset for each, at in standings.items()})
        self._lag.measured({each: bounds[each].end for each in standings if each in bounds})
        await self._go_on(logs, going, bounds, standings)
        self._doubted -= partitions

    def _expected(self, partition: TopicPartition) -> bool:
        return self._subscription.expected is None or self._subscription.expected(partition.topic)

    def _judge(
        self,
        partition: TopicPartition,
        expected: set[TopicPartition],
        bounds: Mapping[TopicPartition, Bounds],
        standings: Mapping[TopicPartition, Standing],
        fingerprints: Mapping[TopicPartition, Fingerprint | None],
    ) -> GoOn | Stop:
        if partition not in expected:
            detail = "nobody said that this topic is to be read: declare it, and it is, from its first record"
            return Stop(partition=partition, reason=Reason.NOT_EXPECTED, detail=detail)
        standing = standings.get(partition)
        if standing is None or (standing.last is not None and partition not in fingerprints):
            detail = "the broker does not answer for it: see whether the topic is there and has a leader"
            position = None if standing is None else standing.next_offset
            return Stop(partition=partition, reason=Reason.NO_ANSWER, detail=detail, position=position)
        return judge(
            partition=partition,
            standing=standing,
            bounds=bounds[partition],
            found=fingerprints.get(partition),
            compacted=partition.topic in self._subscription.compacted,
        )

    async def _go_on(
        self,
        logs: Logs,
        going: Mapping[TopicPartition, int],
        bounds: Mapping[TopicPartition, Bounds],
        standings: Mapping[TopicPartition, Standing],
    ) -> None:
        group = self._subscription.group
        unknown = {
            each: offset - 1
            for each, offset in going.items()
            if not standings[each].last and offset > bounds[each].start
        }
        adopted = {each: found for each, found in (await logs.fingerprints(unknown)).items() if found}
        async with self._pool.acquire() as connection:
            for each, offset in going.items():
                position = standings[each].next_offset
                if offset > position and not await self._passes_a_cut(connection, each, position, offset):
                    self._tell_lost(each, position, offset)
                    await positions.pass_over(connection, group, each, begin=position, end=offset)
            for each, found in adopted.items():
                await positions.adopt(connection, group, each, found)
            await positions.end_stops(connection, group, going)
        for each in going:
            last = standings[each].last or adopted.get(each)
            self._newest.pop(each, None)
            self._seen.pop(each, None)
            if last is not None:
                self._seen[each] = last
            if self.stops.pop(each, None) is not None:
                log.info("a partition is read again", group=group, topic=each.topic, partition=each.partition)
        self._lag.placed(going)
        self._lag.hold(self.stops.keys() | self._paced)
        self._membership.seek(going)
        self._membership.resume(going.keys() - self._paced)

    async def _passes_a_cut(self, connection: Connection, partition: TopicPartition, begin: int, end: int) -> bool:
        """Move over what was cut once it had its effect: a restored position alone has not seen it."""
        was_cut = self._subscription.was_cut
        if was_cut is None or not await was_cut(connection, partition.topic, partition.partition, begin, end):
            return False
        async with connection.transaction():
            group = self._subscription.group
            locked = await positions.lock_positions(connection, group, [partition])
            if locked[partition] == begin:
                await positions.move_positions(connection, group, {partition: positions.Move(end, 0)})
                if self._subscription.passed is not None:
                    await self._subscription.passed(connection, {tuple(partition): (begin, end)})
        log.info(
            "moved over what was cut",
            group=group,
            topic=partition.topic,
            partition=partition.partition,
            expected=begin,
            found=end,
        )
        return True

    def _tell_lost(self, partition: TopicPartition, begin: int, end: int) -> None:
        telemetry.HOLES.labels(self._subscription.group).inc()
        log.error(
            "retention removed records that were not read",
            group=self._subscription.group,
            topic=partition.topic,
            partition=partition.partition,
            expected=begin,
            found=end,
        )

    async def _hold_against_what_was_seen(self, logs: Logs, bounds: Mapping[TopicPartition, Bounds]) -> None:
        """Doubt the partitions in whose logs something else stands now than when this member looked before.

        What it has applied since was read before this look. So where the earlier record still stands, all of that is of
        the same log, and can be held against it the next time.
        """
        self._looks += 1
        newest = dict(self._newest)
        moved = newest if self._looks % LOOKS_PER_QUIET else self._seen
        asked = {each: self._seen[each] for each in moved if each in self._seen and each in bounds}
        found = await logs.fingerprints({each: seen.offset for each, seen in asked.items()})
        for each, seen in asked.items():
            gone = bounds[each].start > seen.offset or each.topic in self._subscription.compacted
            if each in found and found[each] != seen and (found[each] is not None or not gone):
                self._doubt([each])
                async with self._pool.acquire() as connection:
                    await positions.reinstate(connection, self._subscription.group, each, seen)
        for each, last in newest.items():
            if each not in self._doubted and (each in found or each not in self._seen):
                self._seen[each] = last
                if self._newest.get(each) == last:
                    del self._newest[each]

    async def _move_over_what_is_no_record(self) -> None:
        passed = await self._membership.passed(self._lag.next_offsets)
        if not passed:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            group = self._subscription.group
            locked = await positions.lock_positions(connection, group, passed)
            # Where it moved meanwhile, others read it, or it was set by hand.
            moves = {
                each: positions.Move(reach.end, 0) for each, reach in passed.items() if locked[each] == reach.begin
            }
            await positions.move_positions(connection, group, moves)
            if self._subscription.passed is not None and moves:
                ways = {tuple(each): (passed[each].begin, move.next_offset) for each, move in moves.items()}
                await self._subscription.passed(connection, ways)
        self._lag.placed({each: move.next_offset for each, move in moves.items()})

    async def _stored(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Standing]:
        async with self._pool.acquire(timeout=POOL_SECONDS) as connection, at_once(connection):
            return await positions.read_standings(connection, self._subscription.group, partitions)

    def _doubt(self, partitions: Iterable[TopicPartition]) -> None:
        """Read nothing more of the partitions until their logs were looked at."""
        self._doubted.update(partitions)
        self._membership.pause(partitions)
        self._trouble.set()

    def _stop(self, stop: Stop) -> None:
        partition, known = stop.partition, self.stops.get(stop.partition)
        self.stops[partition] = stop
        self._stopped_at[partition] = time.monotonic()
        self._lag.hold(self.stops.keys() | self._paced)
        self._membership.pause([partition])
        if known is not None and known.reason is stop.reason and known.position == stop.position:
            return
        self._untold.add(partition)
        self._trouble.set()
        log.error(
            "a partition is not read on",
            group=self._subscription.group,
            topic=partition.topic,
            partition=partition.partition,
            reason=str(stop.reason),
            position=stop.position,
            log_start=stop.bounds.start if stop.bounds else None,
            log_end=stop.bounds.end if stop.bounds else None,
            problem=stop.detail,
        )

    async def _tell_stops(self) -> None:
        told = self._untold & self.stops.keys()
        if told:
            async with self._pool.acquire() as connection:
                for each in told:
                    await positions.keep_stop(connection, self._subscription.group, self.stops[each])
        self._untold -= told

"""The transaction path against a real PostgreSQL, without Kafka."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from services.runtime.delivery import batch
from services.runtime.delivery.batch import Batch, Hole, HoleFound, PoisonBurst, Reach, apply_batch
from services.runtime.delivery.identity import Fingerprint, Standing
from services.runtime.delivery.positions import read_positions, read_standings
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction
from services.runtime.roles import as_owner
from tests.component.runtime.counting import GROUP, count, subscription
from tests.delivering import RecordingPublisher, deliver, record, transactions

PUBLISHER: Any = RecordingPublisher()
NUMBERS = subscription("numbers")
NUMBERS_0 = TopicPartition("numbers", 0)


def counted(offset: int, name: str = "a", by: Any = 1, *, partition: int = 0) -> ConsumerRecord:
    return record("numbers", partition, offset, msgspec.json.encode({"name": name, "by": by}), key=name)


async def totals(pool: asyncpg.Pool) -> dict[str, int]:
    return {row["name"]: row["total"] for row in await pool.fetch("SELECT name, total FROM tally")}


async def next_offset(pool: asyncpg.Pool, partition: int = 0) -> int:
    offset: int = await pool.fetchval("SELECT next_offset FROM position WHERE partition = $1", partition)
    return offset


async def dead_letters(pool: asyncpg.Pool) -> list[tuple[int, str, str]]:
    rows = await pool.fetch("SELECT record_offset, reason, detail FROM dead_letter ORDER BY record_offset")
    return [tuple(row) for row in rows]


async def test_a_batch_is_applied_with_its_events_and_its_position(pool: asyncpg.Pool) -> None:
    outcome = await deliver(pool, subscription("numbers"), [counted(0), counted(1, "b"), counted(7, partition=3)])

    assert outcome.applied == 3
    assert outcome.next_offsets == {TopicPartition("numbers", 0): 2, TopicPartition("numbers", 3): 8}
    assert await totals(pool) == {"a": 2, "b": 1}
    rows = await pool.fetch("SELECT topic, partition, key, event_type, payload FROM outbox ORDER BY id")
    assert [row["key"] for row in rows] == ["a", "b", "a"]
    assert msgspec.json.decode(rows[2]["payload"]) == {"name": "a", "record": "numbers/3/7"}


async def test_a_record_is_set_aside_once_and_another_log_s_at_its_offset_beside_it(pool: asyncpg.Pool) -> None:
    def poison(value: bytes, at_ms: int) -> ConsumerRecord:
        return record("numbers", 0, 0, value, timestamp_ms=at_ms)

    # Set aside by the release before, which kept no time.
    await deliver(pool, subscription("numbers"), [poison(b"first", 1_000)])
    await pool.execute("UPDATE dead_letter SET record_timestamp_ms = NULL")
    for value, at_ms in ((b"first", 1_000), (b"second", 2_000), (b"second", 2_000), (b"second", 3_000)):
        await pool.execute("UPDATE position SET next_offset = 0")
        await deliver(pool, subscription("numbers"), [poison(value, at_ms)])
    rows = await pool.fetch("SELECT value, record_timestamp_ms FROM dead_letter ORDER BY 2 NULLS FIRST")
    assert [tuple(row) for row in rows] == [(b"first", None), (b"second", 2_000), (b"second", 3_000)]


async def test_the_same_records_again_count_nothing(pool: asyncpg.Pool) -> None:
    records = [counted(0), counted(1), counted(2)]
    await deliver(pool, subscription("numbers"), records)

    outcome = await deliver(pool, subscription("numbers"), [*records, counted(3)])

    assert (outcome.applied, outcome.skipped) == (1, 3)
    assert await totals(pool) == {"a": 4}
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 4


async def test_a_worker_that_lost_its_partition_applies_nothing(pool: asyncpg.Pool) -> None:
    """The frozen worker holds records 0..2; another has applied 0..4 meanwhile."""
    await deliver(pool, subscription("numbers"), [counted(0)])
    await deliver(pool, subscription("numbers"), [counted(offset) for offset in range(5)])

    outcome = await deliver(pool, subscription("numbers"), [counted(0), counted(1), counted(2)])

    assert outcome.applied == 0
    assert await totals(pool) == {"a": 5}
    assert await next_offset(pool) == 5


async def test_what_was_read_from_beyond_the_position_is_refused(pool: asyncpg.Pool) -> None:
    """Somebody set the position back while these records were on their way: what lies between must come first."""
    await deliver(pool, subscription("numbers"), [counted(0)])

    with pytest.raises(HoleFound) as found:
        await deliver(pool, subscription("numbers"), [counted(4)])
    assert found.value.holes == [Hole(NUMBERS_0, 1, 4)]
    assert await next_offset(pool) == 1


async def test_what_was_read_and_holds_no_record_is_moved_over_and_counted(pool: asyncpg.Pool) -> None:
    """Ends of transactions and what was rolled back, before, between and behind the records."""
    await deliver(pool, subscription("numbers"), [counted(0)])

    batch = await Batch.read(NUMBERS, [counted(4), counted(6)], {NUMBERS_0: Reach(1, 9)})
    applied = await apply_batch(transactions(pool, PUBLISHER), NUMBERS, batch)

    assert applied.next_offsets == {NUMBERS_0: 9}
    row = await pool.fetchrow("SELECT next_offset, empty_offsets, last_offset FROM position")
    assert row is not None
    assert tuple(row) == (9, 6, 6)
    assert await totals(pool) == {"a": 3}


async def test_a_batch_in_halves_moves_over_the_same(pool: asyncpg.Pool) -> None:
    """Poison falls the batch apart; the offsets without a record are counted once for all that."""
    records = [counted(2), counted(4, "x", "poison"), counted(6)]
    async with pool.acquire() as connection:
        await read_positions(connection, GROUP, {NUMBERS_0: 0})

    batch = await Batch.read(NUMBERS, records, {NUMBERS_0: Reach(0, 9)})
    await apply_batch(transactions(pool, PUBLISHER), NUMBERS, batch)

    row = await pool.fetchrow("SELECT next_offset, empty_offsets, last_offset FROM position")
    assert row is not None
    assert tuple(row) == (9, 6, 6)


async def test_the_last_record_applied_can_be_known_again(pool: asyncpg.Pool) -> None:
    first, second = counted(0), counted(1, "b")
    await deliver(pool, subscription("numbers"), [first, second])

    async with pool.acquire() as connection:
        standing = (await read_standings(connection, GROUP, [NUMBERS_0]))[NUMBERS_0]

    assert standing == Standing(2, Fingerprint.of(second))
    assert standing.last != Fingerprint.of(first)._replace(offset=1)


async def test_what_cannot_be_decoded_is_set_aside_with_its_bytes(pool: asyncpg.Pool) -> None:
    bad = record("numbers", 0, 1, b"\xff{", key=b"k\x00", headers=[("trace\x00", b"\xfe"), ("empty", None)])  # type: ignore[list-item]
    surprising = record("numbers", 0, 2, b'{"by": 1}')

    outcome = await deliver(pool, subscription("numbers"), [counted(0), bad, surprising, counted(3)])

    assert outcome.dead_letters == {"not_json": 1, "decode": 1}
    assert await totals(pool) == {"a": 2}
    assert await dead_letters(pool) == [(1, "not_json", "2 bytes"), (2, "decode", "KeyError")]
    row = await pool.fetchrow("SELECT key, value, headers FROM dead_letter WHERE record_offset = 1")
    assert row is not None
    assert (row["key"], row["value"]) == (b"k\x00", b"\xff{")
    assert msgspec.json.decode(row["headers"]) == [["trace\N{REPLACEMENT CHARACTER}", "/g=="], ["empty", None]]


async def test_one_record_that_the_handler_cannot_apply_is_found_and_set_aside_alone(pool: asyncpg.Pool) -> None:
    records = [counted(offset) for offset in range(40)]
    records[17] = counted(17, "secret", "not a number")

    outcome = await deliver(pool, subscription("numbers"), records)

    assert outcome.applied == 39
    assert await totals(pool) == {"a": 39}
    assert await next_offset(pool) == 40
    ((offset, reason, detail),) = await dead_letters(pool)
    assert (offset, reason, detail) == (17, "handler", "DataError")
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 39


async def test_a_constraint_and_a_bug_are_poison_too(pool: asyncpg.Pool) -> None:
    records = [counted(0), counted(1, "below", -5), counted(2, None), counted(3)]  # type: ignore[arg-type]

    await deliver(pool, subscription("numbers"), records)

    assert await totals(pool) == {"a": 2}
    assert [(offset, detail) for offset, _, detail in await dead_letters(pool)] == [
        (1, "CheckViolationError"),
        (2, "NotNullViolationError"),
    ]


async def test_halves_of_a_batch_accept_a_hole_inside_it(pool: asyncpg.Pool) -> None:
    """A compacted topic: offsets 1 and 3 are gone, and the poison makes the batch fall apart just there."""
    outcome = await deliver(pool, subscription("numbers"), [counted(0), counted(2, "x", "poison"), counted(4)])

    assert outcome.dead_letters == {"handler": 1}
    assert await next_offset(pool) == 5


@pytest.mark.parametrize("error", [ConnectionResetError(), KafkaConnectionError(), TimeoutError()])
async def test_trouble_around_the_records_sets_nothing_aside(pool: asyncpg.Pool, error: Exception) -> None:
    async def fail(_transaction: Transaction, _deliveries: list[Delivery]) -> None:
        raise error

    with pytest.raises(type(error)):
        await deliver(pool, subscription("numbers", handle=fail), [counted(0)])

    assert await dead_letters(pool) == []
    assert await next_offset(pool) == 0


async def test_a_missing_table_is_not_the_records_fault(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, as_owner(connection):
        await connection.execute("ALTER TABLE tally RENAME TO gone")

    with pytest.raises(asyncpg.UndefinedTableError):
        await deliver(pool, subscription("numbers"), [counted(0), counted(1)])

    assert await dead_letters(pool) == []


async def test_a_batch_too_slow_as_a_whole_is_applied_in_parts(pool: asyncpg.Pool) -> None:
    async def slow_above_two(transaction: Transaction, deliveries: list[Delivery]) -> None:
        if len(deliveries) > 2:
            await transaction.connection.execute("SET LOCAL statement_timeout = 1")
            await transaction.connection.execute("SELECT pg_sleep(1)")
        await count(transaction, deliveries)

    outcome = await deliver(pool, subscription("numbers", handle=slow_above_two), [counted(n) for n in range(7)])

    assert outcome.applied == 7
    assert await dead_letters(pool) == []


async def test_fifty_in_a_batch_are_set_aside_and_one_more_stops(pool: asyncpg.Pool) -> None:
    def poison(offsets: Sequence[int]) -> list[ConsumerRecord]:
        return [counted(offset, "x", "poison") for offset in offsets]

    await deliver(pool, subscription("numbers"), poison(range(50)))
    with pytest.raises(PoisonBurst):
        await deliver(pool, subscription("numbers"), poison(range(50, 101)))

    assert len(await dead_letters(pool)) == 100
    assert await next_offset(pool) == 100


async def test_many_in_ten_minutes_stop_a_partition_even_for_a_process_that_started_again(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_POISON_PER_WINDOW", 3)
    for offset in range(3):
        await deliver(pool, subscription("numbers"), [counted(offset, "x", "poison")])

    with pytest.raises(PoisonBurst):
        await deliver(pool, subscription("numbers"), [counted(3, "x", "poison")])

    # Another partition's one bad record is its own.
    await deliver(pool, subscription("numbers"), [counted(0, "x", "poison", partition=1)])
    assert await next_offset(pool, 1) == 1

    await pool.execute("UPDATE dead_letter SET recorded_at = recorded_at - interval '11 minutes'")
    await deliver(pool, subscription("numbers"), [counted(3, "x", "poison")])
    assert await next_offset(pool) == 4


async def test_what_a_handler_publishes_directly_is_out_before_the_position_moves(pool: asyncpg.Pool) -> None:
    seen: list[int] = []

    class Watching(RecordingPublisher):
        async def publish_batches(self, *_: Any, **__: Any) -> None:
            seen.append(await next_offset(pool))

    async def publish(transaction: Transaction, _deliveries: list[Delivery]) -> None:
        await transaction.publisher.publish_batches("out", {0: [(b"k", b"v", [])]})

    await deliver(pool, subscription("numbers", handle=publish), [counted(0)], Watching())

    assert seen == [0]
    assert await next_offset(pool) == 1


async def test_groups_have_positions_of_their_own(pool: asyncpg.Pool) -> None:
    await deliver(pool, subscription("numbers"), [counted(0)])
    await deliver(pool, subscription("numbers", group="other"), [counted(0)])

    assert await totals(pool) == {"a": 2}
    rows = await pool.fetch("SELECT consumer_group FROM position ORDER BY 1")
    assert [row["consumer_group"] for row in rows] == [GROUP, "other"]


async def test_the_database_limits_are_those_of_the_runtime(pool: asyncpg.Pool) -> None:
    rows = await pool.fetch(
        "SELECT name, setting FROM pg_settings WHERE name = ANY($1)",
        ["jit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone"],
    )
    assert {row["name"]: row["setting"] for row in rows} == {
        "jit": "off",
        "statement_timeout": "20000",
        "lock_timeout": "15000",
        "idle_in_transaction_session_timeout": "10000",
        "TimeZone": "UTC",
    }
    assert await pool.fetchval("SELECT current_schema()") == "counting"


def test_the_stand_in_publisher_can_do_what_the_real_one_can() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(RecordingPublisher) == public(Publisher)

"""Marks count once for the place where they landed, however often and however cut they are told."""

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest_asyncio

from contracts.events import AttendanceRecorded, ReceiptProgressed, RollRecorded
from tests.component.flagging.builders import Feeder, mark, published, rolls_of, school_days, student
from tests.conftest import ServiceDatabase

Pool = asyncpg.Pool
DAYS = school_days(3)
LOG = "attendance-in-hartford/0@1788220800000"


@pytest_asyncio.fixture
async def pool(service_database: ServiceDatabase) -> Pool:
    """A database of flagging's."""
    return await service_database("flagging")


def roll(marks: Sequence[AttendanceRecorded], runs: Sequence[tuple[int, int, int]] | None, log: str = LOG) -> Any:
    """Tell marks of one day as one roll that landed there."""
    (told,) = rolls_of(marks)
    assert isinstance(told, RollRecorded)
    return RollRecorded.model_validate(
        told.model_dump() | {"landed": None if runs is None else {"log": log, "runs": runs}}
    )


async def counted(pool: Pool) -> tuple[int, int]:
    """Read how many marks were applied, and how many changed nothing."""
    row = await pool.fetchrow("SELECT applied, duplicate FROM mark_count")
    assert row is not None
    return row["applied"], row["duplicate"]


async def test_a_batch_published_twice_counts_once_however_it_is_cut(pool: Pool) -> None:
    marks = [mark(student(n), DAYS[0]) for n in range(6)]
    feeder = Feeder(pool)
    await feeder.feed([roll(marks[:4], [(0, 0, 4)]), roll(marks[4:], [(4, 0, 2)])])
    await feeder.feed([roll(marks[:1], [(0, 0, 1)]), roll(marks[1:], [(1, 0, 5)])])
    assert await counted(pool) == (6, 0)


async def test_the_copy_may_be_in_the_batch_of_the_first_and_both_may_reach_beyond_the_other(pool: Pool) -> None:
    marks = [mark(student(n), DAYS[0]) for n in range(6)]
    await Feeder(pool).feed([roll(marks[:4], [(10, 0, 4)]), roll(marks[2:], [(12, 0, 4)])])
    assert await counted(pool) == (6, 0)


async def test_the_same_mark_sent_again_is_a_duplicate_and_no_copy(pool: Pool) -> None:
    sent = [mark(student(1), DAYS[0])]
    feeder = Feeder(pool)
    await feeder.feed([roll(sent, [(0, 0, 1)])])
    await feeder.feed([roll(sent, [(1, 0, 1)])])
    assert await counted(pool) == (1, 1)
    await feeder.feed([roll(sent, [(1, 0, 1)])])
    assert await counted(pool) == (1, 1)


async def test_marks_of_one_landed_roll_have_places_of_their_own(pool: Pool) -> None:
    marks = [mark(student(n), DAYS[0]) for n in range(5)]
    feeder = Feeder(pool)
    await feeder.feed([roll(marks[:2], [(7, 1, 2)]), roll(marks[2:4], [(7, 4, 2)])])
    await feeder.feed([roll(marks[:4], [(7, 1, 2), (7, 4, 2)]), roll(marks[4:], [(8, 0, 1)])])
    assert await counted(pool) == (5, 0)


async def test_another_log_of_the_same_name_is_counted_anew(pool: Pool) -> None:
    first, second = mark(student(1), DAYS[0]), mark(student(2), DAYS[0])
    await Feeder(pool).feed([roll([first], [(0, 0, 1)]), roll([second], [(0, 0, 1)], log=LOG.replace("17", "18"))])
    assert await counted(pool) == (2, 0)


async def test_what_landed_before_there_were_books_is_applied_and_not_counted_again(pool: Pool) -> None:
    feeder = Feeder(pool)
    await feeder.feed([roll([mark(student(1), DAYS[0])], None)])
    assert await counted(pool) == (1, 0)
    await feeder.feed([roll([mark(student(1), DAYS[0], version=2)], [])])
    assert await counted(pool) == (1, 0)
    assert await pool.fetchval("SELECT versions FROM roll_page") == (2).to_bytes(8, "little")


async def test_a_receipt_hears_of_each_of_its_rows_once(pool: Pool) -> None:
    receipt = UUID("45a3ac6a-4c51-0225-e596-e4c5668b37c2")
    marks = [mark(student(n), DAYS[0], receipt=receipt) for n in range(3)]
    feeder = Feeder(pool)
    await feeder.feed([roll(marks[:2], [(0, 0, 2)])])
    await feeder.feed([roll(marks, [(0, 0, 3)])])
    await feeder.feed([roll(marks, [(0, 0, 3)])])
    told = [each for each in await published(pool, "receipt-progress") if isinstance(each, ReceiptProgressed)]
    assert [(each.accepted, each.duplicate) for each in told] == [(2, 0), (1, 0)]
    assert [[(of.offset, of.accepted) for of in each.rolls or ()] for each in told] == [[(0, 2)], [(1, 1)]]


async def test_a_receipt_hears_the_same_of_each_roll_whatever_batch_it_is_read_in(
    service_database: ServiceDatabase,
) -> None:
    receipt = UUID("45a3ac6a-4c51-0225-e596-e4c5668b37c2")
    said = [
        roll([mark(student(n), DAYS[0], receipt=receipt) for n in range(first, first + 3)], [(first, 0, 3)])
        for first in (0, 3, 6)
    ]

    async def told(*batches: list[RollRecorded]) -> set[tuple[int, int, int]]:
        pool = await service_database("flagging")
        feeder = Feeder(pool)
        for batch in batches:
            await feeder.feed(batch)
        events = [each for each in await published(pool, "receipt-progress") if isinstance(each, ReceiptProgressed)]
        return {(of.offset, of.accepted, of.duplicate) for each in events for of in each.rolls or ()}

    assert await told(said[:1], said[1:]) == await told(said) == {(0, 3, 0), (1, 3, 0), (2, 3, 0)}


async def test_a_year_told_again_in_any_pieces_leaves_the_counts_and_stays_a_few_ranges(pool: Pool) -> None:
    rng = random.Random(11)
    marks = [mark(student(n), DAYS[0]) for n in range(3000)]
    feeder = Feeder(pool)
    at = 0
    while at < len(marks):
        size = rng.randint(1, 400)
        await feeder.feed([roll(marks[at : at + size], [(at, 0, len(marks[at : at + size]))])])
        at += size
    for _ in range(3):
        at = rng.randint(0, 2000)
        await feeder.feed([roll(marks[at : at + 700], [(at, 0, 700)])])
    assert await counted(pool) == (3000, 0)
    ranges = await pool.fetchval("SELECT sum((SELECT count(*) FROM unnest(places))) FROM landing_place")
    assert ranges == 3, "one for each 1,024 offsets"

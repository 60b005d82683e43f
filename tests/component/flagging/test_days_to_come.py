"""Absences told ahead: on a full feed none counts before its day, with exceptions only each waits for its roll."""

import random
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest

from contracts.events import AttendanceRecorded, Category, Event, FlagRaised, Level
from services.flagging.app import FACTS
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    completion,
    conclusions,
    feed,
    mark,
    published,
    reopening,
    roll,
    school_days,
    stint,
    student,
)
from tests.component.flagging.conftest import Clock
from tests.component.flagging.test_which_days_count import days_of
from tests.conftest import ServiceDatabase
from tests.delivering import deliver

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)
DAYS = school_days(20)
TODAY, TRIP = DAYS[9], DAYS[10:15]
"""Ten days have been taught; the five after them are a trip that Anna's family told in advance."""


def ten_full_days() -> list[Event]:
    return [
        *(stint(who) for who in (ANNA, BEN)),
        *(mark(who, day, "in_attendance") for who in (ANNA, BEN) for day in DAYS[:10]),
        *(completion(day, 1, feed="full") for day in DAYS[:10]),
    ]


@pytest.mark.parametrize("says_full", [calendar(DAYS, feed="full"), feed("full")], ids=["calendar", "declared"])
@pytest.mark.parametrize("is_known_before", [True, False])
async def test_on_a_full_feed_a_day_to_come_counts_from_its_day_on_whatever_says_that_it_is_full_and_when(
    service_database: ServiceDatabase, moved_clock: Clock, says_full: Event, is_known_before: bool
) -> None:
    pool = await service_database("flagging")
    moved_clock(TODAY)
    feeder = Feeder(pool, today=TODAY)
    trip = [mark(ANNA, day) for day in TRIP]
    for facts in ([says_full], trip) if is_known_before else (trip, [says_full]):
        await feeder.feed(list[Event](facts))
        await settle(pool)
    await feeder.feed(ten_full_days())
    await settle(pool)
    assert await days_of(pool) == (0, 10)
    assert await published(pool, "flags") == []

    # The next school day comes with what the school says of it, and that of the others is still to come.
    feeder.today = TRIP[0]
    await feeder.feed([mark(BEN, TRIP[0], "tardy")])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((1, 11), (0, 11))
    # Where nobody says anything, the day comes by itself.
    moved_clock(TRIP[1])
    await settle(pool)
    assert (await days_of(pool), await days_of(pool, BEN)) == ((2, 12), (0, 11))
    [raised] = await published(pool, "flags")
    assert isinstance(raised, FlagRaised)
    assert (raised.level, raised.days_absent, raised.days_enrolled) == (Level.CHRONICALLY_ABSENT, 2, 12)
    assert (raised.as_of, raised.first_reached) == (TRIP[1], TRIP[1])


async def test_with_exceptions_only_an_absence_of_a_day_to_come_waits_for_that_days_roll(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool, today=TODAY)
    await feeder.feed([calendar(DAYS), stint(ANNA), *(roll(day) for day in DAYS[:10])])
    await feeder.feed([mark(ANNA, day) for day in TRIP])
    moved_clock(TRIP[1])
    await settle(pool)
    assert await days_of(pool) == (0, 10)
    feeder.today = TRIP[1]
    await feeder.feed([roll(TRIP[0])])
    assert await days_of(pool) == (1, 11)


async def test_a_day_to_come_that_is_said_to_be_open_on_a_full_feed_counts_no_sooner(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool, today=TODAY)
    await feeder.feed([calendar(DAYS), stint(ANNA), mark(ANNA, TRIP[0]), reopening(TRIP[0], 1, feed="full")])
    assert await days_of(pool) == (0, 0)
    feeder.today = TRIP[0]
    await feeder.feed([mark(BEN, TRIP[0])])
    assert await days_of(pool) == (1, 1)


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_appended_when_decides_and_not_in_which_order_it_is_read(
    service_database: ServiceDatabase, seed: int
) -> None:
    draw = random.Random(seed)
    told: list[tuple[date, Event]] = [(DAYS[0], calendar(DAYS, feed="full")), (DAYS[3], feed("full"))]
    told += [(DAYS[0], fact) for fact in ten_full_days()[:2]]
    for who in (ANNA, BEN):
        for day in DAYS:
            appended = day - timedelta(days=draw.choice((0, 0, 0, 5, 9)))
            category = "unexcused_absence" if appended < day else draw.choice(("in_attendance", "tardy"))
            told.append((appended, mark(who, day, category)))
    newest = max(appended for appended, fact in told if hasattr(fact, "school_day"))
    come = [day for day in DAYS if day <= newest]
    absent = {who: sum(_is_absence(fact, who, come) for _, fact in told) for who in (ANNA, BEN)}
    for size in (1, 7, 100):
        draw.shuffle(told)
        pool = await service_database("flagging")
        feeder = Feeder(pool)
        for begin in range(0, len(told), size):
            # A batch holds what was appended on several days.
            records = []
            for feeder.today, fact in told[begin : begin + size]:
                records += feeder.records([fact])
            await deliver(pool, FACTS, records)
        assert (await days_of(pool), await days_of(pool, BEN)) == ((absent[ANNA], len(come)), (absent[BEN], len(come)))
        assert len((await conclusions(pool)).records) == 2


def _is_absence(fact: Event, who: UUID, come: list[date]) -> bool:
    if not isinstance(fact, AttendanceRecorded):
        return False
    return fact.student_key == who and fact.school_day in come and fact.category is Category.UNEXCUSED_ABSENCE

"""A school's day is told with its students; one that counts for nobody is not, unless it counted when it was told."""

from datetime import date, timedelta

import asyncpg
import pytest

from contracts.events import Event, SchoolDayTalliedV2
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    mark,
    published,
    roll,
    school_days,
    status,
    stint,
    student,
)
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)
DAYS = school_days(5)
SATURDAY = DAYS[4] + timedelta(days=1)


async def days_told(pool: "Pool[asyncpg.Record]") -> list[tuple[date, int, int]]:
    """List every word on a day, in the order in which it was told."""
    told = [each for each in await published(pool, "day-tallies") if isinstance(each, SchoolDayTalliedV2)]
    return [(each.school_day, each.students_counted, each.students_absent) for each in told]


async def test_a_saturdays_roll_is_no_school_day_and_is_not_told(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS), stint(ANNA), roll(SATURDAY), mark(ANNA, SATURDAY), roll(DAYS[0])])
    await settle(pool)
    await feeder.feed([status("live", 1)])  # whatever was told is told again
    await settle(pool)
    assert set(await days_told(pool)) == {(DAYS[0], 1, 0)}


@pytest.mark.parametrize(
    "comes_late", [calendar([*DAYS, SATURDAY], version=2), stint(ANNA)], ids=["calendar", "roster"]
)
async def test_a_day_is_told_once_it_counts_for_somebody(service_database: ServiceDatabase, comes_late: Event) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    known: list[Event] = [calendar(DAYS), stint(ANNA)]
    if comes_late.event_type == "enrollment.changed.v1":
        known = [calendar([*DAYS, SATURDAY])]
    await feeder.feed([*known, roll(SATURDAY), mark(ANNA, SATURDAY)])
    await settle(pool)
    assert await days_told(pool) == []
    await feeder.feed([comes_late])
    assert await days_told(pool) == [(SATURDAY, 1, 1)]


async def test_a_day_that_counts_for_nobody_any_more_is_told_so(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS), stint(ANNA), roll(DAYS[0])])
    await feeder.feed([stint(ANNA, version=2, withdrawn=True)])
    assert await days_told(pool) == [(DAYS[0], 1, 0), (DAYS[0], 0, 0)]


async def test_on_a_full_feed_a_day_that_all_marks_told_already_is_told_when_its_roll_is_complete(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS, feed="full"), stint(ANNA), stint(BEN)])
    await feeder.feed([mark(ANNA, DAYS[0]), mark(BEN, DAYS[0], "tardy")])
    assert await days_told(pool) == []
    await feeder.feed([roll(DAYS[0], feed="full")])
    assert await days_told(pool) == [(DAYS[0], 2, 1)]

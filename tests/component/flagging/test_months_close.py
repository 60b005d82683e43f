"""When a school's month closes by the calendar of the real world, told by the timer (cases from outside)."""

from datetime import date, timedelta

import asyncpg
import pytest

from contracts.events import StudentMonthsTallied
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import Feeder, calendar, completion, published, reopening, roll, stint, student
from tests.component.flagging.conftest import Clock
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA = student(1)
FIRST, LAST = date(2025, 8, 28), date(2026, 6, 12)
JUNE = [date(2026, 6, 1) + timedelta(days=n) for n in range(12) if (date(2026, 6, 1) + timedelta(days=n)).weekday() < 5]
TENTH_WEEKDAY_AFTER = date(2026, 6, 26)


def weekdays(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5]


YEAR = weekdays(FIRST, LAST)


async def closed(pool: "Pool[asyncpg.Record]", school: str = "H01") -> dict[date, int | None]:
    """Give the months told of a school, each with the rolls that it lacked when it was told last."""
    told = [each for each in await published(pool, "school-months") if isinstance(each, StudentMonthsTallied)]
    return {each.month: each.missing_rolls for each in told if each.school == school}


async def at(pool: "Pool[asyncpg.Record]", moved_clock: Clock, day: date) -> dict[date, int | None]:
    moved_clock(day)
    await settle(pool)
    return await closed(pool)


async def test_a_complete_month_closes_at_once(service_database: ServiceDatabase, moved_clock: Clock) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    september = [day for day in YEAR if day.month == 9]
    await feeder.feed([calendar(YEAR), stint(ANNA, entry=FIRST), *(roll(day) for day in september[:-1])])
    assert await at(pool, moved_clock, september[-1]) == {}
    await feeder.feed([roll(september[-1])])
    assert await at(pool, moved_clock, september[-1]) == {date(2025, 9, 1): 0}


async def test_a_month_with_a_roll_missing_closes_on_the_tenth_school_day_of_the_next(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    missing = [date(2025, 9, 9), date(2025, 9, 10)]
    through_october = [day for day in YEAR if day < date(2025, 11, 1) and day not in missing]
    await Feeder(pool).feed(
        [calendar(YEAR), stint(ANNA, entry=FIRST), *(roll(day) for day in through_october if day.month == 9)]
    )
    tenth = [day for day in YEAR if day.month == 10][9]
    assert await at(pool, moved_clock, tenth - timedelta(days=1)) == {}
    assert await at(pool, moved_clock, tenth) == {date(2025, 9, 1): 2}


async def test_june_closes_on_the_tenth_weekday_after_the_last_school_day(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(YEAR), stint(ANNA, entry=FIRST), *(roll(day) for day in YEAR if day != JUNE[3])])
    assert date(2026, 6, 1) not in await at(pool, moved_clock, TENTH_WEEKDAY_AFTER - timedelta(days=1))
    assert (await at(pool, moved_clock, TENTH_WEEKDAY_AFTER))[date(2026, 6, 1)] == 1

    # Told again when the roll comes after all.
    await feeder.feed([roll(JUNE[3])])
    assert (await closed(pool))[date(2026, 6, 1)] == 0


async def test_june_closes_when_the_last_day_is_cancelled(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(YEAR), stint(ANNA, entry=FIRST), *(roll(day) for day in YEAR[:-1])])
    assert date(2026, 6, 1) not in await at(pool, moved_clock, LAST)
    await feeder.feed([calendar(YEAR[:-1], version=2)])
    assert (await at(pool, moved_clock, LAST))[date(2026, 6, 1)] == 0


async def test_a_school_without_a_calendar_closes_by_its_districts_days(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(YEAR, school="H02"), stint(ANNA, entry=FIRST), *(roll(day) for day in YEAR)])
    september, june = date(2025, 9, 1), date(2026, 6, 1)
    tenth = [day for day in YEAR if day.month == 10][9]
    assert september not in await at(pool, moved_clock, tenth - timedelta(days=1))
    assert (await at(pool, moved_clock, tenth))[september] is None, "nobody knows which rolls there should be"
    assert june not in await at(pool, moved_clock, TENTH_WEEKDAY_AFTER - timedelta(days=1))
    assert june in await at(pool, moved_clock, TENTH_WEEKDAY_AFTER)


async def test_a_reopened_roll_is_missing_in_its_month_and_the_month_is_told_again(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    september = [day for day in YEAR if day.month == 9]
    await feeder.feed([calendar(YEAR), stint(ANNA, entry=FIRST), *(completion(day, 1) for day in september)])
    assert await at(pool, moved_clock, september[-1]) == {date(2025, 9, 1): 0}
    await feeder.feed([reopening(september[4], 2)])
    assert await closed(pool) == {date(2025, 9, 1): 1}
    [*_, last] = await published(pool, "school-months")
    assert isinstance(last, StudentMonthsTallied)
    assert last.days_enrolled == (len(september) - 1,)

"""What a district is told of its rolls (DOMAIN 9.1): overdue ones, no mark on a complete one, no calendar."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.flagging import metrics
from tests.component.flagging.asking import ask
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    completion,
    mark,
    retraction,
    roll,
    school_days,
    stint,
    student,
)
from tests.component.flagging.conftest import Clock
from tests.component.observability.test_measures import HARTFORD, context, values
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)
DAYS = school_days(10)
FIRST = DAYS[0].isoformat()


async def told(pool: "Pool[asyncpg.Record]") -> dict[str, Any]:
    """Ask for the only district's counts."""
    (counted,) = (await ask(pool, "/v1/counts", "ops"))["districts"]
    return dict(counted)


async def waiting(pool: "Pool[asyncpg.Record]") -> tuple[int, str | None]:
    """Give how many rolls are overdue and since when, and hold that the gauge says the same."""
    counted = await told(pool)
    await metrics.measure(context(pool))
    assert values(metrics.WAITING) == {HARTFORD: counted["rolls_waiting"]}
    return counted["rolls_waiting"], counted["oldest_roll_waiting"]


async def test_marks_whose_roll_is_not_complete_are_told_after_three_school_days(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS), stint(ANNA), mark(ANNA, DAYS[0]), mark(ANNA, DAYS[1])])
    moved_clock(DAYS[3])  # the third school day after is not over
    assert await waiting(pool) == (0, None)
    moved_clock(DAYS[4])
    assert await waiting(pool) == (1, FIRST)
    moved_clock(DAYS[4] + timedelta(days=2))  # over the weekend the second day's wait grows by Friday alone
    assert await waiting(pool) == (2, FIRST)
    await feeder.feed([completion(DAYS[0], 1)])
    assert await waiting(pool) == (1, DAYS[1].isoformat())
    await feeder.feed([calendar([day for day in DAYS if day != DAYS[1]], version=2)])  # there was no school
    assert await waiting(pool) == (0, None)


async def test_each_school_that_owes_a_roll_counts(service_database: ServiceDatabase, moved_clock: Clock) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    schools = ("H01", "H02")
    await feeder.feed([calendar(DAYS, school=school) for school in schools])
    await feeder.feed([mark(ANNA, DAYS[n], school=school) for n, school in enumerate(schools)])
    moved_clock(DAYS[9])
    assert await waiting(pool) == (2, FIRST)


async def test_marks_that_count_already_wait_for_nothing(service_database: ServiceDatabase, moved_clock: Clock) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS, feed="full"), stint(ANNA), mark(ANNA, DAYS[0])])
    moved_clock(DAYS[9])
    assert await waiting(pool) == (0, None)


async def test_without_a_calendar_the_days_that_were_sent_are_the_school_days(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([stint(ANNA), *(mark(ANNA, day) for day in DAYS[:3])])
    moved_clock(DAYS[9])
    assert await waiting(pool) == (0, None)
    await feeder.feed([mark(ANNA, DAYS[3])])
    assert await waiting(pool) == (1, FIRST)
    assert (await told(pool))["schools_without_calendar"] == 1
    await feeder.feed([calendar(DAYS)])
    assert (await told(pool))["schools_without_calendar"] == 0


async def test_last_years_rolls_are_last_years(service_database: ServiceDatabase, moved_clock: Clock) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS), stint(ANNA), mark(ANNA, DAYS[0])])
    moved_clock(DAYS[0] + timedelta(days=365))
    assert (await told(pool))["rolls_waiting"] == 0


async def test_an_enrolled_student_of_whom_a_complete_full_roll_says_nothing_is_told(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    here = [calendar(DAYS, feed="full"), stint(ANNA), stint(BEN, entry=DAYS[2])]
    await feeder.feed([*here, *(mark(ANNA, day, "in_attendance") for day in DAYS[:4])])
    moved_clock(DAYS[9])
    assert (await told(pool))["days_without_mark"] == 0  # no roll is complete yet
    await feeder.feed([roll(day, feed="full") for day in DAYS[:4]])
    assert (await told(pool))["days_without_mark"] == 2  # Ben's two
    await feeder.feed([retraction(ANNA, DAYS[0])])
    assert (await told(pool))["days_without_mark"] == 3
    await feeder.feed([mark(BEN, DAYS[2]), mark(BEN, DAYS[3])])
    assert (await told(pool))["days_without_mark"] == 1


async def test_where_only_exceptions_are_sent_no_mark_says_present(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS), stint(ANNA), stint(BEN), mark(ANNA, DAYS[0]), roll(DAYS[0])])
    moved_clock(DAYS[9])
    assert (await told(pool))["days_without_mark"] == 0

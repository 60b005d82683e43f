"""Which days are a child's: cases from outside, each told in a district's own order, with the figure that is right."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import cast
from uuid import UUID

import asyncpg
import pytest

from contracts.events import Event, FlagChanged, FlagCleared, FlagRaised, Level, StudentMonthsTallied
from services.flagging.app import service
from tests.component.flagging.asking import ask, school_day, settle
from tests.component.flagging.builders import (
    DISTRICT,
    Feeder,
    calendar,
    conclusions,
    mark,
    published,
    roll,
    school_days,
    stint,
    student,
)
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)


async def days_of(pool: "Pool[asyncpg.Record]", who: UUID = ANNA, school: str = "H01") -> tuple[int, int]:
    """Give (absent, counted) of one record; a student without one has none of either."""
    record = (await conclusions(pool)).records.get((who, 2026, school))
    return (len(record.absent), len(record.counted)) if record else (0, 0)


async def told(pool: "Pool[asyncpg.Record]") -> list[type[Event]]:
    return [type(event) for event in await published(pool, "flags")]


def taught(days: Iterable[date], *schools: str, feed: str = "exceptions") -> list[Event]:
    """A calendar and every roll complete, at each of the schools."""
    days = list(days)
    return [
        fact
        for school in schools or ("H01",)
        for fact in (calendar(days, school=school, feed=feed), *(roll(day, school=school, feed=feed) for day in days))
    ]


async def test_absences_after_a_backdated_exit_never_counted(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(60)
    await feeder.feed([*taught(days), stint(ANNA), *(mark(ANNA, day) for day in days[50:])])
    assert await days_of(pool) == (10, 60)
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.CHRONICALLY_ABSENT}

    await feeder.feed([stint(ANNA, exit_date=days[50], version=2)])
    assert await days_of(pool) == (0, 50)
    assert (await conclusions(pool)).flags == {}
    assert await told(pool) == [FlagRaised, FlagCleared]


@pytest.mark.parametrize("feed", ["exceptions", "full"])
async def test_a_no_show_that_is_withdrawn_has_no_days(service_database: ServiceDatabase, feed: str) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(12)
    await feeder.feed([*taught(days, feed=feed), stint(ANNA), *(mark(ANNA, day) for day in days)])
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.SEVERELY_CHRONICALLY_ABSENT}

    await feeder.feed([stint(ANNA, withdrawn=True, version=2)])
    assert await days_of(pool) == (0, 0)
    assert (await conclusions(pool)).flags == {}

    # Kept, and counted when an enrolment comes to cover them.
    await feeder.feed([stint(ANNA, stint="again", entry=days[2])])
    assert await days_of(pool) == (10, 10)


@pytest.mark.parametrize("feed", ["exceptions", "full"])
async def test_marks_before_entry_and_on_an_exit_day_that_does_not_count_are_nobodys_days(
    service_database: ServiceDatabase, feed: str
) -> None:
    pool = await service_database("flagging")
    days = school_days(30)
    await Feeder(pool).feed(
        [
            *taught(days, feed=feed),
            stint(ANNA, entry=days[10], exit_date=days[20]),
            *(mark(ANNA, day) for day in (*days[:10], days[20])),
        ]
    )
    assert await days_of(pool) == (0, 10)
    assert (await conclusions(pool)).flags == {}


async def test_marks_that_come_before_rolls_and_rosters_make_no_flag_that_lasts_a_second(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(40)
    children = [student(number) for number in range(25)]
    await feeder.feed([calendar(days), *(stint(each) for each in children)])
    await feeder.feed([mark(each, day) for each in children for day in days[:2]], batch=7)
    assert await told(pool) == []

    await feeder.feed([roll(day) for day in days[::-1]], batch=1)
    assert {await days_of(pool, each) for each in children} == {(2, 40)}
    flags = (await conclusions(pool)).flags
    assert set(flags.values()) == {Level.AT_RISK}, "two of the first twenty days, and 5 % missed"


async def test_a_number_that_no_enrolment_knows_waits_and_is_no_child_yet(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    for feed, school in (("exceptions", "H01"), ("full", "H03")):
        await feeder.feed(taught(days, school, feed=feed))
        await feeder.feed([mark(ANNA, day, school=school) for day in days])
    assert await told(pool) == []
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    assert (answer["level"], answer["waiting_days"]) == ("none", 40)
    assert "no enrolment" in answer["sentence"]
    [counted] = (await ask(pool, "/v1/counts", "ops"))["districts"]
    assert (counted["waiting_numbers"], counted["waiting_days"], counted["students"]) == (1, 40, 0)

    await feeder.feed([stint(ANNA)])
    assert await days_of(pool) == (20, 20)
    assert (await ask(pool, f"/v1/students/{ANNA}/absence"))["level"] == "severely_chronically_absent"


async def test_absences_of_days_to_come_wait_for_their_rolls(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(70)
    await feeder.feed([calendar(days), stint(ANNA), *(roll(day) for day in days[:58])])
    await feeder.feed([mark(ANNA, day) for day in days[58:68]])
    assert await days_of(pool) == (0, 58)
    assert (await conclusions(pool)).flags == {}


async def test_at_one_of_two_schools_the_statute_counts_that_school_alone(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    await pool.execute("INSERT INTO policy (district, version, accumulator) VALUES ($1, 1, 'school')", DISTRICT)
    days = school_days(20)
    await Feeder(pool).feed(
        [
            *taught(days, "H01", "H02"),
            stint(ANNA, school="H01"),
            stint(ANNA, school="H02", entry=days[0] + timedelta(days=1)),
            *(mark(ANNA, day, school="H01") for day in days[5:8]),
        ]
    )
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.CHRONICALLY_ABSENT}
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    assert answer["level"] == "chronically_absent"
    assert answer["sentence"].startswith("Absent on 3 of 20 enrolled days")


async def test_a_day_that_two_schools_claim_goes_to_the_later_entry_in_every_sum(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = [day for day in school_days(60) if day.month < 11]
    october = [day for day in days if day.month == 10]
    children = [student(number) for number in range(10)]
    await feeder.feed([*taught(days, "H01", "H02"), *(stint(each, school="H01") for each in children)])
    await feeder.feed([mark(each, october[0], school="H01") for each in children])
    await settle(pool)
    # The old school is not told of the move: its enrolment stays open, silence goes on meaning present there.
    await feeder.feed([stint(each, school="H02", entry=october[0]) for each in children])
    await feeder.feed([mark(each, october[1], school="H02") for each in children])
    await settle(pool)

    month = {
        (who, event.school): (absent, enrolled)
        for event in cast("list[StudentMonthsTallied]", await published(pool, "school-months"))
        for who, absent, enrolled in zip(event.students, event.days_absent, event.days_enrolled, strict=True)
        if event.month == date(2026, 10, 1)
    }
    assert {month[each, "H01"] for each in children} == {(0, 0)}
    assert {month[each, "H02"] for each in children} == {(1, len(october))}
    assert await school_day(pool, october[1], "H01") == (0, 0)
    assert await school_day(pool, october[1], "H02") == (10, 10)


async def test_a_child_who_returns_is_given_each_day_at_the_school_entered_last_before_it(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(30)
    await Feeder(pool).feed(
        [
            *taught(days, "H01", "H02"),
            # Left open at H01, then at H02, then back at H01: three entries, and the days between belong to H02.
            stint(ANNA, school="H01", entry=days[0], stint="a"),
            stint(ANNA, school="H02", entry=days[10], stint="b"),
            stint(ANNA, school="H01", entry=days[20], stint="c"),
            *(mark(ANNA, day, school="H01") for day in days[10:20]),
            mark(ANNA, days[25], school="H01"),
        ]
    )
    assert (await conclusions(pool)).flags == {}
    figures = {each["accumulator"]: each for each in (await ask(pool, f"/v1/students/{ANNA}/absence"))["accumulators"]}
    assert (figures["district"]["days_absent"], figures["district"]["days_enrolled"]) == (1, 30)


@pytest.mark.parametrize(
    ("entry", "missed", "level"), [(0, 2, Level.NONE), (65, 2, Level.AT_RISK), (65, 1, Level.NONE)]
)
async def test_who_enters_after_september_has_the_first_days_for_a_september(
    service_database: ServiceDatabase, entry: int, missed: int, level: Level
) -> None:
    pool = await service_database("flagging")
    await pool.execute("INSERT INTO policy (district, version, early_absences) VALUES ($1, 1, 4)", DISTRICT)
    before, days = school_days(20, date(2025, 9, 2)), school_days(90)
    await Feeder(pool).feed(
        [
            *taught(before),
            stint(ANNA, entry=before[0], stint="last", exit_date=date(2026, 6, 20)),
            *(mark(ANNA, day) for day in before[:2]),
            *taught(days),
            stint(ANNA, entry=days[entry]),
            *(mark(ANNA, day) for day in days[70 : 70 + missed]),
        ]
    )
    assert (await conclusions(pool)).flags.get((ANNA, 2026), Level.NONE) is level


async def test_chronic_last_year_is_the_standard_policys_word(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    # Under this district's own minimum last year's 12 days would say nothing.
    await pool.execute("INSERT INTO policy (district, version, min_enrolled_days) VALUES ($1, 1, 20)", DISTRICT)
    before, days = school_days(12, date(2025, 9, 2)), school_days(30)
    await Feeder(pool).feed(
        [
            *taught(before),
            stint(ANNA, entry=before[0], stint="last", exit_date=date(2026, 6, 20)),
            *(mark(ANNA, day) for day in before[:2]),
            *taught(days),
            stint(ANNA),
            mark(ANNA, days[5]),
            mark(ANNA, days[21]),
        ]
    )
    # By its own rule the year before was only a warning.
    assert (await conclusions(pool)).flags == {(ANNA, 2025): Level.AT_RISK, (ANNA, 2026): Level.AT_RISK}


async def test_whom_a_changed_rule_concerns_is_judged_again_by_the_timer(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(15)
    await feeder.feed([*taught(days), stint(ANNA), stint(BEN), *(mark(ANNA, day) for day in days[10:])])
    await pool.execute("INSERT INTO policy (district, version, min_enrolled_days) VALUES ($1, 1, 20)", DISTRICT)
    await settle(pool)
    assert await told(pool) == [FlagRaised, FlagChanged]
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.AT_RISK}
    assert {"settle", "judge"} <= {timer.name for timer in service.timers}

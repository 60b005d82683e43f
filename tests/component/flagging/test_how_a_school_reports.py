"""Feeds as schools declare them, rolls that are reopened or close by rule, tracks, rehearsals (cases from outside)."""

from datetime import date, timedelta

import asyncpg
import pytest

from contracts.events import FlagCleared, FlagFiguresUpdated, FlagRaised, Level
from tests.component.flagging import told
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
    status,
    stint,
    student,
)
from tests.component.flagging.conftest import Clock
from tests.component.flagging.test_which_days_count import days_of, taught
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)


async def test_of_completions_and_reopenings_the_newest_stands(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(6)
    await feeder.feed([calendar(days), stint(ANNA)])
    await feeder.feed([completion(days[0], 3), reopening(days[0], 2)])  # the older word comes later
    await feeder.feed([completion(days[1], 2), reopening(days[1], 3)])
    await feeder.feed([completion(days[2], 2), reopening(days[2], 2)])  # equal: complete
    await feeder.feed([reopening(days[3], 0), roll(days[3])])  # of before: version 0, so equal too
    await feeder.feed([roll(days[4]), reopening(days[4], 1), roll(days[4])])
    await feeder.feed([reopening(days[5], 1), completion(days[5], 2)])
    record = (await conclusions(pool)).records[ANNA, 2026, "H01"]
    assert record.counted == {days[0], days[2], days[3], days[5]}


async def test_the_rolls_own_feed_comes_before_the_calendars(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(4)
    await feeder.feed([calendar(days, feed="exceptions"), stint(ANNA), *(mark(ANNA, day) for day in days)])
    assert await days_of(pool) == (0, 0)
    await feeder.feed([reopening(days[0], 1, feed="full"), reopening(days[1], 1, feed="exceptions")])
    assert await days_of(pool) == (1, 1)


async def test_a_schools_declaration_comes_before_its_districts_and_both_before_the_calendars(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(4)
    for school in ("H01", "H02"):
        await feeder.feed([calendar(days, school=school), stint(ANNA, school=school)])
        await feeder.feed([mark(ANNA, days[0], school=school)])
    await feeder.feed([feed("full", 5), feed("exceptions", 2, school="H02"), feed("full", 1, school="H02")])
    await settle(pool)
    assert await days_of(pool) == (1, 1)
    assert await days_of(pool, school="H02") == (0, 0)


async def test_7_of_65_when_a_file_pushed_in_mid_term_has_days_to_come(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(85)
    # The file's session runs to January; rolls are complete up to today, the 65th school day.
    await Feeder(pool).feed(
        [calendar(days), stint(ANNA), *(mark(ANNA, day) for day in days[:63:9]), *(roll(day) for day in days[:65])]
    )
    assert await days_of(pool) == (7, 65)
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.CHRONICALLY_ABSENT}


async def test_a_full_feed_without_completions_closes_at_the_end_of_the_third_school_day_after(
    service_database: ServiceDatabase, moved_clock: Clock
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(10)
    moved_clock(days[0])
    await feeder.feed([feed("full", closing="third_school_day"), calendar(days, feed="full"), stint(ANNA), stint(BEN)])
    # A Thursday: the third school day after is the Tuesday.
    thursday, tuesday = days[3], days[6]
    await feeder.feed([mark(ANNA, thursday)])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((1, 1), (0, 0))

    moved_clock(tuesday)
    await settle(pool)
    assert await days_of(pool, BEN) == (0, 0)
    moved_clock(tuesday + timedelta(days=1))
    await settle(pool)
    assert (await days_of(pool), await days_of(pool, BEN)) == ((1, 1), (0, 1))


async def test_without_rosters_a_mark_enrols_for_its_day_whom_no_enrolment_there_knows(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(12)
    await feeder.feed([feed("full", rosters=False), *taught(days, feed="full")])
    await settle(pool)
    # Ben is enrolled until the fifth day: marks after it are not his days.
    await feeder.feed([stint(BEN, exit_date=days[5])])
    await feeder.feed([mark(who, day, "tardy") for who in (ANNA, BEN) for day in days[:11]])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((0, 11), (0, 5))

    # A roster that comes makes Anna one of those whom it knows.
    await feeder.feed([stint(ANNA, entry=days[8])])
    assert await days_of(pool) == (0, 4)


async def test_an_exceptions_feed_enrols_nobody_by_a_mark(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(12)
    await Feeder(pool).feed([feed("exceptions"), *taught(days), *(mark(ANNA, day) for day in days)])
    await settle(pool)
    assert await days_of(pool) == (0, 0)


async def test_a_tracks_students_go_by_its_calendar_and_where_it_has_none_by_the_schools(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*taught(days), stint(ANNA, track="kindergarten"), stint(BEN), mark(ANNA, days[2])])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((1, 20), (0, 20))
    # Kindergarten begins five days late; the mark of the third day is of no school day of theirs.
    await feeder.feed([calendar(days[5:], track="kindergarten")])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((0, 15), (0, 20))


async def test_a_rehearsing_district_tells_nothing_and_each_standing_flag_once_when_it_is_live(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(24)
    await feeder.feed([status("rehearsal", 1)])
    await feeder.feed([*taught(days), stint(ANNA), stint(BEN), *(mark(ANNA, day) for day in days[:5])])
    await feeder.feed([mark(BEN, day) for day in days[:5]])
    await feeder.feed([mark(BEN, day, "tardy", version=2) for day in days[:5]])
    await settle(pool)
    assert [await published(pool, topic) for topic in ("flags", "school-months", "day-tallies")] == [[], [], []]
    assert await days_of(pool) == (5, 24)

    await feeder.feed([status("live", 2)])
    await settle(pool)
    await settle(pool)
    [flag] = await published(pool, "flags")
    assert isinstance(flag, FlagRaised)
    assert (flag.student_key, flag.days_absent, flag.days_enrolled) == (ANNA, 5, 24)
    months = told.months(await published(pool, "school-months"))
    assert months[ANNA, ("hartford", "H01"), date(2026, 9, 1)] == (4, len([day for day in days if day.month == 9]))
    assert len(told.school_days(await published(pool, "day-tallies"))) == 24


async def test_paused_clears_are_told_and_raises_wait(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*taught(days), stint(ANNA), stint(BEN), *(mark(ANNA, day) for day in days[:2])])
    await feeder.feed([status("paused", 1)])
    await feeder.feed([mark(ANNA, day, "tardy", version=2) for day in days[:2]])
    await feeder.feed([mark(BEN, day) for day in days[:2]])
    assert [type(each) for each in await published(pool, "flags")] == [FlagRaised, FlagCleared]
    await feeder.feed([status("live", 2)])
    await settle(pool)
    told_last = [each for each in await published(pool, "flags") if not isinstance(each, FlagFiguresUpdated)]
    assert [type(each) for each in told_last] == [FlagRaised, FlagCleared, FlagRaised]


async def test_last_years_facts_make_no_flag_of_this_year(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    before = school_days(20, date(2025, 9, 2))
    await Feeder(pool).feed([*taught(before), stint(ANNA, entry=before[0]), *(mark(ANNA, day) for day in before)])
    [flag] = await published(pool, "flags")
    assert isinstance(flag, FlagRaised)
    assert (flag.school_year, flag.as_of) == (2025, before[-1])
    assert (await conclusions(pool)).flags == {(ANNA, 2025): Level.SEVERELY_CHRONICALLY_ABSENT}


async def test_who_was_flagged_this_year_is_told_with_each_days_figures(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(78)
    await feeder.feed([calendar(days), stint(ANNA), *(roll(day) for day in days[:10]), mark(ANNA, days[0])])
    # 1 of 10 raised the flag, and with the eleventh day it is gone; the figures stay today's all the same.
    for day in days[10:]:
        await feeder.feed([roll(day)])
    flags = told.flags(await published(pool, "flags"))
    assert flags.standing() == {}
    assert flags.figures == {(ANNA, 2026): (1, 78)}
    assert flags.as_of == {(ANNA, 2026): days[-1]}

"""What random worlds found: rare cases, each as small as it can be, with the figure that is right."""

from datetime import date

import asyncpg
import pytest

from contracts.events import Level
from tests.component.flagging import told
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    completion,
    conclusions,
    feed,
    mark,
    policy,
    published,
    reopening,
    school_days,
    status,
    stint,
    student,
)
from tests.component.flagging.test_which_days_count import days_of, taught
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN, NUMBER = student(1), student(2), student(3)
HARTFORD = ("hartford", "H01")


async def level_of(pool: "Pool[asyncpg.Record]", year: int = 2026) -> Level:
    return (await conclusions(pool)).flags.get((ANNA, year), Level.NONE)


async def test_of_two_marks_of_one_version_the_absence_stands_by_its_parts_too(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(12)
    # 1 of 4 parts attended is an absence, whatever the category is called; tardy without parts is presence.
    two = [mark(ANNA, days[3], "in_attendance", present_parts=1, day_parts=4), mark(ANNA, days[3], "tardy")]
    await Feeder(pool).feed([*taught(days), stint(ANNA), *two])
    assert await days_of(pool) == (1, 12)


async def test_who_is_enrolled_by_marks_alone_is_judged_like_anybody(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([feed("full", school="H01", rosters=False), calendar(days, feed="full")])
    await settle(pool)
    await feeder.feed([mark(ANNA, day, "unexcused_absence" if day in days[4:9] else "in_attendance") for day in days])
    assert await days_of(pool) == (5, 20)
    assert await level_of(pool) is Level.SEVERELY_CHRONICALLY_ABSENT


async def test_a_number_that_an_enrolment_names_is_nobody_beside_the_child_without_rosters_either(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    await Feeder(pool).feed(
        [
            feed("full", school="H01", rosters=False),
            *taught(days, feed="full"),
            stint(ANNA, number_key=NUMBER),
            *(mark(NUMBER, day) for day in days[:3]),
        ]
    )
    await settle(pool)
    assert await days_of(pool) == (3, 20)
    assert await days_of(pool, NUMBER) == (0, 0)


async def test_a_day_enrolled_by_a_mark_is_laid_over_an_older_enrolment_elsewhere(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    await Feeder(pool).feed(
        [
            feed("full", school="H02", rosters=False),
            *taught(days, "H01"),
            calendar(days, school="H02", feed="full"),
            stint(ANNA, school="H01"),
            *(mark(ANNA, day, school="H02") for day in days[10:]),
        ]
    )
    await settle(pool)
    records = (await conclusions(pool)).records
    assert records[ANNA, 2026, "H01"].own == set(days[:10])
    assert records[ANNA, 2026, "H02"].own == set(days[10:])
    assert await level_of(pool) is Level.SEVERELY_CHRONICALLY_ABSENT


@pytest.mark.parametrize("other_school", ["H01", "H02"])
async def test_a_number_that_a_newer_enrolment_gives_to_another_child_leaves_the_first(
    service_database: ServiceDatabase, other_school: str
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*taught(days, "H01", "H02"), stint(ANNA, number_key=NUMBER)])
    await feeder.feed([mark(NUMBER, day) for day in days[:5]])
    assert await days_of(pool) == (5, 20)

    await feeder.feed([stint(BEN, school=other_school, number_key=NUMBER, version=2)])
    assert await days_of(pool) == (0, 20)
    assert await days_of(pool, BEN, other_school) == ((5, 20) if other_school == "H01" else (0, 20))


async def test_a_number_is_anothers_at_every_school_whatever_school_the_newest_enrolment_is_of(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*taught(days, "H01", "H02"), stint(ANNA, number_key=NUMBER, version=2)])
    await feeder.feed([stint(BEN, number_key=NUMBER, version=1), *(mark(NUMBER, day) for day in days[:5])])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((5, 20), (0, 20))

    await feeder.feed([stint(BEN, school="H02", entry=days[19], number_key=NUMBER, version=3)])
    assert (await days_of(pool), await days_of(pool, BEN)) == ((0, 20), (5, 20))


async def test_each_enrolment_goes_by_its_own_tracks_calendar(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    await Feeder(pool).feed(
        [
            *taught(days),
            calendar(days[10:15], track="seniors"),
            stint(ANNA, stint="a", exit_date=days[10]),
            stint(ANNA, stint="b", entry=days[10], track="seniors"),
        ]
    )
    assert await days_of(pool) == (0, 15)


async def test_the_policy_of_the_last_day_of_who_left_judges_them_and_not_the_schools_of_today(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(40)
    await feeder.feed([*taught(days), stint(ANNA, exit_date=days[12]), policy(1, days[20], min_enrolled_days=15)])
    await feeder.feed([mark(ANNA, day) for day in days[5:7]])
    assert await level_of(pool) is Level.CHRONICALLY_ABSENT
    await feeder.feed([mark(ANNA, days[8])])
    assert await days_of(pool) == (3, 12)
    assert await level_of(pool) is Level.SEVERELY_CHRONICALLY_ABSENT


async def test_where_each_school_counts_alone_the_first_days_are_still_those_of_the_district(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(80)
    await Feeder(pool).feed(
        [
            policy(1, date(2026, 7, 1), accumulator="school"),
            *taught(days, "H01", "H02"),
            stint(ANNA, school="H01", exit_date=days[45]),
            stint(ANNA, school="H02", entry=days[45]),
            *(mark(ANNA, day, school="H02") for day in days[46:48]),
        ]
    )
    # 2 of 35 at H02, and none in the first twenty days of the year: these were over long before.
    assert await level_of(pool) is Level.NONE


@pytest.mark.parametrize("has_calendar", [True, False])
async def test_a_month_closes_at_a_full_feed_that_only_ever_sends_marks(
    service_database: ServiceDatabase, has_calendar: bool
) -> None:
    pool = await service_database("flagging")
    days = school_days(20, date(2025, 9, 2))
    facts = [stint(ANNA, entry=days[0]), *(mark(ANNA, day, "in_attendance") for day in days)]
    if has_calendar:
        facts.append(calendar(days, feed="full"))
    await Feeder(pool).feed([feed("full", school="H01"), *facts])
    await settle(pool)
    assert await days_of(pool) == (0, 0)  # of this year
    assert told.months(await published(pool, "school-months")) == {(ANNA, HARTFORD, date(2025, 9, 1)): (0, 20)}


async def test_a_reopened_day_is_told_as_it_is_when_marks_come_after(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(5)
    await feeder.feed([calendar(days, feed="full"), stint(ANNA), stint(BEN)])
    await feeder.feed([completion(days[0], 1, feed="full"), mark(ANNA, days[0])])
    assert told.school_days(await published(pool, "day-tallies")) == {(HARTFORD, days[0]): (2, 1)}

    await feeder.feed([reopening(days[0], 2, feed="full")])
    assert told.school_days(await published(pool, "day-tallies")) == {(HARTFORD, days[0]): (1, 1)}
    await feeder.feed([mark(BEN, days[0], "tardy")])
    assert told.school_days(await published(pool, "day-tallies")) == {(HARTFORD, days[0]): (2, 1)}


async def test_what_fell_away_while_a_district_rehearsed_again_is_told_when_it_is_live(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(24)
    august = date(2026, 8, 1)
    await feeder.feed([*taught(days), stint(ANNA), stint(BEN)])
    await settle(pool)
    assert told.months(await published(pool, "school-months"))[ANNA, HARTFORD, august] == (0, 1)

    await feeder.feed([status("rehearsal", 1)])
    await feeder.feed([stint(ANNA, withdrawn=True, version=2)])
    await feeder.feed([status("live", 2)])
    await settle(pool)
    assert told.months(await published(pool, "school-months"))[ANNA, HARTFORD, august] == (0, 0)


async def test_what_comes_in_one_breath_with_going_live_is_told(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(5)
    await feeder.feed([status("paused", 1), calendar(days), stint(ANNA), completion(days[0], 1)])
    assert told.school_days(await published(pool, "day-tallies")) == {(HARTFORD, days[0]): (1, 0)}
    await feeder.feed([status("live", 2), reopening(days[0], 2)])
    await settle(pool)
    assert told.school_days(await published(pool, "day-tallies")) == {(HARTFORD, days[0]): (0, 0)}

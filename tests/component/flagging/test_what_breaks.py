"""What somebody from outside broke: odd codes, many tracks, a child who turns out younger, a district that rests."""

import json
from datetime import date
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.events import (
    Event,
    FlagCleared,
    FlagFiguresUpdated,
    FlagRaised,
    RollRecorded,
    StudentMonthsTallied,
)
from services.flagging.app import FACTS
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    conclusions,
    feed,
    mark,
    published,
    roll,
    rolls_of,
    school_days,
    status,
    stint,
    student,
)
from tests.conftest import ServiceDatabase
from tests.delivering import deliver, record

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, BEN = student(1), student(2)


async def days_of(pool: "Pool[asyncpg.Record]", who: UUID = ANNA, school: str = "H01") -> tuple[int, int]:
    """Give (absent, counted) of one record."""
    found = (await conclusions(pool)).records[who, 2026, school]
    return len(found.absent), len(found.counted)


async def missing_rolls(pool: "Pool[asyncpg.Record]", month: date) -> list[int | None]:
    """Give how many rolls a month was told to lack, each time."""
    told = await published(pool, "school-months")
    return [each.missing_rolls for each in told if isinstance(each, StudentMonthsTallied) and each.month == month]


@pytest.mark.parametrize("code", [r"north\udine", r"H\u0000", "Ünïcode", '"quoted"'])
async def test_a_school_may_be_called_as_the_door_lets_it_be_called(
    service_database: ServiceDatabase, code: str
) -> None:
    pool = await service_database("flagging")
    days = school_days(3)
    facts = [calendar(days, school=code), stint(ANNA, school=code), mark(ANNA, days[0], school=code)]
    await Feeder(pool).feed([*facts, *(roll(day, school=code) for day in days)])
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    assert await days_of(pool, school=code) == (1, 3)


@pytest.mark.parametrize(
    "students", [["0" * 30 + "------", "1" * 34 + "--"], [ANNA.hex + "    "], [str(ANNA).replace("-", "0")]]
)
async def test_what_is_no_key_makes_no_child(service_database: ServiceDatabase, students: list[str]) -> None:
    pool = await service_database("flagging")
    (good,) = rolls_of([mark(ANNA, school_days(1)[0])])
    assert isinstance(good, RollRecorded)
    fields = json.loads(good.model_dump_json())
    some = len(students)
    bad = json.dumps(fields | {"students": students, "categories": "i" * some, "versions": [1] * some})
    await deliver(pool, FACTS, [record("rolls", 0, 0, bad), record("rolls", 0, 1, good.model_dump_json())])
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 1
    assert await pool.fetchval("SELECT sum(length(codes)) FROM roll_page") == 1


async def test_a_school_may_have_as_many_tracks_as_it_likes(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    everybody = [student(n) for n in range(300)]
    await Feeder(pool).feed(
        [
            calendar(days),
            *(roll(day) for day in days),
            *(stint(who, track=f"room {n}") for n, who in enumerate(everybody)),
            *(calendar(days[:5], track=f"room {n}") for n in (254, 255, 299)),
        ]
    )
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    counted = {n: (await days_of(pool, everybody[n]))[1] for n in (0, 253, 254, 255, 299)}
    assert counted == {0: 20, 253: 20, 254: 5, 255: 5, 299: 5}


async def test_a_child_who_turns_out_to_be_in_kindergartens_year_before_has_no_days_to_tell(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(21)
    await feeder.feed([calendar(days), stint(ANNA), *(mark(ANNA, day) for day in days[:4])])
    await feeder.feed([roll(day) for day in days[:20]])
    await feeder.feed([stint(ANNA, grade="PK", version=2)])
    await feeder.feed([roll(days[20])])
    told = await published(pool, "flags")
    assert [type(each) for each in told[:2]] == [FlagRaised, FlagCleared]
    later = [each for each in told[2:] if isinstance(each, FlagFiguresUpdated)]
    assert {(each.days_absent, each.days_enrolled) for each in later} <= {((0,), (0,))}


async def test_while_a_district_rests_figures_go_on_and_raises_wait(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(30)
    await feeder.feed([calendar(days), stint(ANNA), *(mark(ANNA, day) for day in days[22:25])])
    await feeder.feed([roll(day) for day in days[:25]])
    await feeder.feed([status("paused", 1)])
    await feeder.feed([*(mark(ANNA, day) for day in days[25:]), *(roll(day) for day in days[25:])])
    raised, figures = await published(pool, "flags")
    assert isinstance(raised, FlagRaised)
    assert isinstance(figures, FlagFiguresUpdated)
    assert (figures.levels, figures.days_absent, figures.days_enrolled) == ((raised.level,), (8,), (30,))


async def test_a_month_says_anew_how_many_rolls_it_lacks_though_nobodys_day_moves(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = [day for day in school_days(40) if day.month in (8, 9, 10)]
    september = [day for day in days if day.month == 9]
    marks: list[Event] = [mark(ANNA, day, "in_attendance") for day in days]
    await feeder.feed([calendar(days, feed="full"), stint(ANNA), *marks])
    await feeder.feed([roll(day, feed="full") for day in days if day != september[3]])
    await settle(pool)
    assert await missing_rolls(pool, date(2026, 9, 1)) == [1]
    await feeder.feed([roll(september[3], feed="full")])
    assert await missing_rolls(pool, date(2026, 9, 1)) == [1, 0]


async def test_a_full_feed_without_calendar_and_completions_closes_by_the_days_it_sends(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(12)
    facts = [mark(BEN, day, "in_attendance") for day in days]
    await Feeder(pool).feed([feed("full", closing="third_school_day"), stint(ANNA), stint(BEN), *facts])
    await settle(pool)
    assert await days_of(pool) == (0, 9)  # the last three days wait for the third day after


async def test_two_districts_uploads_with_one_receipt_are_two(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    receipt, day = uuid4(), school_days(1)[0]
    await Feeder(pool).feed([mark(ANNA, day, receipt=receipt), mark(BEN, day, receipt=receipt, district="windham")])
    first, second = await published(pool, "receipt-progress")
    assert first.event_id != second.event_id


async def test_whoever_is_judged_before_all_schools_were_carried_over_is_judged_on_all_of_them(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    before, days = school_days(20, date(2025, 9, 2)), school_days(20)
    await feeder.feed([calendar(before, school="H01"), *(roll(day, school="H01") for day in before)])
    await feeder.feed([calendar(days, school="H02"), *(roll(day, school="H02") for day in days)])
    await feeder.feed([stint(ANNA, school="H01", entry=before[0], exit_date=before[-1]), mark(ANNA, before[0])])
    await feeder.feed([stint(ANNA, school="H02"), *(mark(ANNA, day, school="H02") for day in days[:3])])
    # As a database of before is when the first batch comes: roll pages and members, and no page of any register.
    await pool.execute("UPDATE school_year SET is_stale = true")
    await pool.execute("DELETE FROM register_page")
    await feeder.feed([mark(ANNA, days[5], school="H02")])
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    await settle(pool)
    assert await pool.fetchval("SELECT count(*) FROM school_year WHERE is_stale") == 0
    assert await days_of(pool, school="H02") == (4, 20)
    # And of fifty-one school years, the timer's first look at fifty needs the last.
    many = [calendar(before, school=f"S{n:02}") for n in range(51)]
    await feeder.feed(
        [*many, stint(BEN, school="S00", entry=before[0], stint="a"), stint(BEN, school="H02", stint="b")]
    )
    await feeder.feed(
        [*(roll(day, school="S00") for day in before), *(mark(BEN, day, school="S00") for day in before[:4])]
    )
    await pool.execute("UPDATE school_year SET is_stale = true")
    await pool.execute("DELETE FROM register_page")
    await settle(pool)
    assert await pool.fetchval("SELECT count(*) FROM school_year WHERE is_stale") == 0

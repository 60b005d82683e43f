"""What goes to and comes from PostgreSQL by position arrives under its own name."""

from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from contracts.events import Category
from services.flagging.rules.absence import is_absent
from services.flagging.rules.page import STUDENTS_ON_A_PAGE
from services.flagging.rules.rolls import CODE_OF, FIRST_ABSENT, Mark
from services.flagging.store import reads, rolls
from services.flagging.store.flags import Flag, read
from services.flagging.store.rolls import RollKey
from services.flagging.store.rosters import Member, Stint, members_of, stints_of
from tests.component.flagging.builders import Feeder, calendar, mark, retraction, roll, school_days, stint, student
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA = student(1)
DAY = date(2026, 9, 8)


async def marks(pool: "Pool[asyncpg.Record]", day: date = DAY, school: str = "H01") -> dict[UUID, Mark]:
    """Read the standing marks of a school's first register page."""
    async with pool.acquire() as connection:
        pages = await rolls.read_pages(connection, [RollKey("hartford", school, day, 0)])
    return {UUID(bytes=key): each for page in pages.values() for key, each in page.marks.items()}


@pytest.mark.parametrize("as_rolls", [True, False])
async def test_every_part_of_a_mark_is_stored_as_what_it_is(service_database: ServiceDatabase, as_rolls: bool) -> None:
    pool = await service_database("flagging")
    told = mark(ANNA, DAY, "tardy", school="H07", version=71, present_parts=193, day_parts=387)
    await Feeder(pool, as_rolls=as_rolls).feed([told, mark(student(2), DAY, school="H07")])
    assert await marks(pool, school="H07") == {ANNA: Mark(71, 2, 193, 387), student(2): Mark(1, 9)}
    async with pool.acquire() as connection:
        assert await reads.marks_of(connection, ANNA, 2026) == {DAY: {"H07": Mark(71, 2, 193, 387)}}


@pytest.mark.parametrize("as_rolls", [True, False])
async def test_a_category_is_stored_as_its_number_and_missed_as_the_rule_says(
    service_database: ServiceDatabase, as_rolls: bool
) -> None:
    pool = await service_database("flagging")
    days = dict(zip(Category, school_days(len(Category)), strict=True))
    taken_back = school_days(len(Category) + 1)[-1]
    await Feeder(pool, as_rolls=as_rolls).feed(
        [
            stint(ANNA),
            calendar([*days.values(), taken_back], feed="full"),
            *(mark(ANNA, day, category.value) for category, day in days.items()),
            mark(ANNA, taken_back),
            retraction(ANNA, taken_back),
        ]
    )
    assert {category: (await marks(pool, day))[ANNA].code for category, day in days.items()} == {
        category: CODE_OF[category.value] for category in Category
    }
    assert (await marks(pool, taken_back))[ANNA].code == 0
    async with pool.acquire() as connection:
        (part,) = await reads.parts_of(connection, ANNA, 2026)
    for category, day in days.items():
        bit = 1 << (day - date(2026, 7, 1)).days
        assert part.days.counted & bit
        missed = is_absent(category=category.value, present_parts=None, day_parts=None)
        assert bool(part.days.absent & bit) is missed, category


async def test_of_two_marks_that_tie_the_absence_stands(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    for who, first, second in (
        (student(1), "alternative_education", "excused_absence"),
        (student(2), "expulsion", "in_attendance"),
    ):
        await feeder.feed([mark(who, DAY, first), mark(who, DAY, second)])
        stored = (await marks(pool))[who].code
        assert stored == max(CODE_OF[first], CODE_OF[second]) >= FIRST_ABSENT


async def test_what_is_read_as_a_tuple_has_its_fields_in_order(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    fields: dict[str, Any] = {"household_key": student(7), "person_key": student(8), "number_key": student(9)}
    enrolled = stint(ANNA, exit_date=days[19], exit_day_counts=True, track="seniors", version=5, **fields)
    missed = [mark(ANNA, day) for day in days[:5]]
    await Feeder(pool).feed([calendar(days), enrolled, *missed, *(roll(day) for day in days)])
    async with pool.acquire() as connection:
        (found,) = (await stints_of(connection, [ANNA]))[ANNA]
        (member,) = (await members_of(connection, [ANNA]))[ANNA]
        flag = (await read(connection, [ANNA]))[ANNA, 2026]
    assert found == Stint(
        ANNA, "stint-H01", "hartford", "H01", student(8), student(7), student(9), "4", "seniors", days[0], days[19],
        True, False, 5,
    )  # fmt: skip
    assert member == Member(ANNA, 2026, "H01", "hartford", 0, days[0], "4", student(7), student(8))
    absent = sum(1 << (day - date(2026, 7, 1)).days for day in days[:5]).to_bytes(46, "little")
    assert flag == Flag(ANNA, 2026, "hartford", "H01", student(7), 3, flag.version, 5, 20, days[19], 0, absent)


async def test_a_school_of_several_pages_keeps_everybody_in_their_place(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(3)
    everybody = [student(n) for n in range(3 * STUDENTS_ON_A_PAGE + 5)]
    feeder = Feeder(pool)
    await feeder.feed([calendar(days), *(stint(who) for who in everybody[:-1])], batch=50)
    await feeder.feed([roll(day) for day in days])
    await feeder.feed([mark(who, days[n % 3]) for n, who in enumerate(everybody)], batch=7)
    async with pool.acquire() as connection:
        for n, who in enumerate(everybody[:-1]):
            (part,) = await reads.parts_of(connection, who, 2026)
            assert part.days.absent == 1 << (days[n % 3] - date(2026, 7, 1)).days
            assert part.days.counted.bit_count() == 3
    assert await pool.fetchval("SELECT count(*) FROM register_page") == 4

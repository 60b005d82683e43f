"""What goes to and comes from PostgreSQL by position arrives under its own name."""

from datetime import date
from typing import Any

import pytest

from contracts.events import Category
from services.flagging.rules.absence import is_absent
from services.flagging.store.marks_sql import APPLY_MARKS, APPLY_MARKS_OF_UPLOADS, CATEGORY_CODES, FIRST_ABSENT_CODE
from services.flagging.store.school_sql import APPLY_CALENDARS, APPLY_ENROLLMENTS, APPLY_ROLLS, REBUILD, RECORD_ROLLS
from services.flagging.store.writes import Candidate, SchoolYear, StudentYear
from tests.component.flagging.builders import Feeder, mark, retraction, school_days, student
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = student(1)
DAY = date(2026, 9, 8)


async def test_every_part_of_a_mark_is_stored_as_what_it_is(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed([mark(ANNA, DAY, "tardy", school="H07", version=71, present_parts=193, day_parts=387)])
    stored = dict((await pool.fetch("SELECT * FROM mark"))[0])
    assert stored == {
        "student_key": ANNA,
        "school_day": DAY,
        "school": "H07",
        "district": "hartford",
        "category": 2,
        "present_parts": 193,
        "day_parts": 387,
        "source_version": 71,
    }


async def test_a_category_is_stored_as_its_number_and_missed_as_the_rule_says(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = dict(zip(Category, school_days(len(Category)), strict=True))
    taken_back = school_days(len(Category) + 1)[-1]
    await Feeder(pool).feed(
        [
            *(mark(ANNA, day, category.value) for category, day in days.items()),
            mark(ANNA, taken_back),
            retraction(ANNA, taken_back),
        ]
    )

    stored = {row["school_day"]: row["category"] for row in await pool.fetch("SELECT school_day, category FROM mark")}
    assert stored == {day: CATEGORY_CODES[category.value] for category, day in days.items()} | {taken_back: 0}
    missed = await pool.fetchval("SELECT missed::text FROM absence_record")
    assert {day for day in stored if missed[(day - date(2026, 7, 1)).days] == "1"} == {
        day for category, day in days.items() if is_absent(category=category.value, present_parts=None, day_parts=None)
    }


async def test_of_two_marks_that_tie_the_absence_stands(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    for who, first, second in (
        (student(1), "alternative_education", "excused_absence"),
        (student(2), "expulsion", "in_attendance"),
    ):
        await Feeder(pool).feed([mark(who, DAY, first), mark(who, DAY, second)])
        stored = await pool.fetchval("SELECT category FROM mark WHERE student_key = $1", who)
        assert stored == max(CATEGORY_CODES[first], CATEGORY_CODES[second]) >= FIRST_ABSENT_CODE


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        (APPLY_MARKS, Candidate),
        (APPLY_MARKS_OF_UPLOADS, Candidate),
        (APPLY_ROLLS, Candidate),
        (REBUILD, Candidate),
        (APPLY_CALENDARS, SchoolYear),
        (RECORD_ROLLS, SchoolYear),
        (APPLY_ENROLLMENTS, StudentYear),
    ],
)
async def test_a_statement_returns_the_fields_of_its_row_in_their_order(
    service_database: ServiceDatabase, statement: str, row: Any
) -> None:
    pool = await service_database("flagging")
    async with pool.acquire() as connection:
        prepared = await connection.prepare(statement)
        assert tuple(column.name for column in prepared.get_attributes()) == row._fields

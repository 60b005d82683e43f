"""One child, two numbers: marks by the district's and by the state's are the same child's (cases from outside)."""

from typing import Any

import asyncpg
import pytest

from contracts.events import FlagFiguresUpdated, Level
from tests.component.flagging.asking import ask
from tests.component.flagging.builders import (
    Feeder,
    conclusions,
    mark,
    published,
    retraction,
    school_days,
    stint,
    student,
)
from tests.component.flagging.test_which_days_count import days_of, taught
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA, STATES = student(1), student(51)


@pytest.mark.parametrize("marks_come_first", [False, True])
@pytest.mark.parametrize("as_rolls", [False, True])
async def test_marked_by_the_states_number_the_child_has_18_of_180_and_there_is_no_ghost(
    service_database: ServiceDatabase, marks_come_first: bool, as_rolls: bool
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool, as_rolls=as_rolls)
    days = school_days(180)
    marks = [mark(STATES, day) for day in days[:180:10]]
    enrolment = [stint(ANNA, number_key=STATES)]
    for facts in (marks, enrolment) if marks_come_first else (enrolment, marks):
        await feeder.feed(facts)
    await feeder.feed(taught(days))

    assert await days_of(pool) == (18, 180)
    assert await days_of(pool, STATES) == (0, 0)
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.CHRONICALLY_ABSENT}
    told = [each for each in await published(pool, "flags") if not isinstance(each, FlagFiguresUpdated)]
    assert {getattr(each, "student_key", None) for each in told} == {ANNA}
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    assert answer["sentence"] == "Absent on 18 of 180 enrolled days: 10 % or more."


@pytest.mark.parametrize("taken_back_by", [{"withdrawn": True}, {"number_key": None}, {"number_key": student(52)}])
async def test_a_join_taken_back_gives_the_marks_back(
    service_database: ServiceDatabase, taken_back_by: dict[str, Any]
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    mine = mark(ANNA, days[0])
    await feeder.feed([*taught(days), stint(ANNA, number_key=STATES), stint(ANNA, stint="other")])
    await feeder.feed([mine, *(mark(STATES, day) for day in days[1:6])])
    assert await days_of(pool) == (6, 20)

    await feeder.feed([stint(ANNA, version=2, **({"number_key": STATES} | taken_back_by))])
    assert await days_of(pool) == (1, 20)
    # Whose enrolment comes to name the number, or has it for its own, has the marks.
    await feeder.feed([stint(STATES, stint="states")])
    assert await days_of(pool, STATES) == (5, 20)


async def test_of_two_marks_of_a_day_the_newest_stands_and_of_equal_ones_the_absence(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    await Feeder(pool).feed(
        [
            *taught(days),
            stint(ANNA, number_key=STATES),
            # Newer presence, newer absence, equal versions either way, and one taken back later.
            *(mark(ANNA, days[0]), mark(STATES, days[0], "tardy", version=2)),
            *(mark(ANNA, days[1], "tardy"), mark(STATES, days[1], version=2)),
            *(mark(ANNA, days[2]), mark(STATES, days[2], "tardy")),
            *(mark(ANNA, days[3], "tardy"), mark(STATES, days[3])),
            *(mark(ANNA, days[4]), retraction(STATES, days[4], version=2)),
        ],
        batch=3,
    )
    record = (await conclusions(pool)).records[ANNA, 2026, "H01"]
    assert record.absent == set(days[1:4])
    assert len(record.counted) == 20


async def test_a_number_stays_the_childs_at_one_school_while_another_childs_is_settled_there(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    ben, bens = student(2), student(52)
    await feeder.feed([*taught(days, "H01", "H02"), stint(ben, number_key=bens)])
    await feeder.feed([stint(ANNA, school=school, number_key=STATES) for school in ("H01", "H02")])
    await feeder.feed([mark(STATES, days[0], school="H01"), mark(STATES, days[0], school="H02"), mark(bens, days[0])])
    # One batch asks whose Anna's number is at the one school, and whose Ben's is at the other.
    await feeder.feed([mark(STATES, days[1], school="H02"), mark(bens, days[1])])
    await feeder.feed([mark(STATES, days[2], school="H01")])
    records = (await conclusions(pool)).records
    assert records[ANNA, 2026, "H01"].absent == {days[0], days[2]}
    assert records[ben, 2026, "H01"].absent == {days[0], days[1]}

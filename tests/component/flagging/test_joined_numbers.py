"""One child, two numbers: marks by the district's and by the state's are the same child's (cases from outside)."""

import itertools
from typing import Any

import asyncpg
import pytest

from contracts.events import FlagChanged, FlagCleared, FlagFiguresUpdated, FlagRaised, Level, StudentMonthsTallied
from tests.component.flagging import told
from tests.component.flagging.asking import ask, settle
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


async def flags_told(pool: "Pool[asyncpg.Record]") -> set[Any]:
    """Name everybody of whom a crossing was told."""
    told = await published(pool, "flags")
    return {each.student_key for each in told if isinstance(each, FlagRaised | FlagChanged | FlagCleared)}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_stints_with_either_number_are_the_same_childs(
    service_database: ServiceDatabase, order: tuple[int, ...]
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(40)
    first: dict[str, Any] = {"stint": "first", "exit_date": days[20]}
    facts = (
        # Twenty days at the one school with both numbers; since then at the other, which knows the state's alone.
        [stint(ANNA, number_key=STATES, **first)],
        [stint(STATES, school="H02", stint="second", entry=days[20], grade="5", household_key=student(99))],
        [*(mark(ANNA, day) for day in days[:2]), *(mark(STATES, day, school="H02") for day in days[20:22])],
    )
    for part in order:
        await feeder.feed(facts[part])
    await feeder.feed(taught(days, "H01", "H02"))

    concluded = await conclusions(pool)
    assert {key: (len(of.absent), len(of.counted)) for key, of in concluded.records.items()} == {
        (ANNA, 2026, "H01"): (2, 20), (ANNA, 2026, "H02"): (2, 20),
    }  # fmt: skip
    assert concluded.flags == {(ANNA, 2026): Level.CHRONICALLY_ABSENT}
    assert await flags_told(pool) == {ANNA}
    raised = [each for each in await published(pool, "flags") if isinstance(each, FlagRaised)][-1]
    assert (raised.school, raised.days_absent, raised.days_enrolled) == ("H02", 4, 40)
    assert raised.household_key == student(99)
    await settle(pool)
    months = told.months(await published(pool, "school-months"))
    assert {who for who, *_ in months} == {ANNA}
    entered = {
        each.school: each.entered
        for each in await published(pool, "school-months")
        if isinstance(each, StudentMonthsTallied)
    }
    assert entered == {"H01": (days[0],), "H02": (days[20],)}
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    assert answer["sentence"] == "Absent on 4 of 40 enrolled days: 10 % or more."


async def test_a_stint_of_the_states_number_is_its_own_again_when_the_join_is_taken_back(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*taught(days, "H01", "H02"), *(mark(STATES, day, school="H02") for day in days[:5])])
    await feeder.feed([stint(STATES, school="H02", stint="states")])
    assert await days_of(pool, STATES, "H02") == (5, 20)
    assert await flags_told(pool) == {STATES}

    # The flag of the number goes over to the child: there is no ghost, and nobody flagged twice.
    await feeder.feed([stint(ANNA, stint="annas", number_key=STATES)])
    assert (await days_of(pool, STATES, "H02"), await days_of(pool, ANNA, "H02")) == ((0, 0), (5, 20))
    assert (await conclusions(pool)).flags == {(ANNA, 2026): Level.SEVERELY_CHRONICALLY_ABSENT}

    await feeder.feed([stint(ANNA, stint="annas", version=2)])
    assert (await days_of(pool, STATES, "H02"), await days_of(pool, ANNA, "H02")) == ((5, 20), (0, 0))
    assert await days_of(pool) == (0, 20)
    assert (await conclusions(pool)).flags == {(STATES, 2026): Level.SEVERELY_CHRONICALLY_ABSENT}


@pytest.mark.parametrize("both_numbers_last", [True, False])
async def test_one_stint_told_with_one_number_and_with_both_is_one_and_its_newest_version_stands(
    service_database: ServiceDatabase, both_numbers_last: bool
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(30)
    alone = stint(STATES, stint="a", school="H02")
    both = stint(ANNA, stint="a", version=2, entry=days[10], number_key=STATES)
    for fact in (alone, both) if both_numbers_last else (both, alone):
        await feeder.feed([fact])
    await feeder.feed(taught(days, "H01", "H02"))
    records = (await conclusions(pool)).records
    assert {key: len(of.counted) for key, of in records.items()} == {(ANNA, 2026, "H01"): 20}
    # Told again with the state's number alone, and newer: it is at the other school after all.
    await feeder.feed([stint(STATES, stint="a", school="H02", version=3), stint(ANNA, stint="b", number_key=STATES)])
    records = (await conclusions(pool)).records
    assert {key: len(of.counted) for key, of in records.items()} == {(ANNA, 2026, "H01"): 30, (ANNA, 2026, "H02"): 30}

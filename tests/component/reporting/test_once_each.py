"""A student counts once in a district, a person once in the state: held against days counted one by one."""

import random
from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from contracts import events
from services.reporting.rules.closing import Closed
from services.reporting.store import student_months
from tests.component.reporting.conftest import ReportingWorld as World
from tests.component.reporting.counted_students import (
    END,
    FIRST_DAY,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Child,
    Stint,
    a_world,
    counted,
    tallied,
)
from tests.component.reporting.tallied import Month, months
from tests.component.visit_events import student

JULY = date(2026, 7, 1)
MAY_MISS = frozenset({date(2026, 9, day) for day in (1, 2, 3)})


async def by_school(world: World, month: date) -> Counter[tuple[str, str, str, str]]:
    async with world.pool.acquire() as connection:
        lines = await student_months.chronic(connection, Closed(JULY, month, END[month]))
    found: Counter[tuple[str, str, str, str]] = Counter()
    for line in lines:
        for figure in ("students", "chronic"):
            found[line["district"], line["school"], line["grade"], figure] += line[figure]
    return +found


async def by_state(world: World, month: date) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for line in await persons(world, month):
        for figure in ("students", "chronic"):
            found[line["grade"], figure] += line[figure]
    return +found


async def persons(world: World, month: date = NOVEMBER) -> list[dict[str, Any]]:
    async with world.pool.acquire() as connection:
        return await student_months.persons(connection, Closed(JULY, month, END[month]))


async def tell(world: World, happened: list[events.StudentMonthsTallied], chance: random.Random) -> None:
    """In any order, in batches of any size."""
    chance.shuffle(happened)
    records = [world.record("school-months", each) for each in happened]
    while records:
        size = chance.randint(1, 200)
        await world.deliver_records(records[:size])
        records = records[size:]


@pytest.mark.parametrize("seed", range(6))
async def test_schools_districts_and_the_state_are_as_days_counted_one_by_one_say(world: World, seed: int) -> None:
    chance = random.Random(seed)
    children = a_world(chance, children=150)
    await tell(world, [each for child in children for each in tallied(child, version=1)], chance)
    for month, as_of in END.items():
        expected = counted(children, as_of=as_of)
        assert await by_school(world, month) == expected.by_school, month
        assert await by_state(world, month) == expected.by_state, month


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_corrected_later_moves_children_and_persons(world: World, seed: int) -> None:
    chance = random.Random(seed)
    children = a_world(chance, children=100)
    corrected = [
        replace(
            child,
            person=chance.choice((None, child.person, 50)) if chance.random() < 0.3 else child.person,
            absent=frozenset(day for day in child.absent if chance.random() < 0.8),
            grade=chance.choice((child.grade, "5")),
        )
        for child in children
    ]
    told = [each for child in children for each in tallied(child, version=1)]
    await tell(world, told + [each for child in corrected for each in tallied(child, version=2)], chance)
    for month, as_of in END.items():
        expected = counted(corrected, as_of=as_of)
        assert await by_school(world, month) == expected.by_school, month
        assert (await by_state(world, month)).total() == expected.by_state.total(), month


def mover(first: Stint, *later: Stint) -> Child:
    return Child(
        key=student(1), district="hartford", grade="3", stints=(first, *later), absent=MAY_MISS | {date(2026, 10, 1)}
    )


@pytest.mark.parametrize(
    ("stints", "school"),
    [
        # The two Octobers look alike: five days at one school and seventeen at the other.
        ((("H01", date(2026, 9, 1), date(2026, 10, 24)), ("H03", date(2026, 10, 24), None)), "H03"),
        ((("H03", date(2026, 9, 1), date(2026, 9, 8)), ("H01", date(2026, 9, 8), None)), "H01"),
        # Entered on the last days of the month, before a day was taught: at that school, with the district's days.
        ((("H01", date(2026, 9, 1), date(2026, 10, 31)), ("H03", date(2026, 10, 31), None)), "H03"),
        ((("H01", date(2026, 9, 1), None), ("H03", date(2026, 10, 20), None)), "H03"),
    ],
)
async def test_a_mover_is_listed_by_the_school_entered_last_with_all_days(
    world: World, stints: tuple[tuple[str, date, date | None], ...], school: str
) -> None:
    child = mover(*(Stint(school=s, entry=e, exit=x, stint=str(n)) for n, (s, e, x) in enumerate(stints)))
    await world.deliver("school-months", *tallied(child, version=1))
    assert await by_school(world, OCTOBER) == {("hartford", school, "3", "students"): 1}
    assert child.days(until=END[OCTOBER]) == (44, 4)


async def test_months_told_before_entries_were_go_by_the_newest_month(world: World) -> None:
    """Nobody told the entry: who was at one school from September on and at both in October has moved to the other."""
    await world.deliver(
        "school-months",
        months(Month(1, 20, 2), month=SEPTEMBER),
        months(Month(1, 17, 1), month=OCTOBER),
        months(Month(1, 5, 0), month=OCTOBER, school="H02"),
    )
    assert await by_school(world, OCTOBER) == {("hartford", "H02", "3", "students"): 1}
    assert await by_school(world, SEPTEMBER) == {
        ("hartford", "H01", "3", "students"): 1, ("hartford", "H01", "3", "chronic"): 1,
    }  # fmt: skip


def in_two_districts(person: int | None, other: int | None) -> tuple[events.Event, events.Event]:
    """1 of 20 days missed in Hartford, then 4 of 20 in Danbury: 5 of 40."""
    return (
        months(Month(1, 20, 1, person, "3", FIRST_DAY), version=10),
        months(Month(1001, 20, 4, other, "6", date(2026, 10, 1)), version=10, district="danbury", month=OCTOBER),
    )


async def test_the_state_counts_a_mover_once_with_the_days_of_both_districts(world: World) -> None:
    await world.deliver("school-months", *in_two_districts(7, 7))
    assert await by_state(world, OCTOBER) == {("6", "students"): 1, ("6", "chronic"): 1}
    (line,) = await persons(world)
    assert (line["joined"], line["grades"]) == (1, ["3", "6"])


async def test_ten_days_in_two_districts_together_are_enough_for_the_state(world: World) -> None:
    await world.deliver(
        "school-months",
        months(Month(1, 6, 1, 7)),
        months(Month(1001, 4, 0, 7), district="danbury", month=OCTOBER),
    )
    assert await by_school(world, OCTOBER) == {}
    assert await by_state(world, OCTOBER) == {("3", "students"): 1, ("3", "chronic"): 1}


async def test_without_a_number_each_stands_for_themselves(world: World) -> None:
    await world.deliver("school-months", *in_two_districts(None, None))
    assert await by_state(world, OCTOBER) == {("3", "students"): 1, ("6", "students"): 1, ("6", "chronic"): 1}


@pytest.mark.parametrize("of_which", ["the same month", "another month"])
async def test_a_number_taken_back_parts_the_two_and_one_sent_later_joins_them(world: World, of_which: str) -> None:
    """The newest word about a student's months says whose they are, whichever month it is about."""
    await world.deliver("school-months", *in_two_districts(7, 7))
    month = OCTOBER if of_which == "the same month" else NOVEMBER
    entered = date(2026, 10, 1)
    again = {"district": "danbury", "month": month}
    await world.deliver("school-months", months(Month(1001, 20, 4, None, "6", entered), version=11, **again))
    assert (await by_state(world, NOVEMBER))["3", "students"] == 1
    await world.deliver("school-months", months(Month(1001, 20, 4, 7, "6", entered), version=12, **again))
    assert (await by_state(world, NOVEMBER))["3", "students"] == 0

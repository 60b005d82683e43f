"""Months, days and figures by the school: newest version first, in whatever order and on whichever topic they come."""

import itertools
import json
from datetime import date
from typing import Any

import pytest

from contracts import events
from services.reporting.app import EVENTS
from services.runtime.delivery.subscription import Undecodable
from tests.component.reporting.conftest import ReportingWorld as World
from tests.component.reporting.tallied import Month, figures, months, person, whole_day
from tests.component.reporting.test_projections import NEWER, month, school_day
from tests.component.visit_events import DISTRICT, flag, student
from tests.delivering import record


async def counts(world: World) -> Any:
    return await world.told("/v1/counts", "ops")


async def the_month(world: World, number: int) -> tuple[int, int, Any]:
    row = await world.pool.fetchrow(
        "SELECT days_enrolled, days_absent, person_key FROM student_month WHERE student_key = $1", student(number)
    )
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_students_newest_flag_stands_whichever_topic_it_came_by(world: World, order: tuple[int, ...]) -> None:
    told: list[tuple[str, events.Event]] = [
        ("absence-flags", flag(1, version=1, level="at_risk")),
        ("absence-flags", flag(1, version=2, level="chronically_absent")),
        ("flags", flag(1, version=NEWER, level="none")),
    ]
    for place in order:
        await world.deliver(*told[place])
    assert (await counts(world))["students_flagged_now"] == 0
    assert (await counts(world))["students_ever_flagged"] == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_a_whole_day_stands_before_every_part_of_it(world: World, order: tuple[int, ...]) -> None:
    told: list[tuple[str, events.Event]] = [
        ("school-days", school_day(0, version=9, absent=4)),
        ("school-days", school_day(7, version=9, absent=2)),
        ("day-tallies", whole_day(version=1, counted=40, absent=3)),
        ("day-tallies", whole_day(version=2, counted=41, absent=5)),
    ]
    for place in order:
        await world.deliver(*told[place])
    found = await counts(world)
    assert (found["school_days"], found["student_days_counted"], found["student_days_absent"]) == (1, 41, 5)


async def test_parts_of_a_day_are_added_while_no_whole_one_is_known(world: World) -> None:
    await world.deliver("school-days", *(school_day(part, version=1, absent=2) for part in (0, 7)))
    await world.deliver("day-tallies", whole_day(version=1, absent=1, school="H02"))
    found = await counts(world)
    assert (found["school_days"], found["student_days_absent"]) == (2, 2 + 2 + 1)


@pytest.mark.parametrize("together", [True, False])
async def test_of_two_equal_versions_the_later_record_stands(world: World, together: bool) -> None:
    days: list[tuple[str, events.Event]] = [
        ("day-tallies", whole_day(version=NEWER, absent=absent)) for absent in (7, 3)
    ]
    tallied: list[tuple[str, events.Event]] = [
        ("school-months", months(Month(1, absent=absent), version=NEWER, missing_rolls=absent)) for absent in (7, 3)
    ]
    records = [world.record(topic, event) for topic, event in (*days, *tallied)]
    for batch in [records] if together else [[each] for each in records]:
        await world.deliver_records(batch)
    assert (await counts(world))["student_days_absent"] == 3
    assert (await the_month(world, 1))[:2] == (20, 3)
    assert await world.pool.fetchval("SELECT missing_rolls FROM school_month") == 3


@pytest.mark.parametrize("first", ["single", "columns"])
async def test_a_month_told_by_the_school_replaces_the_one_told_by_the_student(world: World, first: str) -> None:
    told: list[tuple[str, events.Event]] = [
        ("student-months", month(1, version=3, days_absent=9)),
        ("school-months", months(Month(1, absent=2, person=5), Month(2), version=NEWER)),
    ]
    for topic, event in told if first == "single" else reversed(told):
        await world.deliver(topic, event)
    assert await the_month(world, 1) == (20, 2, person(5))
    assert (await counts(world))["student_months"] == 2


async def test_a_correction_of_one_student_leaves_the_others_as_they_are(world: World) -> None:
    await world.deliver("school-months", months(*(Month(n, absent=n) for n in range(1, 6)), version=NEWER))
    await world.deliver("school-months", months(Month(3, absent=0, person=9), version=NEWER + 1))
    await world.deliver("school-months", months(Month(3, absent=1), version=NEWER - 1))
    assert [(await the_month(world, n))[1] for n in range(1, 6)] == [1, 2, 0, 4, 5]
    assert (await the_month(world, 3))[2] == person(9)


@pytest.mark.parametrize("figures_first", [True, False])
async def test_a_flagged_student_counts_where_and_as_the_figures_say(world: World, figures_first: bool) -> None:
    told = [flag(1, version=NEWER, level="chronically_absent"), figures((1,), version=NEWER + 1, school="H02")]
    for event in reversed(told) if figures_first else told:
        await world.deliver("flags", event)
    rows = await world.pool.fetch("SELECT school, level FROM flag_today")
    assert [tuple(row) for row in rows] == [("H02", "at_risk")]
    # A crossing is newer than the figures of the day before.
    await world.deliver("flags", flag(1, version=NEWER + 2, school="H02", level="none"))
    assert (await counts(world))["students_flagged_now"] == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("persons", [None]),
        ("students", ["no key", "no key"]),
        ("days_absent", [1, 367]),
        ("grades", ["3", "Wren Madeupton"]),
        ("month", "2026-02-30"),
        ("school", "H\u0000"),
        ("version", 2**63),
    ],
)
def test_months_that_break_the_contract_are_refused_without_saying_what_stood_there(column: str, value: Any) -> None:
    whole = json.loads(months(Month(1), Month(2)).model_dump_json())
    with pytest.raises(Undecodable) as refusal:
        EVENTS.decode(record("school-months", 0, 0, json.dumps({**whole, column: value})))
    assert "Madeupton" not in refusal.value.detail


async def test_a_school_month_knows_its_newest_missing_rolls(world: World) -> None:
    await world.deliver("student-months", month(1, version=1, days_absent=1, missing_rolls=4))
    await world.deliver("school-months", months(Month(1), version=NEWER, missing_rolls=None))
    await world.deliver("school-months", months(Month(2), version=NEWER + 1, missing_rolls=2, month=date(2026, 10, 1)))
    rows = await world.pool.fetch("SELECT district, school, month, missing_rolls FROM school_month ORDER BY month")
    assert [tuple(row) for row in rows] == [
        (DISTRICT, "H01", date(2026, 9, 1), None),
        (DISTRICT, "H01", date(2026, 10, 1), 2),
    ]

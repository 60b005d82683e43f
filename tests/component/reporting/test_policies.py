"""A district's own pages go by its own policy, labelled; the state's and all published tables by the standard one."""

import csv
import io
import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts import events
from services.reporting.rules.sixes import told_alone
from services.runtime import clock
from tests.component.reporting.conftest import ReportingWorld
from tests.component.reporting.tallied import Month, months, whole_day
from tests.component.reporting.test_published import moved_to, released
from tests.component.visit_events import DISTRICT, MORNING, flag, student

SEPTEMBER = date(2026, 9, 1)
DAYS = range(8, 18)


@pytest.fixture(autouse=True)
def _mid_november(tmp_path: Path) -> Iterator[None]:
    clock.use(moved_to(datetime(2026, 11, 20, 17, 0, tzinfo=UTC), tmp_path))
    yield
    clock.use(None)


def decided(version: int, minimum: int, effective_from: date, **fields: Any) -> events.DistrictPolicyDecided:
    return events.DistrictPolicyDecided.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "district-policy.decided.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "version": version,
            "effective_from": effective_from,
            "absence": {"min_enrolled_days": minimum},
        }
        | fields
    )


async def enrolled_8_to_17_days(world: ReportingWorld, month: date = SEPTEMBER) -> None:
    told = [Month(student(100 + n), n, n) for n in DAYS]
    await world.deliver("school-months", months(*told, month=month, version=month.month))
    await world.deliver("day-tallies", whole_day(version=1, school_day=month.replace(day=28)))


async def own(world: ReportingWorld, table: str = "chronic") -> Any:
    return await world.told(f"/v1/districts/hartford/{table}")


async def test_without_a_decision_ten_days_are_the_minimum(world: ReportingWorld) -> None:
    await enrolled_8_to_17_days(world)
    document = await own(world)
    assert document["lines"][0]["students"] == len([n for n in DAYS if n >= 10])
    assert document["policy"] == {"version": 0, "effective_from": None, "minimum_enrolled_days": 10}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_largest_version_whose_day_had_come_judges(world: ReportingWorld, order: tuple[int, ...]) -> None:
    told = [
        decided(1, 12, date(2026, 8, 31)),
        decided(2, 15, date(2026, 9, 28)),
        decided(3, 5, date(2026, 9, 29)),  # the month's last school day is before it
    ]
    await enrolled_8_to_17_days(world)
    for place in order:
        await world.deliver("district-policies", told[place])
    document = await own(world)
    assert document["lines"][0]["students"] == len([n for n in DAYS if n >= 15])
    assert document["policy"] == {"version": 2, "effective_from": "2026-09-28", "minimum_enrolled_days": 15}


async def test_each_month_goes_by_the_policy_of_its_own_last_day(world: ReportingWorld) -> None:
    await world.deliver("district-policies", decided(1, 20, SEPTEMBER), decided(2, 19, date(2026, 10, 1)))
    told = [Month(student(100 + n), n, 0) for n in (19, 20)]
    await world.deliver("school-months", months(*told, version=1))
    await world.deliver("school-months", months(*(Month(each.student, 0, 0) for each in told), month=date(2026, 10, 1)))
    lines = (await own(world, "chronic-by-month"))["lines"]
    assert [(each["month"], each["students"]) for each in lines] == [("2026-09-01", 1), ("2026-10-01", 2)]


async def test_the_own_page_says_whose_policy_it_is_and_the_published_one_does_not_follow_it(
    world: ReportingWorld,
) -> None:
    await world.deliver("district-policies", decided(4, 15, SEPTEMBER))
    await world.deliver("flags", flag(1, occurred_at=datetime(2026, 9, 20, tzinfo=UTC)))
    told = [Month(student(100 + n), 12, 0) for n in range(30)] + [Month(student(200 + n), 16, 0) for n in range(30)]
    await world.deliver("school-months", months(*told))
    page = (await world.page("/districts/hartford")).text
    assert "own policy, version 4, in force since September 1, 2026: from 15 days enrolled on." in page
    rows = list(csv.DictReader(io.StringIO((await world.ask("/v1/districts/hartford/chronic.csv")).text)))
    assert [(row["students"], row["minimum_enrolled_days"]) for row in rows] == [("30", "15")]

    assert await released(world, datetime(2026, 10, 15, 16, 0, tzinfo=UTC)) == date(2026, 9, 30)
    document = await world.told("/v1/published/chronic", "state")
    assert {line["district"]: line["students"] for line in document["lines"]} == dict.fromkeys(
        ("hartford", "state"), told_alone(60)
    )
    assert document["policy"]["minimum_enrolled_days"] == 10


async def test_a_neighbours_policy_is_the_neighbours(world: ReportingWorld) -> None:
    await enrolled_8_to_17_days(world)
    await world.deliver("district-policies", decided(1, 20, SEPTEMBER, district="danbury"))
    assert (await own(world))["policy"]["version"] == 0

"""A number carries the day up to which it counts: a district's page at this moment, students up to a closed month."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from services.runtime import clock
from tests.component.reporting.conftest import ReportingWorld
from tests.component.reporting.tallied import Month, figures, months, whole_day
from tests.component.reporting.test_published import moved_to
from tests.component.visit_events import flag

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


@pytest.fixture(autouse=True)
def _early_november(tmp_path: Path) -> Iterator[None]:
    """The 6th, a Friday: a month that lacks a school is not told yet."""
    clock.use(moved_to(datetime(2026, 11, 6, 17, 0, tzinfo=UTC), tmp_path))
    yield
    clock.use(None)


async def taught_and_closed(world: ReportingWorld, *, october: tuple[str, ...]) -> None:
    """Two schools closed September and taught in October, which these have closed."""
    for at, school in enumerate(("H01", "H02")):
        place = Month(at + 1, 20, 4)
        await world.deliver("school-months", months(place, school=school, month=SEPTEMBER, missing_rolls=0))
        days = (date(2026, 9, 30), date(2026, 10, 30), date(2026, 11, 5))
        await world.deliver("day-tallies", *(whole_day(version=1, school=school, school_day=day) for day in days))
        if school in october:
            place = Month(at + 1, 22, 0)
            await world.deliver("school-months", months(place, school=school, month=OCTOBER, missing_rolls=1))


async def test_a_month_that_a_school_has_not_closed_is_not_told_yet(world: ReportingWorld) -> None:
    await taught_and_closed(world, october=("H01",))
    document = await world.told("/v1/districts/hartford/chronic")
    assert document["lines"] == [{"district": "hartford", "students": 2, "chronic": 2, "chronic_rate": 100.0}]
    assert document["as_of"] == "2026-09-30T04:00:00Z"
    assert document["lacks"]["rolls"] == []
    page = (await world.page("/districts/hartford")).text
    assert "Up to September 30, 2026: months that have closed." in page


async def test_students_are_counted_up_to_the_month_that_all_schools_have_closed(world: ReportingWorld) -> None:
    await taught_and_closed(world, october=("H01", "H02"))
    document = await world.told("/v1/districts/hartford/chronic")
    assert document["lines"] == [{"district": "hartford", "students": 2, "chronic": 0, "chronic_rate": 0.0}]
    assert document["as_of"] == "2026-10-30T04:00:00Z"
    assert document["lacks"]["rolls"] == [
        {"district": "hartford", "school": school, "days": 1} for school in ("H01", "H02")
    ]
    months_told = (await world.told("/v1/districts/hartford/chronic-by-month"))["lines"]
    assert [(each["month"], each["chronic"]) for each in months_told] == [("2026-09-01", 2), ("2026-10-01", 0)]


async def test_what_is_of_this_moment_carries_the_districts_own_newest_event(world: ReportingWorld) -> None:
    await taught_and_closed(world, october=("H01", "H02"))
    newest = datetime(2026, 11, 5, 15, 0, tzinfo=UTC)
    await world.deliver("flags", flag(1, occurred_at=newest))
    await world.deliver(
        "flags", flag(2, household_number=2, district="danbury", occurred_at=newest + timedelta(days=1))
    )
    assert (await world.told("/v1/districts/hartford/funnel"))["as_of"] == "2026-11-05T15:00:00Z"
    assert (await world.told("/v1/funnel"))["as_of"] == "2026-11-05T15:00:00Z"


async def test_a_day_told_after_the_last_event_is_the_as_of(world: ReportingWorld) -> None:
    await taught_and_closed(world, october=("H01", "H02"))
    await world.deliver("flags", flag(1, occurred_at=datetime(2026, 10, 2, 15, 0, tzinfo=UTC)))
    assert (await world.told("/v1/districts/hartford/flagged-by-grade"))["as_of"] == "2026-11-05T05:00:00Z"


async def test_a_schools_flagged_are_those_of_today_and_not_of_the_last_crossing(world: ReportingWorld) -> None:
    """Three crossed the line at H01; one has moved to H02 since, one is severely chronically absent by now."""
    await world.deliver("flags", *(flag(n, household_number=n, level="chronically_absent") for n in (1, 2, 3)))
    await world.deliver(
        "flags",
        figures((1,), version=20, school="H02", grade="4", level="chronically_absent"),
        figures((2,), version=20, level="severely_chronically_absent"),
        figures((3,), version=20, level="chronically_absent"),
    )

    async def of_school(school: str) -> list[dict[str, object]]:
        lines = (await world.told(f"/v1/districts/hartford/schools/{school}/flagged-by-grade"))["lines"]
        assert isinstance(lines, list)
        return lines

    assert await of_school("H01") == [{"grade": "3", "flagged_students": 2, "severe": 1}]
    assert await of_school("H02") == [{"grade": "4", "flagged_students": 1, "severe": 0}]
    lines = (await world.told("/v1/districts/hartford/schools/H02/school"))["lines"]
    assert {line["what"]: line["count"] for line in lines}["flagged_families"] == 1

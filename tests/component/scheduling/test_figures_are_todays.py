"""Between two crossings the figures go on: the desk's sentence and rank are of the day that closed last."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import events
from services.runtime import clock
from tests.component.visit_events import World, flag, household, student

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST = date(2026, 9, 1)


def figures(*numbers: int, version: int, days_absent: int, days_enrolled: int, **fields: Any) -> Any:
    """Figures of these students, all alike."""
    count = len(numbers)
    recent = events.RecentDays(
        last_20_absent=min(days_absent, 20), last_20_counted=20, before_20_absent=0, before_20_counted=20, spell=0
    )
    missed = tuple(FIRST + timedelta(days=n) for n in range(days_absent))
    return events.FlagFiguresUpdated.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "absence-flag.figures-updated.v1",
            "occurred_at": clock.now(),
            "district": "hartford",
            "school": "H01",
            "school_year": 2026,
            "as_of": date(2026, 12, 4),
            "policy_version": 1,
            "students": tuple(student(number) for number in numbers),
            "grades": (None,) * count,
            "levels": (events.Level.CHRONICALLY_ABSENT,) * count,
            "versions": (version,) * count,
            "days_absent": (days_absent,) * count,
            "days_enrolled": (days_enrolled,) * count,
            "absent_days": (missed,) * count,
            "recent": (recent,) * count,
            "chronic_last_year": (False,) * count,
        }
        | fields
    )


async def desk_of(world: World, number: int = 1) -> dict[str, Any]:
    row = await world.pool.fetchrow(
        "SELECT s.days_absent, s.days_enrolled, s.as_of, s.version, s.grade, cardinality(s.absent_days) AS days,"
        " r.base_points, r.version AS request_version FROM flagged_student s JOIN request r USING (household_key)"
        " WHERE s.student_key = $1",
        student(number),
    )
    assert row is not None
    return dict(row)


async def test_the_desk_shows_todays_figures_and_ranks_by_them(world: World) -> None:
    await world.deliver("absence-flags", flag(1, days_absent=3, days_enrolled=24))
    before = await desk_of(world)
    await world.deliver("absence-flags", figures(1, version=2, days_absent=21, days_enrolled=66))

    after = await desk_of(world)
    assert (after["days_absent"], after["days_enrolled"], after["days"]) == (21, 66, 21)
    assert after["as_of"] == date(2026, 12, 4)
    assert after["base_points"] > before["base_points"]
    # Nobody's open form becomes stale by it: a version is for what people do.
    assert after["request_version"] == before["request_version"]


async def test_older_figures_and_those_of_nobody_flagged_change_nothing(world: World) -> None:
    await world.deliver("absence-flags", flag(1, days_absent=3, days_enrolled=24, version=5))
    await world.deliver(
        "absence-flags",
        figures(1, version=5, days_absent=9, days_enrolled=30),
        figures(1, version=4, days_absent=8, days_enrolled=29),
        figures(1, version=9, days_absent=1, days_enrolled=40, school_year=2025),
        figures(77, version=9, days_absent=9, days_enrolled=30),
    )
    assert (await desk_of(world))["days_absent"] == 3
    assert await world.pool.fetchval("SELECT count(*) FROM flagged_student") == 1


async def test_of_several_records_in_one_batch_the_newest_stands_whatever_their_order(world: World) -> None:
    await world.deliver("absence-flags", flag(1), flag(2, household_number=2))
    await world.deliver(
        "absence-flags",
        figures(1, 2, version=8, days_absent=12, days_enrolled=60),
        figures(1, version=7, days_absent=11, days_enrolled=59),
        flag(2, household_number=2, version=9, days_absent=13, days_enrolled=61),
        figures(2, version=10, days_absent=14, days_enrolled=62),
    )
    assert [(await desk_of(world, number))["days_absent"] for number in (1, 2)] == [12, 14]


async def test_versions_that_follow_the_logs_time_are_kept_whole(world: World) -> None:
    micros = 1_788_220_800_000_000
    await world.deliver("absence-flags", flag(1, version=micros))
    await world.deliver("absence-flags", figures(1, version=micros + 1, days_absent=7, days_enrolled=40))
    assert (await desk_of(world))["version"] == micros + 1
    households: set[UUID] = {row["household_key"] for row in await world.pool.fetch("SELECT * FROM request")}
    assert households == {household(1)}

"""A student's flag may be told on the topic by student and on the one by district: the newest word stands."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.component.scheduling.test_figures_are_todays import figures
from tests.component.scheduling.waiting import calendar, today, weekdays_until
from tests.component.visit_events import World, flag, household, student

pytestmark = pytest.mark.asyncio(loop_scope="session")

Said = tuple[str, Any]


async def standing(world: World, number: int) -> tuple[Any, ...]:
    row = await world.pool.fetchrow(
        "SELECT household_key, level, days_absent, days_enrolled FROM flagged_student WHERE student_key = $1",
        student(number),
    )
    return tuple(row or ())


async def stages(world: World) -> list[str]:
    rows = await world.pool.fetch("SELECT stage FROM request ORDER BY stage <> 'closed', stage")
    return [row["stage"] for row in rows]


def a_year(number: int, kept_at: int) -> Sequence[Said]:
    """Raised before the change of topics, changed and brought up to date behind it."""
    return (
        ("absence-flags", flag(number, household_number=kept_at, days_absent=4, days_enrolled=30)),
        ("flags", flag(number, version=5, household_number=kept_at, days_absent=9, days_enrolled=40,
                       level="severely_chronically_absent")),
        ("flags", figures(number, version=6, days_absent=10, days_enrolled=41)),
    )  # fmt: skip


async def test_the_newest_crossing_stands_whichever_topic_is_read_first(world: World) -> None:
    for number, order in enumerate(permutations(a_year(0, 0)[:2])):
        for topic, event in order:
            keys = {"student_key": student(number), "household_key": household(number)}
            await world.deliver(topic, event.model_copy(update=keys))
        assert await standing(world, number) == (household(number), "severely_chronically_absent", 9, 40)
    assert await stages(world) == ["new", "new"]


async def test_a_crossing_behind_newer_figures_still_clears_the_flag(world: World) -> None:
    await world.deliver("flags", flag(1))
    await world.deliver("flags", figures(1, version=6, days_absent=3, days_enrolled=41))
    await world.deliver("absence-flags", flag(1, version=5, level="none", days_absent=3, days_enrolled=40))

    # What was cleared is cleared; the figures stay those of the day that closed last.
    assert await standing(world, 1) == (household(1), "none", 3, 41)
    assert await stages(world) == ["closed"]


async def test_an_older_crossing_behind_a_newer_one_and_its_figures_changes_nothing(world: World) -> None:
    for topic, event in (*a_year(1, 1)[1:], a_year(1, 1)[0]):
        await world.deliver(topic, event)
    assert await standing(world, 1) == (household(1), "severely_chronically_absent", 10, 41)
    await world.deliver("absence-flags", flag(1, version=3, level="none"))
    assert await standing(world, 1) == (household(1), "severely_chronically_absent", 10, 41)
    assert await stages(world) == ["new"]


async def test_both_topics_in_one_batch_are_one_story(world: World) -> None:
    for number, order in enumerate(permutations(a_year(0, 0))):
        keys = {"student_key": student(number), "household_key": household(number)}
        records = [
            world.record(topic, figures(number, version=6, days_absent=10, days_enrolled=41))
            if event.event_type.startswith("absence-flag.figures")
            else world.record(topic, event.model_copy(update=keys))
            for topic, event in order
        ]
        await world.deliver_records(records)
        assert await standing(world, number) == (household(number), "severely_chronically_absent", 10, 41)


async def test_the_calendar_of_a_track_says_nothing_of_the_schools_days(world: World) -> None:
    whole = calendar()
    last = weekdays_until(today() + timedelta(days=14), 1)
    seniors = whole.model_copy(update={"track": "seniors", "school_days": tuple(last), "source_version": 9})
    await world.deliver("calendars", whole)
    await world.deliver("calendars", seniors)
    await world.deliver("school-calendar", whole.model_copy(update={"school_days": (), "source_version": 0}))

    taught = await world.pool.fetchval("SELECT count(*) FROM teaching_day WHERE district = 'hartford'")
    assert taught == len(whole.school_days)

"""A flag belongs to its school year (DOMAIN 9.6): what last year's facts may still do, and when that ends."""

import json
from datetime import date
from typing import Any

import pytest

from services.scheduling.handlers.follow_ups import open_follow_ups
from tests.component.scheduling.test_desk_forms import a_request, at_the_desk
from tests.component.scheduling.test_figures_are_todays import figures
from tests.component.scheduling.test_one_policy import a_school_day, decide
from tests.component.scheduling.test_why_here_why_gone import context_of
from tests.component.scheduling.waiting import school_year
from tests.component.visit_events import World, flag, household, student

pytestmark = pytest.mark.asyncio(loop_scope="session")

THIS_YEAR = school_year()
IN_MAY, IN_SEPTEMBER = date(THIS_YEAR, 5, 20), date(THIS_YEAR, 9, 10)


def last_year(number: int, **fields: Any) -> Any:
    """A flag that stood when last year ended."""
    ordinary: dict[str, Any] = {"household_number": number, "school_year": THIS_YEAR - 1, "as_of": IN_MAY, "version": 1}
    return flag(number, **ordinary | fields)


def this_year(number: int, **fields: Any) -> Any:
    """A flag behind a complete roll of the new year."""
    ordinary: dict[str, Any] = {
        "household_number": number,
        "school_year": THIS_YEAR,
        "as_of": IN_SEPTEMBER,
        "version": 1,
    }
    return flag(number, **ordinary | fields)


async def stages(world: World) -> dict[int, list[tuple[str, str | None]]]:
    """How the requests of each household stand, by its number, oldest first."""
    rows = await world.pool.fetch("SELECT household_key, stage, closed_because FROM request ORDER BY opened_at")
    found: dict[int, list[tuple[str, str | None]]] = {}
    for row in rows:
        found.setdefault(row["household_key"].int & 0xFFFF, []).append((row["stage"], row["closed_because"]))
    return found


async def test_in_summer_last_years_flags_open_requests_where_the_policy_says_so(world: World) -> None:
    await world.deliver("flags", last_year(1))
    assert await stages(world) == {1: [("new", None)]}

    await decide(world, version=0, effective_from=str(a_school_day(ahead=-1)), desk={"summer_requests": False})
    await world.deliver("flags", last_year(2), last_year(11, household_number=1))
    # A sibling joins the request that there is; another family's is not opened any more.
    assert await stages(world) == {1: [("new", None)]}
    students = await world.pool.fetchval("SELECT count(*) FROM flagged_student WHERE household_key = $1", household(1))
    assert students == 2
    await world.deliver("flags", this_year(2))
    assert (await stages(world))[2] == [("new", None)]


async def test_the_new_years_first_roll_closes_what_nobody_has_touched(world: World) -> None:
    await world.deliver("flags", last_year(1), last_year(2), last_year(3, district="danbury"))
    await world.pool.execute(
        "UPDATE request SET stage = 'contacting', contacted_at = opened_at WHERE household_key = $1", household(2)
    )
    before = len(await world.published())
    # A figure of any child is enough: its day stands behind a complete roll.
    begun = figures(77, version=1, days_absent=1, days_enrolled=5, school_year=THIS_YEAR, as_of=IN_SEPTEMBER)
    await world.deliver("flags", begun)

    assert await stages(world) == {
        1: [("closed", "year_over")],
        2: [("contacting", None)],
        3: [("new", None)],
    }
    # Others know a shorter list of reasons.
    told = [json.loads(line) for line in (await world.payloads()).splitlines()][before:]
    assert [each["event_type"] for each in told] == ["visit-request.withdrawn.v1", "visit-request.stage-changed.v1"]
    assert told[1]["closed_because"] == "no_longer_flagged"
    history = await world.pool.fetch(
        "SELECT what, detail ->> 'because' AS because FROM request_history JOIN request USING (request_id)"
        " WHERE household_key = $1 ORDER BY request_history.version",
        household(1),
    )
    assert [tuple(row) for row in history] == [("opened", None), ("closed", "year_over")]
    # Who works on a request goes on with what it was opened for.
    kept = json.loads(await world.pool.fetchval("SELECT priority FROM request WHERE household_key = $1", household(2)))
    assert [child["student_key"] for child in kept["children"]] == [str(student(2))]


async def test_after_it_last_years_flags_and_figures_open_nothing(world: World) -> None:
    await world.deliver("flags", this_year(9))
    await world.deliver("flags", last_year(1), last_year(2))
    told = figures(1, version=4, days_absent=40, days_enrolled=170, school_year=THIS_YEAR - 1, as_of=IN_MAY)
    await world.deliver("flags", last_year(2, version=5, level="severely_chronically_absent"), told)

    assert await stages(world) == {9: [("new", None)]}
    standing = await world.pool.fetch(
        "SELECT level, over_level FROM flagged_student WHERE school_year = $1", THIS_YEAR - 1
    )
    assert sorted(tuple(row) for row in standing) == [
        ("none", "chronically_absent"),
        ("none", "severely_chronically_absent"),
    ]


async def test_a_child_who_was_flagged_last_year_is_flagged_anew(world: World) -> None:
    await world.deliver("flags", last_year(1), last_year(2))
    await world.pool.execute(
        "UPDATE request SET stage = 'contacting', contacted_at = opened_at WHERE household_key = $1", household(2)
    )
    await world.deliver("flags", this_year(9))
    await world.deliver("flags", this_year(1), this_year(2))

    assert await stages(world) == {
        1: [("closed", "year_over"), ("new", None)],
        2: [("contacting", None)],
        9: [("new", None)],
    }
    joined = await world.pool.fetch("SELECT what FROM request_history WHERE what = 'joined'")
    assert len(joined) == 1
    over = await world.pool.fetchval("SELECT count(*) FROM flagged_student WHERE over_level IS NOT NULL")
    assert over == 0


async def test_a_family_with_a_flag_of_the_new_year_keeps_its_request(world: World) -> None:
    await world.deliver("flags", last_year(1))
    await world.deliver("flags", this_year(2, household_number=1))
    assert await stages(world) == {1: [("new", None)]}
    shown = json.loads(await world.pool.fetchval("SELECT priority FROM request"))
    assert [child["student_key"] for child in shown["children"]] == [str(student(2))], "last year's sibling is none"


async def test_both_years_in_one_batch_come_to_the_same(world: World) -> None:
    await world.deliver("flags", last_year(1), this_year(2), last_year(3), this_year(3))
    assert await stages(world) == {2: [("new", None)], 3: [("new", None)]}


async def test_a_roll_of_summer_days_begins_no_year(world: World) -> None:
    await world.deliver("flags", last_year(1))
    # Told late, of a day of last year: it says nothing of the new one.
    await world.deliver("flags", last_year(2, version=3, kind="raised"))
    assert await stages(world) == {1: [("new", None)], 2: [("new", None)]}


async def test_a_follow_up_behind_a_flag_that_ended_with_its_year_met_no_goal(world: World) -> None:
    await world.deliver("flags", last_year(1), last_year(2))
    await world.pool.execute("UPDATE request SET stage = 'logged', follow_up_on = $1", IN_MAY)
    await world.deliver("flags", this_year(2))
    await open_follow_ups(context_of(world))
    # The one is flagged this year and asked again; the other's year is over.
    assert await stages(world) == {1: [("closed", "year_over")], 2: [("contacting", None)]}


async def test_people_see_why_and_can_not_choose_it(world: World) -> None:
    request = await a_request(world)
    browser = await at_the_desk(world)
    page = (await browser.get(f"/requests/{request['request_id']}")).text
    assert 'value="year_over"' not in page
    body = {"version": request["version"], "because": "year_over"}
    refused = await world.http.post(f"/v1/requests/{request['request_id']}/closing", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "year_closes")
    await world.pool.execute("UPDATE request SET stage = 'closed', closed_because = 'year_over', closed_at = now()")
    assert "the school year is over" in (await browser.get(f"/requests/{request['request_id']}")).text

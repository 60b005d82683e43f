"""What a logged visit leads to: the follow-up on its day, the end of it, and the log that is missing."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts import events
from contracts.calendar import local_day
from services.runtime import clock
from services.scheduling.handlers.follow_ups import open_follow_ups
from tests.component.scheduling.test_why_here_why_gone import context_of, show, the_request
from tests.component.visit_events import World, flag, of_visit
from tests.zones import HERE


async def a_paired_request(world: World) -> UUID:
    """A household whose visit is agreed for tomorrow; the visit's id."""
    await world.deliver("absence-flags", flag(1))
    request = await the_request(world)
    visit_id: UUID = await world.pool.fetchval(
        "INSERT INTO visit (request_id) VALUES ($1) RETURNING visit_id", request["request_id"]
    )
    await world.pool.execute("UPDATE request SET stage = 'paired'")
    return visit_id


async def a_logged_request(world: World, **fields: Any) -> dict[str, Any]:
    visit_id = await a_paired_request(world)
    await world.deliver("visit-log", of_visit(events.VisitCompleted, visit_id=visit_id, **fields))
    return await the_request(world)


def promise(visit_id: UUID, due: date, kind: str = "visit") -> events.Event:
    return of_visit(events.FollowUpPromised, visit_id=visit_id, due=due, kind=kind, log_id=uuid4())


async def test_a_completed_visit_is_visited_and_logged_once_however_often_it_is_told(world: World) -> None:
    visit_id = await a_paired_request(world)
    told = of_visit(events.VisitCompleted, visit_id=visit_id)
    await world.deliver("visit-log", told, told)
    await world.deliver("visit-log", told)

    request = await the_request(world)
    assert request["stage"] == "logged"
    history = (await show(world, request))["history"]
    assert [(row["version"], row["what"], row["from_stage"], row["to_stage"]) for row in history[1:]] == [
        (request["version"] - 1, "visited", "paired", "visited"),
        (request["version"], "logged", "visited", "logged"),
    ]
    assert (await world.published())[1:] == ["visit-request.stage-changed.v1"] * 2


async def test_an_attempt_asks_for_a_new_date_and_a_late_word_of_success_stands(world: World) -> None:
    visit_id = await a_paired_request(world)
    await world.deliver("visit-log", of_visit(events.VisitAttempted, visit_id=visit_id))
    assert (await the_request(world))["stage"] == "agreed"
    await world.deliver("visit-log", of_visit(events.VisitCompleted, visit_id=visit_id))
    assert (await the_request(world))["stage"] == "logged"
    await world.deliver("visit-log", of_visit(events.VisitAttempted, visit_id=visit_id))
    assert (await the_request(world))["stage"] == "logged"


async def test_a_log_of_a_visit_that_was_given_up_moves_nothing_while_another_lies_ahead(world: World) -> None:
    former = await a_paired_request(world)
    await world.pool.execute("UPDATE visit SET state = 'cancelled'")
    await world.pool.execute("INSERT INTO visit (request_id) SELECT request_id FROM request")
    await world.deliver("visit-log", of_visit(events.VisitAttempted, visit_id=former))
    assert (await the_request(world))["stage"] == "paired"


async def test_on_the_promised_day_the_request_returns_on_top_of_the_queue(world: World) -> None:
    today = local_day(clock.now(), zone=HERE)
    request = await a_logged_request(world)
    visit_id = await world.pool.fetchval("SELECT visit_id FROM visit")
    due = promise(visit_id, today + timedelta(days=1))
    await world.deliver("visit-log", due, due)
    await open_follow_ups(context_of(world))
    assert (await the_request(world))["stage"] == "logged"

    await world.pool.execute("UPDATE promise SET due = due - 1")
    await open_follow_ups(context_of(world))
    await open_follow_ups(context_of(world))
    returned = await the_request(world)
    assert (returned["stage"], returned["pinned"], returned["promise_due"]) == ("contacting", True, today)
    assert returned["version"] > request["version"]
    assert [row["what"] for row in (await show(world, returned))["history"]].count("follow_up_due") == 1
    assert (await show(world, returned))["why"][0]["says"] == "A promised visit is due."
    await world.deliver("absence-flags", flag(2, household_number=2, days_absent=30))
    claimed = (await world.http.post("/v1/requests/next/claim")).json()
    assert claimed["request_id"] == str(request["request_id"])

    body = {"version": claimed["version"], "answer": "agreed"}
    answered = await world.http.post(f"/v1/requests/{request['request_id']}/answer", json=body)
    assert (answered.json()["pinned"], answered.json()["promise_due"]) == (False, None)


async def test_a_promise_to_a_family_whose_request_is_closed_opens_another(world: World) -> None:
    request = await a_logged_request(world)
    visit_id = await world.pool.fetchval("SELECT visit_id FROM visit")
    await world.deliver("visit-log", promise(visit_id, local_day(clock.now(), zone=HERE), "call"))
    body = {"version": request["version"], "because": "goal_met"}
    closed = await world.http.post(f"/v1/requests/{request['request_id']}/closing", json=body)
    assert closed.json()["stage"] == "closed"
    await open_follow_ups(context_of(world))

    rows = await world.pool.fetch("SELECT stage, pinned, promise_kind FROM request ORDER BY opened_at")
    assert [tuple(row) for row in rows] == [("closed", False, None), ("new", True, "call")]
    # It stands on the promise: a flag that clears does not take it away.
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    assert await world.pool.fetchval("SELECT stage FROM request WHERE pinned") == "new"


async def test_a_family_that_declined_since_is_not_asked_again_whatever_was_promised(world: World) -> None:
    request = await a_logged_request(world)
    visit_id = await world.pool.fetchval("SELECT visit_id FROM visit")
    await world.deliver("visit-log", promise(visit_id, local_day(clock.now(), zone=HERE)))
    body = {"version": request["version"], "answer": "declined"}
    await world.http.post(f"/v1/requests/{request['request_id']}/answer", json=body)
    await open_follow_ups(context_of(world))
    assert await world.pool.fetchval("SELECT count(*) FROM request WHERE stage <> 'closed'") == 0
    assert await world.pool.fetchval("SELECT state FROM promise") == "dropped"


async def test_without_a_promise_follow_ups_go_on_while_a_flag_stands_and_end_when_the_goal_is_met(
    world: World,
) -> None:
    await a_logged_request(world)
    await open_follow_ups(context_of(world))
    assert (await the_request(world))["stage"] == "logged"
    await world.pool.execute("UPDATE request SET follow_up_on = $1", local_day(clock.now(), zone=HERE))
    await open_follow_ups(context_of(world))
    again = await the_request(world)
    assert (again["stage"], again["pinned"], again["contacted_at"]) == ("contacting", False, None)

    await world.pool.execute(
        "UPDATE request SET stage = 'logged', follow_up_on = $1", local_day(clock.now(), zone=HERE)
    )
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    await open_follow_ups(context_of(world))
    ended = await the_request(world)
    assert (ended["stage"], ended["closed_because"]) == ("closed", "goal_met")


async def test_a_visit_whose_log_is_missing_stays_visible(world: World) -> None:
    visit_id = await a_paired_request(world)
    began = datetime.combine(local_day(clock.now(), zone=HERE) - timedelta(days=7), time(12), HERE)
    for name in ("marisol", "omar"):
        await world.pool.execute(
            "INSERT INTO visitor (visitor_id, district, leap101_valid_from, leap101_valid_until)"
            " VALUES ($1, 'hartford', '2020-01-01', '2040-01-01')",
            name,
        )
    await world.pool.execute(
        """
        INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor,
                                 made_by, made_at)
        VALUES ($1, 1, $2, 'home', 'en', 'marisol', 'omar', 'ana', '2020-01-01')
        """,
        visit_id,
        began,
    )
    (missing,) = (await world.http.get("/v1/missing-logs")).json()["missing"]
    assert (missing["visit_id"], missing["business_days"], missing["pair"]) == (str(visit_id), 5, ["marisol", "omar"])
    await world.deliver("visit-log", of_visit(events.VisitCompleted, visit_id=visit_id))
    assert (await world.http.get("/v1/missing-logs")).json()["missing"] == []

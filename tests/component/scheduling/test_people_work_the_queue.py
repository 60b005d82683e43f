"""From the queue to the family's answer and back, over HTTP."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import Response

from tests.component.visit_events import World, contact, flag, household
from tests.people import headers


async def act(world: World, request: dict[str, Any], what: str, who: str = "ana", **body: Any) -> Response:
    """One command on a request, at the version it was shown at."""
    return await world.http.post(
        f"/v1/requests/{request['request_id']}/{what}",
        json={"version": request["version"], **body},
        headers=headers(who),
    )


async def done(world: World, request: dict[str, Any], what: str, who: str = "ana", **body: Any) -> dict[str, Any]:
    """One command that must succeed; the request as it stands then."""
    answer = await act(world, request, what, who, **body)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def show(world: World, request: dict[str, Any], who: str = "ana") -> dict[str, Any]:
    shown: dict[str, Any] = (await world.http.get(f"/v1/requests/{request['request_id']}", headers=headers(who))).json()
    return shown


async def a_new_request(world: World, number: int = 1, **fields: Any) -> dict[str, Any]:
    await world.deliver("absence-flags", flag(number, household_number=number, **fields))
    requests = (await world.http.get("/v1/requests")).json()["requests"]
    found: dict[str, Any] = next(r for r in requests if r["household_key"] == str(household(number)))
    return found


async def a_claimed_request(world: World) -> dict[str, Any]:
    return await done(world, await a_new_request(world), "claim")


async def lapse(world: World) -> None:
    await world.pool.execute("UPDATE request SET claimed_until = $1", datetime.now(UTC) - timedelta(seconds=1))


async def test_claim_call_and_agree_each_a_version_a_row_and_an_event(world: World) -> None:
    request = await a_claimed_request(world)
    tried = await done(world, request, "answer", way="call", answer="not_reached")
    assert tried["stage"] == "contacting"
    agreed = await done(world, tried, "answer", way="in_person", answer="community")
    assert (agreed["stage"], agreed["wish"]) == ("agreed", "community")

    shown = await show(world, agreed)
    assert [(row["what"], row["actor"]) for row in shown["history"]] == [
        ("opened", None),
        ("claimed", "ana"),
        ("contacted", "ana"),
        ("contacted", "ana"),
    ]
    versions = [row["version"] for row in shown["history"]]
    assert versions[1:] == [request["version"], tried["version"], agreed["version"]]
    assert versions == sorted(set(versions))
    assert [(row["way"], row["answer"]) for row in shown["contacts"]] == [
        ("call", "not_reached"),
        ("in_person", "community"),
    ]
    assert await world.published() == [
        "visit.requested.v1",
        "visit-request.stage-changed.v1",
        "visit-request.stage-changed.v1",
        "contact.attempted.v1",
        "visit-request.stage-changed.v1",
        "contact.attempted.v1",
        "family.agreed.v1",
    ]


async def test_two_people_claim_the_same_request_and_one_hears_who_holds_it(world: World) -> None:
    request = await a_new_request(world)
    answers = await asyncio.gather(*(act(world, request, "claim", who) for who in ("ana", "ben", "carl")))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    holder = next(a.json()["claimed_by"] for a in answers if a.status_code == 200)
    for answer in answers:
        if answer.status_code == 409:
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.json()["code"], answer.json()["claimed_by"]) == ("held_by_another", holder)


async def test_the_next_claim_takes_the_most_urgent_and_skips_what_others_hold(world: World) -> None:
    days = {1: 3, 2: 9, 3: 6}
    await world.deliver(
        "absence-flags", *(flag(n, household_number=n, days_absent=absent) for n, absent in days.items())
    )
    taken = [
        (await world.http.post("/v1/requests/next/claim", headers=headers(who))).json()["household_key"]
        for who in ("ana", "ben", "carl")
    ]
    assert taken == [str(household(2)), str(household(3)), str(household(1))]
    assert (await world.http.post("/v1/requests/next/claim")).status_code == 204


async def test_a_claim_is_free_again_when_it_lapses_is_released_or_taken_over_with_a_reason(world: World) -> None:
    request = await a_claimed_request(world)
    assert (await act(world, request, "claim", "ben")).status_code == 409
    assert (await act(world, request, "release", "ben")).status_code == 409
    assert (await act(world, request, "take-over", "ben")).status_code == 422

    taken = await done(world, request, "take-over", "ben", reason="holder_away")
    assert taken["claimed_by"] == "ben"
    free = await done(world, taken, "release", "ben")
    assert (free["stage"], free["claimed_by"]) == ("new", None)
    claimed = await done(world, free, "claim", "ben")
    await lapse(world)
    assert (await done(world, claimed, "claim"))["claimed_by"] == "ana"
    (row,) = [row for row in (await show(world, free))["history"] if row["what"] == "taken_over"]
    assert (row["actor"], row["detail"]) == ("ben", {"from": "ana", "reason": "holder_away"})


async def test_an_old_version_is_refused_with_what_stands_and_what_was_sent(world: World) -> None:
    request = await a_claimed_request(world)
    stale = await act(world, {**request, "version": 1}, "answer", answer="agreed")
    problem = stale.json()
    assert (stale.status_code, problem["code"], problem["current"]["version"]) == (
        409, "stale_version", request["version"],
    )  # fmt: skip
    assert problem["yours"] == {"version": 1, "answer": "agreed"}


async def test_a_decline_closes_and_is_respected_whichever_child_is_flagged_next(world: World) -> None:
    declined = await done(world, await a_claimed_request(world), "answer", answer="declined")
    assert (declined["stage"], declined["closed_because"]) == ("closed", "declined")
    assert date.fromisoformat(declined["respected_until"]) > datetime.now(UTC).date() + timedelta(days=80)
    assert (await world.published())[-1] == "family.declined.v1"
    assert (await act(world, declined, "answer", answer="agreed")).json()["code"] == "closed"

    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    await world.deliver("absence-flags", flag(1, version=3, kind="raised"), flag(2))
    assert await world.pool.fetchval("SELECT count(*) FROM request") == 1

    # The period is over: a flag opens a request as any does.
    await world.pool.execute("UPDATE request SET respected_until = $1", datetime.now(UTC).date() - timedelta(days=1))
    await world.deliver("absence-flags", flag(3))
    assert await world.pool.fetchval("SELECT count(*) FROM request WHERE stage = 'new'") == 1


async def test_only_family_or_coordinator_reopen_a_declined_request(world: World) -> None:
    declined = await done(world, await a_claimed_request(world), "answer", answer="declined")
    refused = await act(world, declined, "reopening", wished_by="coordinator")
    assert (refused.status_code, refused.json()["code"]) == (422, "reopen_coordinator")
    reopened = await done(world, declined, "reopening", "carl", wished_by="coordinator")
    assert (reopened["stage"], reopened["respected_until"], reopened["closed_because"]) == ("contacting", None, None)
    assert (await world.published())[-2:] == ["visit-request.stage-changed.v1", "visit-request.reopened.v1"]


async def test_a_closed_request_is_not_reopened_beside_another_that_is_open(world: World) -> None:
    moved = await done(world, await a_claimed_request(world), "answer", answer="moved")
    await world.deliver("absence-flags", flag(2))
    refused = await act(world, moved, "reopening", wished_by="family")
    assert (refused.status_code, refused.json()["code"]) == (409, "open_request_exists")


async def test_not_reached_closes_only_after_three_tries_at_varied_hours(world: World) -> None:
    request = await a_claimed_request(world)
    for _ in range(3):
        request = await done(world, request, "answer", answer="not_reached")
    refused = await act(world, request, "closing", because="not_reached")
    assert (refused.status_code, refused.json()["code"]) == (422, "tries_same_day")

    await world.pool.execute("UPDATE request SET tries_from = tries_from - interval '9 days'")
    await world.pool.execute(
        "UPDATE contact_attempt AS c SET made_at = date_trunc('day', made_at) - interval '19 hours' * nth"
        " FROM (SELECT request_version, row_number() OVER (ORDER BY request_version) + 2 AS nth FROM contact_attempt)"
        " AS counted WHERE counted.request_version = c.request_version"
    )
    closed = await done(world, request, "closing", because="not_reached")
    assert (closed["stage"], closed["closed_because"]) == ("closed", "not_reached")


async def test_later_puts_the_request_back_until_that_day_and_stops_its_clock(world: World) -> None:
    request = await a_claimed_request(world)
    day = datetime.now(UTC).date() + timedelta(days=7)
    assert (await act(world, request, "answer", answer="later")).json()["code"] == "later_needs_date"
    later = await done(world, request, "answer", answer="later", contact_again_on=str(day))
    assert (later["stage"], later["contact_again_on"]) == ("contacting", str(day))
    assert date.fromisoformat(later["due_on"]) > day
    await lapse(world)
    assert (await world.http.post("/v1/requests/next/claim")).status_code == 204
    await world.pool.execute("UPDATE request SET contact_again_on = contact_again_on - 30")
    assert (await world.http.post("/v1/requests/next/claim")).status_code == 200


async def test_a_claim_an_answer_and_a_close_can_be_undone_and_the_contact_stays(world: World) -> None:
    claimed = await a_claimed_request(world)
    new = await done(world, claimed, "undo")
    assert (new["stage"], new["claimed_by"]) == ("new", None)
    assert new["version"] > claimed["version"]

    declined = await done(world, await done(world, new, "claim"), "answer", answer="declined")
    undone = await done(world, declined, "undo")
    assert (undone["stage"], undone["respected_until"], undone["claimed_by"]) == ("claimed", None, "ana")
    (contacted,) = (await show(world, undone))["contacts"]
    assert contacted["withdrawn_at"] is not None
    assert (await world.published())[-1] == "visit-request.stage-changed.v1"
    # Somebody spoke with the family: a cleared flag does not take the request away from under them.
    await lapse(world)
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    await world.deliver("absence-flags", flag(1, version=3, kind="raised"))
    undone = await done(world, await show(world, undone), "claim")

    closed = await done(world, undone, "closing", because="goal_met")
    assert (await done(world, closed, "undo"))["stage"] == "claimed"


async def test_somebody_elses_change_and_an_old_one_are_not_undone(world: World) -> None:
    request = await a_new_request(world)
    assert (await act(world, request, "undo")).json()["code"] == "nothing_to_undo"
    closed = await done(world, request, "closing", because="moved")
    assert (await act(world, closed, "undo", "ben")).json()["code"] == "nothing_to_undo"
    await world.pool.execute("UPDATE request_history SET at = at - interval '16 minutes'")
    assert (await act(world, closed, "undo")).json()["code"] == "undo_too_late"


@pytest.mark.parametrize("who", ["bea", "dora", "omar"])
async def test_another_districts_request_is_not_there_and_other_roles_may_not(world: World, who: str) -> None:
    request = await a_new_request(world)
    status = 404 if who == "bea" else 403
    for what, body in (
        ("claim", {}),
        ("take-over", {"reason": "other"}),
        ("release", {}),
        ("answer", {"answer": "agreed"}),
        ("closing", {"because": "moved"}),
        ("reopening", {"wished_by": "family"}),
        ("undo", {}),
    ):
        assert (await act(world, request, what, who, **body)).status_code in {status, 403}, what
    path = f"/v1/requests/{request['request_id']}"
    assert (await world.http.get(path, headers=headers(who))).status_code in {status, 403}
    assert (await world.http.post(path + "/contact-disclosure", headers=headers(who))).status_code == status
    assert (await show(world, request))["version"] == request["version"]


async def test_a_list_shows_ones_own_districts_most_urgent_first_page_by_page(world: World) -> None:
    await world.deliver(
        "absence-flags",
        *(flag(n, household_number=n, days_absent=n) for n in range(1, 8)),
        flag(20, household_number=20, district="danbury"),
    )
    seen: list[str] = []
    after = ""
    while True:
        page = (await world.http.get(f"/v1/requests?limit=3{after}")).json()
        seen += [request["household_key"] for request in page["requests"]]
        if page["next_after"] is None:
            break
        after = f"&after={page['next_after']}"
    assert seen == [str(household(n)) for n in range(7, 0, -1)]
    theirs = (await world.http.get("/v1/requests", headers=headers("bea"))).json()["requests"]
    assert [request["district"] for request in theirs] == ["danbury"]
    assert (await world.http.get("/v1/requests?district=danbury")).json()["requests"] == []


async def test_requests_that_can_not_be_read_are_told_what_is_wrong_and_nothing_is_repeated(world: World) -> None:
    unknown = f"/v1/requests/{uuid4()}"
    assert (
        await world.http.post(f"{unknown}/claim", json={"version": 1}, headers={"Authorization": ""})
    ).status_code == 401
    assert (await world.http.get("/v1/requests/not-an-id")).status_code == 422
    assert (await world.http.get(unknown)).status_code == 404
    assert (await world.http.get("/v1/requests?district=Rosa%20Example")).status_code == 422
    secret = await world.http.post(f"{unknown}/answer", json={"version": 1, "answer": "Rosa Example"})
    assert secret.status_code == 422
    assert "Rosa" not in secret.text


async def test_a_familys_contact_is_shown_on_demand_recorded_and_never_published(world: World) -> None:
    await world.deliver("household-contacts", contact())
    request = await a_claimed_request(world)
    assert "Rosa" not in (await world.http.get(f"/v1/requests/{request['request_id']}")).text
    disclosed = await world.http.post(f"/v1/requests/{request['request_id']}/contact-disclosure")
    assert disclosed.json()["contact"]["contact_name"] == "Rosa Example"
    seen = await world.pool.fetch("SELECT person, role, what, whose, door FROM disclosed ORDER BY disclosure")
    assert [tuple(row) for row in seen] == [
        ("ana", "scheduler", ["days"], [household(1)], "api"),
        ("ana", "scheduler", ["contact"], [household(1)], "api"),
    ]
    assert "Rosa" not in await world.payloads()
    history = await world.pool.fetch("SELECT detail::text, before::text FROM request_history")
    assert "Rosa" not in str([tuple(row) for row in history])

"""From the queue to an agreed visit, over HTTP."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from httpx import Response

from contracts import events
from tests.component.visit_events import World, contact, flag, household, of_visit

SOON = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)


async def act(world: World, request: dict[str, Any], what: str, actor: str = "ana", **body: Any) -> Response:
    """One command on a request, at the version it was shown at."""
    return await world.http.post(
        f"/v1/requests/{request['request_id']}/{what}",
        json={"version": request["version"], **body},
        headers={"X-Leap-Actor": actor},
    )


async def register(world: World, *visitors: str, valid_days: int = 365) -> None:
    today = datetime.now(UTC).date()
    for visitor in visitors:
        command = {
            "visitor_id": visitor,
            "district": "hartford",
            "leap101_valid_from": str(today - timedelta(days=30)),
            "leap101_valid_until": str(today + timedelta(days=valid_days)),
        }
        assert (await world.http.post("/v1/visitors", json=command)).status_code == 201


async def a_claimed_request(world: World) -> dict[str, Any]:
    await world.deliver("household-contacts", contact())
    await world.deliver("absence-flags", flag(1))
    claimed: dict[str, Any] = (await world.http.post("/v1/requests/next/claim")).json()
    return claimed


async def an_agreed_request(world: World) -> dict[str, Any]:
    agreed: dict[str, Any] = (await act(world, await a_claimed_request(world), "answer", answer="agreed")).json()
    await register(world, "ana", "ben", "cem")
    return agreed


async def test_claim_answer_appoint_visit(world: World) -> None:
    request = await an_agreed_request(world)
    assert request["stage"] == "agreed"
    paired = await act(world, request, "appointment", starts_at=SOON.isoformat(), place="home", pair=["ana", "ben"])
    assert (paired.status_code, paired.json()["stage"]) == (200, "paired")

    visit_id = paired.json()["visit_id"]
    await world.deliver("visit-log", of_visit(events.VisitCompleted, visit_id=visit_id))
    shown = (await world.http.get(f"/v1/requests/{request['request_id']}")).json()
    assert shown["stage"] == "visited"
    assert [(v["state"], v["language"], v["pair"]) for v in shown["visits"]] == [("completed", "es", ["ana", "ben"])]
    assert await world.published() == ["visit.requested.v1", "family.agreed.v1", "visit.scheduled.v1"]


async def test_two_people_claim_the_same_request_and_one_hears_who_holds_it(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    (request,) = (await world.http.get("/v1/requests?district=hartford&stage=new")).json()["requests"]
    answers = await asyncio.gather(*(act(world, request, "claim", actor=who) for who in ("ana", "ben", "cem")))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    holder = next(a.json()["claimed_by"] for a in answers if a.status_code == 200)
    assert all(a.json()["claimed_by"] == holder for a in answers if a.status_code == 409)


async def test_the_next_claim_skips_what_others_hold(world: World) -> None:
    await world.deliver("absence-flags", *(flag(n, household_number=n) for n in range(1, 6)))
    people = [f"person-{n}" for n in range(6)]
    claims = await asyncio.gather(
        *(world.http.post("/v1/requests/next/claim", headers={"X-Leap-Actor": who}) for who in people)
    )
    taken = [claim.json()["request_id"] for claim in claims if claim.status_code == 200]
    assert len(set(taken)) == len(taken) == 5
    assert [claim.status_code for claim in claims].count(204) == 1


async def test_a_lapsed_lease_frees_the_request(world: World) -> None:
    request = await a_claimed_request(world)
    assert (await act(world, request, "claim", actor="ben")).status_code == 409
    await world.pool.execute("UPDATE request SET claimed_until = $1", datetime.now(UTC) - timedelta(seconds=1))
    taken_over = await act(world, request, "claim", actor="ben")
    assert (taken_over.status_code, taken_over.json()["claimed_by"]) == (200, "ben")


async def test_an_old_version_is_refused_with_the_current_one(world: World) -> None:
    request = await a_claimed_request(world)
    stale = await act(world, {**request, "version": 1}, "answer", answer="agreed")
    assert (stale.status_code, stale.json()["current_version"]) == (409, request["version"])


async def test_a_decline_closes_cancels_and_leaves_the_queue(world: World) -> None:
    request = await an_agreed_request(world)
    paired = await act(world, request, "appointment", starts_at=SOON.isoformat(), place="home", pair=["ana", "ben"])
    declined = await act(world, paired.json(), "answer", answer="declined")

    assert (declined.json()["stage"], declined.json()["closed_because"]) == ("closed", "declined")
    assert (await world.published())[-2:] == ["visit.cancelled.v1", "family.declined.v1"]
    assert (await world.http.post("/v1/requests/next/claim")).status_code == 204
    assert (await act(world, declined.json(), "answer", answer="agreed")).status_code == 422


async def test_later_puts_the_request_back_until_that_day(world: World) -> None:
    request = await a_claimed_request(world)
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=2))
    later = await act(world, request, "answer", answer="later", contact_again_on=tomorrow)
    assert later.json()["stage"] == "contacting"
    await world.pool.execute("UPDATE request SET claimed_until = $1", datetime.now(UTC) - timedelta(seconds=1))
    assert (await world.http.post("/v1/requests/next/claim")).status_code == 204
    await world.pool.execute("UPDATE request SET contact_again_on = contact_again_on - 30")
    assert (await world.http.post("/v1/requests/next/claim")).status_code == 200


async def test_a_second_appointment_moves_the_visit_and_keeps_the_first_in_the_history(world: World) -> None:
    request = await an_agreed_request(world)
    first = await act(world, request, "appointment", starts_at=SOON.isoformat(), place="home", pair=["ana", "ben"])
    moved = await act(
        world,
        first.json(),
        "appointment",
        starts_at=(SOON + timedelta(days=1)).isoformat(),
        place="community",
        pair=["ben", "cem"],
    )
    assert moved.json()["visit_id"] == first.json()["visit_id"]
    assert await world.pool.fetchval("SELECT count(*) FROM appointment") == 2
    assert (await world.published())[-1] == "visit.rescheduled.v1"

    cancelled = await act(world, moved.json(), "cancellation")
    assert cancelled.json()["stage"] == "agreed"
    assert (await world.published())[-1] == "visit.cancelled.v1"
    assert (await act(world, cancelled.json(), "cancellation")).status_code == 422
    again = await act(
        world, cancelled.json(), "appointment", starts_at=SOON.isoformat(), place="home", pair=["ana", "ben"]
    )
    assert again.json()["visit_id"] != first.json()["visit_id"]


async def test_an_attempt_asks_for_a_new_date_once_however_often_it_is_told(world: World) -> None:
    request = await an_agreed_request(world)
    paired = await act(world, request, "appointment", starts_at=SOON.isoformat(), place="home", pair=["ana", "ben"])
    attempted = of_visit(events.VisitAttempted, visit_id=paired.json()["visit_id"])
    await world.deliver("visit-log", attempted, attempted)
    await world.deliver("visit-log", attempted)
    (shown,) = (await world.http.get("/v1/requests")).json()["requests"]
    assert (shown["stage"], shown["version"]) == ("agreed", paired.json()["version"] + 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"starts_at": "2020-01-01T10:00:00Z"}, "future"),
        ({"pair": ["ana", "ana"]}, "two different"),
        ({"pair": ["ana", "nobody"]}, "LEAP 101"),
        ({"pair": ["ana", "untrained"]}, "LEAP 101"),
    ],
)
async def test_an_appointment_that_breaks_a_rule_says_what_to_do(
    world: World, change: dict[str, Any], says: str
) -> None:
    request = await an_agreed_request(world)
    await register(world, "untrained", valid_days=1)
    asked = {"starts_at": SOON.isoformat(), "place": "home", "pair": ["ana", "ben"]} | change
    refused = await act(world, request, "appointment", **asked)
    assert refused.status_code == 422
    assert says in refused.json()["message"]
    assert await world.pool.fetchval("SELECT count(*) FROM visit") == 0


async def test_no_appointment_without_consent(world: World) -> None:
    request = await a_claimed_request(world)
    await register(world, "ana", "ben")
    refused = await act(world, request, "appointment", starts_at=SOON.isoformat(), place="home", pair=["ana", "ben"])
    assert refused.status_code == 422
    assert "consent" in refused.json()["message"]


async def test_the_database_itself_refuses_a_pair_of_one_and_an_untrained_visitor(world: World) -> None:
    request = await an_agreed_request(world)
    await register(world, "untrained", valid_days=1)
    visit_id = await world.pool.fetchval(
        "INSERT INTO visit (request_id) SELECT request_id FROM request RETURNING visit_id"
    )
    insert = """
        INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor,
                                 made_by, made_at)
        VALUES ($1, 1, $2, $3, 'en', $4, $5, 'ana', now())
    """
    for place, first, second in (("home", "ana", "ana"), ("home", "ana", "untrained"), ("office", "ana", "ben")):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.pool.execute(insert, visit_id, SOON, place, first, second)
    with pytest.raises(asyncpg.CheckViolationError):
        await world.pool.execute(insert, visit_id, datetime.now(UTC) - timedelta(days=1), "home", "ana", "ben")
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.pool.execute(
            "INSERT INTO request (household_key, district, school, opened_at) VALUES ($1, 'hartford', 'H01', now())",
            household(1),
        )
    assert request["stage"] == "agreed"


async def test_a_renewed_training_needs_the_version_it_replaces(world: World) -> None:
    await register(world, "ana")
    command = {"visitor_id": "ana", "district": "hartford", "leap101_valid_from": "2026-01-01"}
    command["leap101_valid_until"] = "2030-01-01"
    assert (await world.http.post("/v1/visitors", json=command)).status_code == 409
    renewed = await world.http.post("/v1/visitors", json={**command, "version": 1})
    assert (renewed.status_code, renewed.json()["version"]) == (200, 2)


async def test_requests_that_can_not_be_read_are_told_what_is_wrong(world: World) -> None:
    missing_actor = await world.http.post(
        f"/v1/requests/{uuid4()}/claim", json={"version": 1}, headers={"X-Leap-Actor": ""}
    )
    assert missing_actor.status_code == 422
    del world.http.headers["X-Leap-Actor"]
    nobody = await world.http.post(f"/v1/requests/{uuid4()}/claim", json={"version": 1})
    assert (nobody.status_code, "X-Leap-Actor" in nobody.json()["message"]) == (401, True)
    world.http.headers["X-Leap-Actor"] = "ana"
    assert (await world.http.get("/v1/requests/not-an-id")).status_code == 422
    assert (await world.http.get(f"/v1/requests/{uuid4()}")).status_code == 404
    assert (await world.http.get("/v1/requests?district=Rosa%20Example")).status_code == 422
    secret = await world.http.post(f"/v1/requests/{uuid4()}/answer", json={"version": 1, "answer": "Rosa Example"})
    assert secret.status_code == 422
    assert "Rosa" not in secret.text


async def test_a_familys_contact_is_shown_to_a_named_person_only_recorded_and_never_published(world: World) -> None:
    request = await an_agreed_request(world)
    path = f"/v1/requests/{request['request_id']}"
    assert (await world.http.get(path)).json()["contact"]["contact_name"] == "Rosa Example"
    assert await world.pool.fetchval("SELECT shown_to FROM contact_disclosure") == "ana"
    del world.http.headers["X-Leap-Actor"]
    assert "Rosa" not in (await world.http.get(path)).text
    assert "Rosa" not in await world.payloads()
    assert json.loads((await world.payloads()).splitlines()[0])["district"] == "hartford"

"""A district is live, in rehearsal or paused, as its coordinator or operations declare it; flagging hears of it."""

import json
from typing import Any

from contracts import events
from tests.component.visit_events import World
from tests.people import headers

PATH = "/v1/districts/hartford/status"


async def declare(world: World, person: str, version: int, status: str) -> Any:
    return await world.http.put(PATH, json={"version": version, "status": status}, headers=headers(person))


async def test_a_district_goes_through_rehearsal_and_each_step_is_told(world: World) -> None:
    assert (await world.http.get(PATH)).json() == {
        "district": "hartford", "version": 0, "status": "live", "since": None,
    }  # fmt: skip
    steps = [("ops", "rehearsal"), ("carl", "live"), ("carl", "paused")]
    for version, (person, status) in enumerate(steps):
        answer = await declare(world, person, version, status)
        assert (answer.status_code, answer.json()["version"], answer.json()["status"]) == (200, version + 1, status)

    rows = await world.pool.fetch("SELECT topic, key, payload FROM outbox ORDER BY id")
    assert {(row["topic"], row["key"]) for row in rows} == {("district-statuses", "hartford")}
    told = [events.DistrictStatusChanged.model_validate_json(row["payload"]) for row in rows]
    assert [(each.status.value, each.version) for each in told] == [("rehearsal", 1), ("live", 2), ("paused", 3)]
    assert all(each.since == each.occurred_at for each in told)


async def test_only_who_may_declares_and_nobody_over_what_another_declared(world: World) -> None:
    assert (await declare(world, "ana", 0, "paused")).status_code == 403
    assert (await declare(world, "carl", 0, "closed")).status_code == 422
    assert (await world.http.get("/v1/districts/danbury/status")).status_code == 404
    assert (await declare(world, "carl", 0, "paused")).status_code == 200
    stale = await declare(world, "ops", 0, "live")
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_status")
    assert json.loads(await world.pool.fetchval("SELECT json_agg(status) FROM district_status")) == ["paused"]

"""Visitors: registered, changed, kept apart from a household; every change is told, and no agreed visit moves."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from httpx import Response

from contracts import events
from services.runtime import clock
from tests.component.scheduling.desk import agreed, ahead, appoint, register
from tests.component.visit_events import World, household
from tests.people import headers

TRAINED = {"leap101_valid_from": "2026-01-01", "leap101_valid_until": "2027-12-31"}
MORNINGS = [{"weekday": day, "begins": "08:00", "ends": "12:00"} for day in range(1, 6)]


async def save(world: World, actor: str = "ana", **facts: Any) -> Response:
    """What the desk says of marisol."""
    ordinary = {"visitor_id": "marisol", "district": "hartford", **TRAINED}
    return await world.http.post("/v1/visitors", json=ordinary | facts, headers=headers(actor))


async def can(world: World, version: int, actor: str = "marisol", **availability: Any) -> Response:
    """When marisol can."""
    path = "/v1/visitors/marisol/availability"
    return await world.http.put(path, json={"version": version, **availability}, headers=headers(actor))


async def at(world: World, who: str = "marisol") -> int:
    """At which version the visitor stands."""
    version: int = await world.pool.fetchval("SELECT version FROM visitor WHERE visitor_id = $1", who)
    return version


async def told(world: World) -> list[tuple[str, str, events.VisitorChanged]]:
    rows = await world.pool.fetch("SELECT topic, key, payload FROM outbox WHERE topic = 'visitors' ORDER BY id")
    return [(row["topic"], row["key"], events.VisitorChanged.model_validate_json(row["payload"])) for row in rows]


async def test_a_visitor_is_registered_changed_and_told_by_code(world: World) -> None:
    first = await save(world, affiliation="school", school="H01", languages=["en", "pt-BR"], windows=MORNINGS)
    assert first.status_code == 201, first.text
    registered = first.json()["version"]
    assert (registered, first.json()["weekly_cap"]) == (await at(world), 6)
    second = await save(world, version=registered, affiliation="agency", weekly_cap=2)
    assert second.status_code == 200
    assert second.json()["version"] == await at(world) > registered
    # What was not said stays as it was.
    assert [window["begins"] for window in second.json()["windows"]] == ["08:00:00"] * 5

    first_told, second_told = await told(world)
    assert first_told[:2] == ("visitors", "marisol")
    assert (first_told[2].affiliation, first_told[2].languages) == ("school", ("en", "pt-BR"))
    assert second_told[2].affiliation == "agency"
    assert [each[2].version for each in (first_told, second_told)] == [registered, second.json()["version"]]
    shown = (await world.http.get("/v1/visitors/marisol", headers=headers("ana"))).json()
    assert shown == {key: value for key, value in second.json().items() if key != "affected_visits"}


async def test_a_change_needs_the_version_it_replaces(world: World) -> None:
    await save(world)
    standing = await at(world)
    again, stale, unknown = (
        await save(world),
        await save(world, version=standing + 1),
        await save(world, visitor_id="x", version=standing),
    )
    assert (again.status_code, stale.status_code, unknown.status_code) == (409, 409, 404)
    assert (stale.json()["yours"], stale.json()["current"]["version"]) == ({"version": standing + 1}, standing)
    answers = await asyncio.gather(*(save(world, version=standing, weekly_cap=cap) for cap in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert [event.version for _, _, event in await told(world)] == [standing, await at(world)]


async def test_visitors_say_themselves_when_they_can(world: World) -> None:
    await save(world)
    registered = await at(world)
    assert (await can(world, registered, windows=MORNINGS)).status_code == 200
    assert (
        await can(world, await at(world), actor="ana", away=[{"first_day": "2026-12-21", "last_day": "2027-01-01"}])
    ).json()["windows"] == []
    for who, status in (("omar", 403), ("dora", 404), ("bea", 404), ("dana", 403)):
        assert (await can(world, await at(world), actor=who)).status_code == status
    assert (await can(world, registered)).status_code == 409
    versions = [event.version for _, _, event in await told(world)]
    assert (len(versions), versions[0], versions[-1]) == (3, registered, await at(world))
    assert versions == sorted(set(versions))


async def test_only_the_desk_of_the_district_registers(world: World) -> None:
    for who, status in (("bea", 404), ("dana", 403), ("marisol", 403), ("carl", 201)):
        assert (await save(world, actor=who)).status_code == status
    for path in ("/v1/visitors/marisol", "/v1/visitors/nobody"):
        assert (await world.http.get(path, headers=headers("bea"))).status_code == 404
    assert (await world.http.get("/v1/visitors", headers=headers("bea"))).json() == {"visitors": []}
    own = (await world.http.get("/v1/visitors?district=hartford", headers=headers("ana"))).json()["visitors"]
    assert [each["visitor_id"] for each in own] == ["marisol"]


async def test_two_districts_may_call_a_visitor_alike_and_each_has_their_own(world: World) -> None:
    first = await save(world, actor="ana")
    second = await save(world, actor="bea", district="danbury", weekly_cap=3)
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.json()["visitor_id"], second.json()["visitor_id"]) == ("marisol", "danbury.marisol")
    assert "hartford" not in second.text

    # Each desk finds its own by what it calls them, and by what they are called everywhere.
    for path in ("/v1/visitors/marisol", "/v1/visitors/danbury.marisol"):
        found = await world.http.get(path, headers=headers("bea"))
        assert (found.status_code, found.json()["visitor_id"]) == (200, "danbury.marisol")
    hartfords = (await world.http.get("/v1/visitors/marisol", headers=headers("ana"))).json()
    assert (hartfords["visitor_id"], hartfords["district"]) == ("marisol", "hartford")
    assert (await world.http.get("/v1/visitors/danbury.marisol", headers=headers("ana"))).status_code == 404

    # A change by the district's own id changes its own, and is told under the id that only one of them has.
    changed = await save(world, actor="bea", district="danbury", weekly_cap=5, version=second.json()["version"])
    assert (changed.status_code, changed.json()["visitor_id"], changed.json()["weekly_cap"]) == (
        200,
        "danbury.marisol",
        5,
    )
    assert (await world.http.get("/v1/visitors/marisol", headers=headers("ana"))).json() == hartfords
    assert [key for _, key, _ in await told(world)] == ["marisol", "danbury.marisol", "danbury.marisol"]
    assert (await save(world, actor="bea", district="danbury")).status_code == 409


async def test_an_id_like_another_districts_own_takes_nothing_from_it(world: World) -> None:
    assert (await save(world, actor="ana", visitor_id="danbury.marisol")).status_code == 201
    assert (await save(world, actor="ana")).status_code == 201
    refused = await save(world, actor="bea", district="danbury")
    assert (refused.status_code, refused.json()["code"]) == (409, "visitor_changed")
    assert "hartford" not in refused.text
    assert (await world.http.get("/v1/visitors/marisol", headers=headers("bea"))).status_code == 404


@pytest.mark.parametrize(
    "facts",
    [
        {"leap101_valid_from": "2027-01-01", "leap101_valid_until": "2026-01-01"},
        {"leap101_valid_until": "2026-02-30"},
        {"leap101_valid_until": "9999-12-31"},
        {"affiliation": "school"},
        {"affiliation": "friend"},
        {"school": "<script>alert(1)</script>"},
        {"languages": []},
        {"languages": ["english"]},
        {"weekly_cap": -1},
        {"weekly_cap": 1000},
        {"windows": [{"weekday": 8, "begins": "08:00", "ends": "09:00"}]},
        {"windows": [{"weekday": 1, "begins": "09:00", "ends": "08:00"}]},
        {"windows": [{"weekday": 1, "begins": "25:00", "ends": "26:00"}]},
        {"windows": [{"weekday": 1, "begins": "08:00", "ends": "09:00"}] * 2},
        {"away": [{"first_day": "2026-12-02", "last_day": "2026-12-01"}]},
        {"away": [{"first_day": "2026-12-02", "last_day": "2026-12-03"}] * 101},
        {"visitor_id": "Marisol Madeupton"},
        {"visitor_id": "x" * 65},
        {"name": "Marisol Madeupton"},
        {"version": 2**63},
    ],
)
async def test_what_makes_no_sense_is_refused_and_tells_nothing(world: World, facts: dict[str, Any]) -> None:
    refused = await save(world, **facts)
    assert refused.status_code == 422
    assert "Madeupton" not in refused.text
    assert await world.pool.fetchval("SELECT count(*) FROM visitor") == 0
    assert await told(world) == []


async def test_an_agreed_visit_stays_when_its_visitor_changes_and_somebody_is_told_to_look(world: World) -> None:
    await register(world, "marisol", "omar")
    agreed_visit = (await appoint(world, await agreed(world))).json()

    async def affected(answer: Response) -> list[tuple[str, str]]:
        assert answer.status_code == 200, answer.text
        return [(each["visit_id"], each["reason"]["code"]) for each in answer.json()["affected_visits"]]

    visit_id = agreed_visit["visit_id"]
    assert await affected(await can(world, await at(world), windows=MORNINGS)) == [(visit_id, "not_available")]
    assert await affected(await can(world, await at(world), windows=[])) == []
    assert await affected(await save(world, version=await at(world), active=False)) == [(visit_id, "inactive")]
    assert await affected(await save(world, version=await at(world), weekly_cap=1)) == []
    excluded = await world.http.put(
        f"/v1/visitors/marisol/exclusions/{household(1)}", json={"version": await at(world)}
    )
    assert await affected(excluded) == [(visit_id, "excluded")]
    assert await world.pool.fetchval("SELECT count(*) FROM booking") == 2
    assert await world.pool.fetchval("SELECT state FROM visit") == "scheduled"


async def test_a_training_that_ends_while_a_visit_is_agreed_is_seen_by_one_of_the_two(world: World) -> None:
    """Whoever comes second decides with what the first one did: never a pair without training unnoticed."""
    await register(world, "marisol", "omar")
    request = await agreed(world)
    ends = str(clock.now().date())
    appointed, shortened = await asyncio.gather(
        appoint(world, request), save(world, version=await at(world), leap101_valid_until=ends)
    )
    noticed = bool(shortened.json()["affected_visits"])
    assert (appointed.status_code, noticed) in ((200, True), (422, False))


async def test_the_database_itself_wants_a_pair_trained_and_a_member_of_the_school_from_one(world: World) -> None:
    await register(world, "marisol", "omar")
    await register(world, "untrained", leap101_valid_until=str(clock.now().date()))
    with pytest.raises(asyncpg.CheckViolationError):
        await world.pool.execute("UPDATE visitor SET affiliation = 'school' WHERE visitor_id = 'omar'")
    await agreed(world)
    visit_id = await world.pool.fetchval(
        "INSERT INTO visit (request_id) SELECT request_id FROM request RETURNING visit_id"
    )
    insert = """
        INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor,
                                 made_by, made_at)
        VALUES ($1, 1, $2, 'home', 'en', $3, $4, 'ana', now())
    """
    for pair in (("omar", "omar"), ("omar", "untrained"), ("omar", "nobody")):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.pool.execute(insert, visit_id, ahead(), *pair)


async def test_no_event_about_a_visitor_says_more_than_its_contract(world: World) -> None:
    await register(world, "marisol", affiliation="school", school="H01")
    await world.http.put(f"/v1/visitors/marisol/exclusions/{household(1)}", json={"version": await at(world)})
    fields = {key for line in (await world.payloads()).splitlines() for key in json.loads(line)}
    assert fields == set(events.VisitorChanged.model_fields)
    assert str(household(1)) not in await world.payloads()

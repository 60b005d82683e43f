"""Only the sending district's coordinator gives its days of a child away; who and when is kept, and it is told."""

from typing import Any

from contracts.events import TransferConfirmed
from tests.component.visit_events import World
from tests.people import headers

PERSON = "0b8f6a52-6a3c-4f0e-8a53-3a6f9b9b4d10"
AWAY = {"from_district": "hartford", "district": "danbury"}


async def confirm(world: World, person: str, sent: dict[str, str]) -> Any:
    return await world.http.put(f"/v1/transfers/{PERSON}", json=sent, headers=headers(person))


async def test_a_confirmed_transfer_is_kept_with_who_and_when_and_told_alike_again(world: World) -> None:
    first = await confirm(world, "carl", AWAY)
    again = await confirm(world, "carl", AWAY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert (first.json()["confirmed_by"], first.json()["district"]) == ("carl", "danbury")

    rows = await world.pool.fetch("SELECT topic, key, payload FROM outbox ORDER BY id")
    assert {(row["topic"], row["key"]) for row in rows} == {("transfers", "danbury")}
    told = [TransferConfirmed.model_validate_json(row["payload"]) for row in rows]
    assert told[0] == told[1]
    assert (str(told[0].person_key), told[0].from_district) == (PERSON, "hartford")


async def test_nobody_else_gives_a_districts_days_away(world: World) -> None:
    assert (await confirm(world, "ana", AWAY)).status_code == 403
    assert (await confirm(world, "state", AWAY)).status_code == 403
    # The claiming district can't say it in the other's name.
    taken = await confirm(world, "carl", {"from_district": "danbury", "district": "hartford"})
    assert (taken.status_code, taken.json()["code"]) == (404, "district_unknown")
    same = await confirm(world, "carl", {"from_district": "hartford", "district": "hartford"})
    assert (same.status_code, same.json()["code"]) == (422, "same_district")
    assert await world.pool.fetchval("SELECT count(*) FROM transfer") == 0
    assert await world.pool.fetchval("SELECT count(*) FROM outbox") == 0

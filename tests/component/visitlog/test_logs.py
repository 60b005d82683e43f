"""What happened at the door, written once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import events
from tests.component.visit_events import MORNING, contact, household
from tests.component.visit_events import of_visit as event_of_visit
from tests.component.visitlog.conftest import VisitLog as World

VISIT = UUID(int=0x0D << 120 | 1)
STARTED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


def of_visit(model: type[events.Event], **fields: Any) -> events.Event:
    """An event of Marisol's and Omar's visit."""
    return event_of_visit(model, **{"pair": ["marisol", "omar"]} | fields)


def a_log(**fields: Any) -> dict[str, Any]:
    """A visit that took place, as a phone sends it."""
    return {
        "visit_id": str(VISIT),
        "outcome": "took_place",
        "started_at": STARTED.isoformat(),
        "ended_at": (STARTED + timedelta(minutes=40)).isoformat(),
        "pair": ["marisol", "omar"],
    } | fields


async def test_a_log_is_written_once_repeated_safely_and_never_overwritten(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    path = f"/v1/visit-logs/{uuid4()}"

    assert (await world.http.put(path, json=a_log())).status_code == 201
    again = a_log(started_at=STARTED.astimezone().isoformat(), referrals=[])
    assert (await world.http.put(path, json=again)).status_code == 200
    other = await world.http.put(path, json=a_log(pair=["marisol", "ana"]))
    assert other.status_code == 409
    said = other.json()
    assert "amendment" in said["detail"]
    assert (said["standing"]["pair"], said["sent"]["pair"]) == (["marisol", "omar"], ["marisol", "ana"])
    assert await world.published() == ["visit.completed.v1"]
    (row,) = await world.pool.fetch("SELECT topic, key FROM outbox")
    assert tuple(row) == ("visit-log", str(household(1)))


async def test_ten_deliveries_at_once_write_one_log(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    path = f"/v1/visit-logs/{uuid4()}"
    answers = await asyncio.gather(*(world.http.put(path, json=a_log()) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert await world.published() == ["visit.completed.v1"]


async def test_an_attempt_its_promise_and_its_referrals_are_told(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    log = a_log(
        outcome="family_not_home",
        ended_at=None,
        follow_up={"due": str(STARTED.date() + timedelta(days=7)), "kind": "call"},
        referrals=[{"resource": "health_insurance"}, {"resource": "summer_camp", "status": "accepted"}],
    )
    assert (await world.http.put(f"/v1/visit-logs/{uuid4()}", json=log)).status_code == 201
    assert await world.published() == [
        "visit.attempted.v1",
        "follow-up.promised.v1",
        "referral.made.v1",
        "referral.made.v1",
    ]


async def test_an_amendment_is_added_and_its_note_stays_here(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    path = f"/v1/visit-logs/{uuid4()}"
    await world.http.put(path, json=a_log())
    notes = [await world.http.post(f"{path}/amendments", json={"note": f"Rosa said {n}"}) for n in (1, 2)]

    assert [(answer.status_code, answer.json()["amendment"]) for answer in notes] == [(201, 1), (201, 2)]
    shown = (await world.http.get(path)).json()
    assert (shown["outcome"], [a["note"] for a in shown["amendments"]]) == (
        "took_place",
        ["Rosa said 1", "Rosa said 2"],
    )
    assert await world.published() == ["visit.completed.v1", "visit-log.amended.v1", "visit-log.amended.v1"]
    assert "Rosa" not in await world.payloads()


async def test_a_cancelled_visit_can_still_be_logged_because_what_happened_happened(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled), of_visit(events.VisitCancelled, version=2))
    row = await world.pool.fetchrow("SELECT cancelled, pair, place FROM visit")
    assert row is not None
    assert (row["cancelled"], row["pair"], row["place"]) == (True, ["marisol", "omar"], "home")
    assert (await world.http.put(f"/v1/visit-logs/{uuid4()}", json=a_log())).status_code == 201


async def test_the_newest_appointment_stands_in_any_order(world: World) -> None:
    moved = of_visit(events.VisitRescheduled, version=3, place="community")
    await world.deliver("home-visits", moved, of_visit(events.VisitScheduled, version=2))
    await world.deliver("home-visits", of_visit(events.VisitScheduled, version=2))
    assert await world.pool.fetchval("SELECT place FROM visit") == "community"


async def test_contacts_are_kept_newest_first_and_forgotten(world: World) -> None:
    await world.deliver("household-contacts", contact(version=2, language="pt"), contact(version=1))
    assert await world.pool.fetchval("SELECT language FROM household_contact") == "pt"
    for newest, nothing in ((2, None), (3, b"")):
        await world.deliver_records([world.record("household-contacts", nothing, key=str(household(1)))])
        assert await world.pool.fetchval("SELECT count(*) FROM household_contact") == 0
        await world.deliver("household-contacts", *(contact(version=version) for version in range(newest + 1)))
        assert await world.pool.fetchval("SELECT count(*) FROM household_contact") == 0
        await world.deliver("household-contacts", contact(version=newest + 1))
        assert await world.pool.fetchval("SELECT source_version FROM household_contact") == newest + 1


async def test_what_landed_before_a_family_took_its_data_back_brings_nothing_back(world: World) -> None:
    taken_back = MORNING + timedelta(hours=1)
    milliseconds = round(taken_back.timestamp() * 1000)
    gone = world.record("household-contacts", None, key=str(household(1)), timestamp_ms=milliseconds)
    await world.deliver_records([gone])
    # Known to nobody by then, and read late: a crash, a frozen process, a repeated file.
    await world.deliver("household-contacts", contact(version=7), contact(version=8, occurred_at=taken_back))
    assert await world.pool.fetchval("SELECT count(*) FROM household_contact") == 0
    kept = await world.pool.fetchrow("SELECT * FROM household_forgotten")
    assert kept is not None
    assert dict(kept) == {"household_key": household(1), "source_version": -1, "forgotten_at": taken_back}
    await world.deliver(
        "household-contacts", contact(version=9, occurred_at=taken_back + timedelta(seconds=1), language="pt")
    )
    assert await world.pool.fetchval("SELECT language FROM household_contact") == "pt"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"visit_id": str(uuid4())}, 404),
        ({"visit_id": "Rosa"}, 422),
        ({"pair": ["omar", "omar"]}, 422),
        ({"pair": ["omar"]}, 422),
        ({"ended_at": None}, 422),
        ({"started_at": "2126-01-01T00:00:00Z", "ended_at": "2126-01-01T01:00:00Z"}, 422),
        ({"outcome": "Rosa was out"}, 422),
        ({"note": "Rosa"}, 422),
        ({"referrals": [{"resource": "Rosa's doctor"}]}, 422),
    ],
)
async def test_a_log_that_can_not_be_accepted_says_why_and_leaves_nothing(
    world: World, change: dict[str, Any], status: int
) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    refused = await world.http.put(f"/v1/visit-logs/{uuid4()}", json=a_log(**change))
    assert refused.status_code == status
    assert refused.json()["detail"]
    assert "Rosa" not in refused.text
    assert await world.pool.fetchval("SELECT count(*) FROM visit_log") == 0


async def test_what_is_not_there_or_not_said_is_answered_clearly(world: World) -> None:
    path = f"/v1/visit-logs/{uuid4()}"
    assert (await world.http.get(path)).status_code == 404
    assert (await world.http.post(f"{path}/amendments", json={"note": "late"})).status_code == 404
    nul = await world.http.post(f"{path}/amendments", content=json.dumps({"note": "a\x00b"}))
    assert nul.status_code == 422
    assert (await world.http.put("/v1/visit-logs/not-an-id", json=a_log())).status_code == 422
    assert (await world.http.put(path, content=b"\xff{")).status_code in (400, 422)
    assert (await world.as_("carl").get("/v1/counts")).json() == {"logs": [], "total": 0}
    del world.http.headers["Authorization"]
    assert (await world.http.put(path, json=a_log())).status_code == 401

"""A flag becomes one open request of a household, and goes with it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord

from contracts.identities import microseconds, request_identity
from tests.component.visit_events import MORNING, World, contact, flag, household, student
from tests.delivering import record


async def requests(world: World) -> list[dict[str, Any]]:
    rows = await world.pool.fetch("SELECT * FROM request ORDER BY opened_at, request_id")
    return [dict(row) for row in rows]


async def test_a_raised_flag_opens_one_request_and_tells_it(world: World) -> None:
    await world.deliver("absence-flags", flag(1))

    (request,) = await requests(world)
    assert (request["household_key"], request["stage"]) == (household(1), "new")
    assert request["version"] == microseconds(request["opened_at"])
    assert request["request_id"] == request_identity(household_key=household(1), school_year=2026, before=0)
    (told,) = [json.loads(line) for line in (await world.payloads()).splitlines()]
    assert told["event_type"] == "visit.requested.v1"
    assert told["request_id"] == str(request["request_id"])
    assert [s["student_key"] for s in told["students"]] == [str(student(1))]
    (row,) = await world.pool.fetch("SELECT topic, key FROM outbox")
    assert tuple(row) == ("home-visits", str(household(1)))


async def test_siblings_share_one_request_in_one_batch_and_in_two(world: World) -> None:
    await world.deliver("absence-flags", flag(1), flag(2))
    await world.deliver("absence-flags", flag(3))

    assert len(await requests(world)) == 1
    assert await world.published() == ["visit.requested.v1"]
    (request,) = (await world.http.get("/v1/requests")).json()["requests"]
    shown = (await world.http.get(f"/v1/requests/{request['request_id']}")).json()
    assert [s["student_key"] for s in shown["students"]] == [str(student(n)) for n in (1, 2, 3)]


async def test_students_without_a_household_get_a_request_each(world: World) -> None:
    await world.deliver("absence-flags", flag(1, household_number=None), flag(2, household_number=None))
    assert {r["household_key"] for r in await requests(world)} == {student(1), student(2)}


async def test_a_household_learnt_later_takes_the_student_in(world: World) -> None:
    await world.deliver("absence-flags", flag(1, household_number=None))
    await world.deliver("absence-flags", flag(1, version=2, level="severely_chronically_absent", household_number=7))

    by_household = {r["household_key"]: r["stage"] for r in await requests(world)}
    assert by_household == {student(1): "closed", household(7): "new"}
    assert await world.published() == [
        "visit.requested.v1",
        "visit.requested.v1",
        "visit-request.withdrawn.v1",
        "visit-request.stage-changed.v1",
    ]


async def test_a_cleared_flag_withdraws_an_untouched_request_and_a_new_flag_opens_another(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    await world.deliver("absence-flags", flag(1, version=3, kind="raised"))

    first, second = await requests(world)
    assert (first["stage"], first["closed_because"], second["stage"]) == ("closed", "no_longer_flagged", "new")
    assert await world.published() == [
        "visit.requested.v1",
        "visit-request.withdrawn.v1",
        "visit-request.stage-changed.v1",
        "visit.requested.v1",
    ]


async def test_while_a_sibling_is_flagged_the_request_stays(world: World) -> None:
    await world.deliver("absence-flags", flag(1), flag(2))
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    assert [r["stage"] for r in await requests(world)] == ["new"]
    await world.deliver("absence-flags", flag(2, version=2, level="none"))
    assert [r["stage"] for r in await requests(world)] == ["closed"]


async def test_a_cleared_flag_only_annotates_a_request_under_way_until_it_is_raised_again(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    await world.http.post("/v1/requests/next/claim")
    await world.deliver("absence-flags", flag(1, version=2, level="none"))

    (request,) = await requests(world)
    assert request["stage"] == "claimed"
    assert request["flags_cleared_at"] is not None
    await world.deliver("absence-flags", flag(1, version=3, kind="raised"))
    (request,) = await requests(world)
    assert (request["stage"], request["flags_cleared_at"]) == ("claimed", None)
    history = await world.pool.fetch("SELECT what FROM request_history ORDER BY version")
    assert [row["what"] for row in history] == ["opened", "claimed", "flag_cleared", "flag_raised"]
    assert await world.published() == ["visit.requested.v1", "visit-request.stage-changed.v1"]


async def test_a_claim_that_lapsed_without_a_contact_counts_as_untouched(world: World) -> None:
    await world.deliver("absence-flags", flag(1))
    await world.http.post("/v1/requests/next/claim")
    await world.pool.execute("UPDATE request SET claimed_until = $1", datetime.now(UTC) - timedelta(seconds=1))
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    assert [r["stage"] for r in await requests(world)] == ["closed"]


async def test_repeated_and_older_flags_change_nothing(world: World) -> None:
    await world.deliver("absence-flags", flag(1), flag(1, version=2, level="none"))
    await world.deliver("absence-flags", flag(1))
    await world.deliver("absence-flags", flag(1, school_year=2025, version=9))
    assert await requests(world) == []
    assert await world.published() == []


async def test_a_flag_that_only_changes_its_level_opens_nothing_after_a_decline(world: World) -> None:
    await world.deliver("absence-flags", flag(1, level="at_risk"))
    request = (await world.http.post("/v1/requests/next/claim")).json()
    declined = {"version": request["version"], "answer": "declined"}
    await world.http.post(f"/v1/requests/{request['request_id']}/answer", json=declined)

    await world.deliver("absence-flags", flag(1, version=2))
    assert [r["stage"] for r in await requests(world)] == ["closed"]


async def test_two_siblings_on_two_partitions_at_once_get_one_request_and_lose_it_together(world: World) -> None:
    def on(partition: int, offset: int, event: Any) -> ConsumerRecord:
        return record("absence-flags", partition, offset, event.model_dump_json())

    households = range(1, 40)
    raised = [[on(p, i, flag(100 * p + h, household_number=h)) for i, h in enumerate(households)] for p in (1, 2)]
    raised[1] = [record(r.topic, 2, i, r.value) for i, r in enumerate(reversed(raised[1]))]
    await asyncio.gather(*(world.deliver_records(batch) for batch in raised))
    assert len(await requests(world)) == len(households)

    cleared = [
        [
            on(p, len(households) + i, flag(100 * p + h, household_number=h, version=2, level="none"))
            for i, h in enumerate(households)
        ]
        for p in (1, 2)
    ]
    await asyncio.gather(*(world.deliver_records(batch) for batch in cleared))
    assert {r["stage"] for r in await requests(world)} == {"closed"}
    published = await world.published()
    assert published.count("visit.requested.v1") == published.count("visit-request.withdrawn.v1") == len(households)


async def test_poison_becomes_a_dead_letter_without_its_content_and_the_rest_takes_effect(world: World) -> None:
    nameless = contact().model_dump(mode="json") | {"contact_name": "Rosa\x00Example"}
    await world.deliver_records(
        [
            world.record("absence-flags", b'{"event_type": "absence-flag.raised.v1", "school": "Rosa Example"}'),
            world.record("absence-flags", b"\xff\xfe"),
            world.record("household-contacts", json.dumps(nameless).encode()),
            world.record("absence-flags", flag(1)),
        ]
    )
    assert len(await requests(world)) == 1
    letters = await world.pool.fetch("SELECT reason, detail FROM dead_letter ORDER BY topic, record_offset")
    assert [row["reason"] for row in letters] == ["not_an_event", "not_an_event", "nul_character"]
    assert not any("Rosa" in row["detail"] for row in letters)


async def test_the_newest_contact_stands_and_a_tombstone_forgets_it(world: World) -> None:
    key = str(household(1))
    await world.deliver("household-contacts", contact(version=2, language="pt"), contact(version=1))
    assert await world.pool.fetchval("SELECT language FROM household_contact") == "pt"
    for newest, nothing in ((2, None), (3, b"")):
        await world.deliver_records([world.record("household-contacts", nothing, key=key)])
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


async def test_a_tombstone_of_nobody_is_set_aside_and_forgets_nobody(world: World) -> None:
    await world.deliver("household-contacts", contact())
    await world.deliver_records([world.record("household-contacts", None, key=key) for key in ("hartford", None)])
    assert await world.pool.fetchval("SELECT count(*) FROM household_contact") == 1
    letters = await world.pool.fetch("SELECT reason FROM dead_letter")
    assert [row["reason"] for row in letters] == ["unreadable_tombstone", "unreadable_tombstone"]


async def test_opening_a_thousand_requests_is_one_batch(world: World) -> None:
    await world.deliver("absence-flags", *(flag(n, household_number=n) for n in range(1, 1001)))
    assert len(await requests(world)) == 1000
    counts = (await world.http.get("/v1/counts")).json()
    assert counts == {"requests": [{"district": "hartford", "stage": "new", "requests": 1000}], "total": 1000}
    assert UUID((await world.http.get("/v1/requests?limit=1")).json()["next_after"])

"""Contact data goes to its compacted topic in the order of its versions, whoever publishes when."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

import msgspec

from contracts.topics import PARTITIONS
from services.ingest.handlers.contacts import LandedContact, tell
from services.ingest.handlers.messages import Sender
from services.ingest.rules.attendance import Identity, changed_contact
from services.ingest.rules.landing import Household
from services.ingest.store.counts import find_receipt, issue_receipt, list_rejected_rows
from services.runtime.delivery.publisher import Publisher, partition_of
from services.runtime.delivery.transaction import begin
from tests.component.ingest.test_rolls_land import Landing
from tests.delivering import RecordingPublisher, record
from tests.unit.ingest.landed import districts
from tests.zones import HERE

ServiceDatabase = Callable[[str], Awaitable[Any]]
ROSTER = "roster-in-hartford"


def household(number: str, version: int) -> dict[str, Any]:
    return {
        "type": "household", "household": number, "contact_name": "Wren Madeupton", "phones": [], "address": None,
        "language": "en", "interpreter_needed": False, "students": [], "version": version,
    }  # fmt: skip


async def told(pool: Any) -> list[int]:
    """The versions that wait for the topic, in their order; each in the partition of its household."""
    rows = await pool.fetch("SELECT partition, key, payload FROM outbox WHERE topic = 'household-contacts' ORDER BY id")
    said = [json.loads(row["payload"]) for row in rows]
    assert [row["key"] for row in rows] == [each["household_key"] for each in said]
    assert [row["partition"] for row in rows] == [partition_of(each["household_key"], PARTITIONS) for each in said]
    return [each["source_version"] for each in said]


async def test_an_older_version_never_goes_behind_a_newer_one(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household("h1", 2), household("h1", 3), household("h1", 1), topic=ROSTER)
    await landing.land(household("h1", 2), household("h2", 1), topic=ROSTER)
    await landing.land(household("h1", 3), household("h1", 4), topic=ROSTER)
    assert await told(pool) == [3, 1, 4]
    assert await landing.counts() == {"roster": 7}


async def test_of_one_version_the_first_is_told_and_any_other_goes_back(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    other = household("h1", 1) | {"contact_name": "Else"}
    await landing.land(household("h1", 1), other, topic=ROSTER)
    await landing.land(household("h1", 1), other, topic=ROSTER)
    rows = await pool.fetch("SELECT payload FROM outbox WHERE topic = 'household-contacts'")
    assert [json.loads(row["payload"])["contact_name"] for row in rows] == ["Wren Madeupton"]
    assert await landing.counts() == {"roster": 2, "rejected": 2}
    assert await landing.gap() == 0
    returned = landing.returned()
    assert [each.landing_offset for each in returned] == [1, 3]
    assert {(each.reason, each.detail.partition(":")[0]) for each in returned} == {("out_of_range", "version")}
    assert [json.loads(each.original) for each in returned] == [other, other]
    await landing.land(other | {"version": 2}, topic=ROSTER)
    assert await told(pool) == [1, 2]


async def test_a_contradicting_row_of_an_upload_is_named_and_not_called_accepted(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    receipt = uuid4()
    async with pool.acquire() as connection:
        await issue_receipt(connection, district="hartford", receipt=receipt, rows=2)
    await landing.land(household("h1", 1), topic=ROSTER, receipt=str(receipt), row="1")
    await landing.land(household("h1", 1) | {"phones": ["860 555 0100"]}, topic=ROSTER, receipt=str(receipt), row="2")
    async with pool.acquire() as connection:
        found = await find_receipt(connection, district="hartford", receipt=receipt)
        rows = await list_rejected_rows(connection, district="hartford", receipt=receipt, limit=9)
    assert found is not None
    counted = {"rows": 2, "accepted": 1, "duplicate": 0, "rejected": 1}
    assert dict(found) == counted | {"not_taken_from": None}, "every row was taken"
    assert [(row["row_number"], row["reason"]) for row in rows] == [(2, "out_of_range")]
    assert "860" not in rows[0]["detail"]


async def test_what_came_late_contradicts_nothing(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    late = household("h1", 1) | {"contact_name": "Else"}
    await landing.land(household("h1", 1), household("h1", 2), late, topic=ROSTER)
    await landing.land(late, topic=ROSTER)
    assert landing.returned() == []
    assert await landing.counts() == {"roster": 4}


async def test_students_in_another_order_are_the_same_household(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    pupils = [{"given_name": name, "family_name": "Madeupton", "student": name} for name in ("Ash", "Elm")]
    await landing.land(household("h1", 1) | {"students": pupils}, topic=ROSTER)
    await landing.land(household("h1", 1) | {"students": pupils[::-1]}, topic=ROSTER)
    assert landing.returned() == []


async def test_content_that_an_older_process_replaced_contradicts_nothing(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household("h1", 1), topic=ROSTER)
    # As the release before writes it: it does not know the content.
    await pool.execute("UPDATE contact_version SET source_version = 2")
    await landing.land(household("h1", 2) | {"contact_name": "Else"}, topic=ROSTER)
    assert landing.returned() == []


async def test_what_is_kept_of_a_household_names_nobody(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    await Landing(pool).land(household("h1", 1), topic=ROSTER)
    kept = await pool.fetchval("SELECT content FROM contact_version")
    assert len(kept) == 16
    assert b"Wren" not in kept


async def test_who_tells_of_the_same_household_waits_and_then_knows(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    sender = Sender.of(ROSTER, 0, district="hartford", pseudonyms=districts().pseudonyms["hartford"])

    def landed(version: int) -> list[LandedContact]:
        fact = changed_contact(
            msgspec.convert(household("h1", version), Household),
            identity=Identity(event_id=str(uuid4()), occurred_at="2026-09-01T12:00:00.000Z", district="hartford"),
            pseudonyms=sender.origin.pseudonyms,
        )
        return [LandedContact.of(record(ROSTER, 0, version, "{}"), sender, 1, fact)]

    async def tell_of(version: int) -> None:
        async with begin(pool, cast("Publisher", RecordingPublisher()), zone=HERE) as transaction:
            assert await tell(transaction, landed(version)) == []

    async with begin(pool, cast("Publisher", RecordingPublisher()), zone=HERE) as first:
        await tell(first, landed(3))
        waiting = asyncio.create_task(tell_of(2))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done, "it did not wait for the one before it"
    await waiting
    assert await told(pool) == [3]

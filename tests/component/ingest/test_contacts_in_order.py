"""Contact data goes to its compacted topic in the order of its versions, whoever publishes when."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from services.ingest.handlers.contacts import tell
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.transaction import begin
from tests.component.ingest.test_rolls_land import Landing
from tests.delivering import RecordingPublisher
from tests.zones import HERE

ServiceDatabase = Callable[[str], Awaitable[Any]]
ROSTER = "roster-in-hartford"


def household(number: str, version: int) -> dict[str, Any]:
    return {
        "type": "household", "household": number, "contact_name": "Wren Madeupton", "phones": [], "address": None,
        "language": "en", "interpreter_needed": False, "students": [], "version": version,
    }  # fmt: skip


async def told(pool: Any) -> list[int]:
    """The versions that wait for the topic, in their order."""
    rows = await pool.fetch("SELECT payload FROM outbox WHERE topic = 'household-contacts' ORDER BY id")
    return [json.loads(row["payload"])["source_version"] for row in rows]


async def test_an_older_version_never_goes_behind_a_newer_one(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household("h1", 2), household("h1", 3), household("h1", 1), topic=ROSTER)
    await landing.land(household("h1", 2), household("h2", 1), topic=ROSTER)
    await landing.land(household("h1", 3), household("h1", 4), topic=ROSTER)
    assert await told(pool) == [3, 1, 4]
    assert await landing.counts() == {"roster": 7}


async def test_of_one_version_the_first_is_told_and_no_other(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household("h1", 1), household("h1", 1) | {"contact_name": "Else"}, topic=ROSTER)
    await landing.land(household("h1", 1) | {"contact_name": "Else"}, topic=ROSTER)
    rows = await pool.fetch("SELECT payload FROM outbox WHERE topic = 'household-contacts'")
    assert [json.loads(row["payload"])["contact_name"] for row in rows] == ["Wren Madeupton"]


async def test_who_tells_of_the_same_household_waits_and_then_knows(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")

    def message(version: int) -> dict[int, list[tuple[bytes, bytes, list[tuple[str, bytes]]]]]:
        number = f"00000000-0000-0000-0000-{1:012d}"
        said = {"event_id": number, "household_key": number, "source_version": version}
        return {0: [(b"key", json.dumps(said).encode(), [])]}

    async def tell_of(version: int) -> None:
        async with begin(pool, cast("Publisher", RecordingPublisher()), zone=HERE) as transaction:
            await tell(transaction, message(version))

    async with begin(pool, cast("Publisher", RecordingPublisher()), zone=HERE) as first:
        await tell(first, message(3))
        waiting = asyncio.create_task(tell_of(2))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done, "it did not wait for the one before it"
    await waiting
    assert await told(pool) == [3]

"""Contact data goes to its compacted topic in the order of its versions, whoever publishes when."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from services.ingest.handlers.contacts import in_order
from tests.component.ingest.test_rolls_land import Landing

ServiceDatabase = Callable[[str], Awaitable[Any]]
ROSTER = "roster-in-hartford"


def household(number: str, version: int) -> dict[str, Any]:
    return {
        "type": "household", "household": number, "contact_name": "Wren Madeupton", "phones": [], "address": None,
        "language": "en", "interpreter_needed": False, "students": [], "version": version,
    }  # fmt: skip


def published(landing: Landing) -> list[int]:
    """The versions on the topic, in their order."""
    return [json.loads(value)["source_version"] for value in landing._published("household-contacts")]


async def test_an_older_version_never_goes_behind_a_newer_one(service_database: ServiceDatabase) -> None:
    landing = Landing(await service_database("ingest"))
    await landing.land(household("h1", 2), household("h1", 3), household("h1", 1), topic=ROSTER)
    await landing.land(household("h1", 2), household("h2", 1), topic=ROSTER)
    await landing.land(household("h1", 3), household("h1", 4), topic=ROSTER)
    # A repeat of the newest may go: what a crash published without its position is published again.
    assert published(landing) == [3, 1, 4]
    assert await landing.counts() == {"roster": 7}


async def test_who_publishes_of_the_same_household_waits_and_then_knows(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")

    def message(version: int) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        said = {"household_key": "00000000-0000-0000-0000-000000000001", "source_version": version}
        return b"key", json.dumps(said).encode(), []

    async with pool.acquire() as first, pool.acquire() as second:
        transaction = first.transaction()
        await transaction.start()
        assert await in_order(first, {0: [message(3)]}) == {0: [message(3)]}
        waiting = asyncio.create_task(in_order(second, {0: [message(2)]}))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done, "it did not wait for the one before it"
        await transaction.commit()
        assert await waiting == {0: []}

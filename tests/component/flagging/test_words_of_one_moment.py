"""Complete, and open again: where neither has a version and both have one moment, the word that landed later stands."""

import itertools
import json
from typing import Any

import asyncpg
import pytest

from contracts.topics import PARTITIONS
from services.flagging.app import FACTS
from services.runtime.delivery.publisher import partition_of
from tests.component.flagging.builders import Feeder, calendar, completion, reopening, school_days, stint, student
from tests.component.flagging.test_which_days_count import days_of
from tests.conftest import ServiceDatabase
from tests.delivering import deliver, record
from tests.unit.ingest.landed import completed, land, published

pytestmark = pytest.mark.asyncio(loop_scope="session")

Pool = asyncpg.Pool
ANNA = student(1)
DAYS = school_days(3)
MOMENT = 1_788_220_800_000_000


@pytest.mark.parametrize("says_last", ["complete", "reopened"])
async def test_of_words_of_one_moment_the_later_landed_stands_in_any_order(
    service_database: ServiceDatabase, says_last: str
) -> None:
    words = [completion(DAYS[0], MOMENT, landed=6), reopening(DAYS[0], MOMENT, landed=7)]
    if says_last == "complete":
        words.append(completion(DAYS[0], MOMENT, landed=8))
    for order in itertools.permutations(words):
        pool = await service_database("flagging")
        feeder = Feeder(pool)
        await feeder.feed([calendar(DAYS), stint(ANNA)])
        for word in order:
            await feeder.feed([word])
        assert await days_of(pool) == (0, says_last == "complete")


async def test_a_newer_moment_and_a_larger_version_come_before_any_place_of_landing(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([calendar(DAYS), stint(ANNA)])
    # The landing topic was made anew: places count from the beginning again.
    await feeder.feed([completion(DAYS[0], MOMENT, landed=900), reopening(DAYS[0], MOMENT + 1000, landed=0)])
    await feeder.feed([reopening(DAYS[1], MOMENT, landed=3), completion(DAYS[1], MOMENT + 1)])
    assert await days_of(pool) == (0, 1)


@pytest.mark.parametrize("is_reopened_last", [True, False])
async def test_what_a_district_lands_in_one_moment_ends_as_it_was_landed(
    service_database: ServiceDatabase, is_reopened_last: bool
) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed([calendar(DAYS), stint(ANNA)])
    word: dict[str, Any] = {"school": "H01", "date": DAYS[0].isoformat(), "feed": "exceptions"}
    reopened = {"type": "roll_reopened", **word}
    landed = [completed(**word), reopened, completed(**word), *([reopened] if is_reopened_last else [])]
    told = [json.dumps(written) for _, written in published(land(*landed), "rolls")]
    # Read again from the beginning, and in another order: it is the same.
    for values in (told, told[::-1]):
        lane = partition_of("hartford", PARTITIONS)
        offset = await pool.fetchval("SELECT coalesce(max(next_offset), 0) FROM position WHERE topic = 'rolls'")
        await deliver(pool, FACTS, [record("rolls", lane, offset + n, value) for n, value in enumerate(values)])
        assert await days_of(pool) == (0, 0 if is_reopened_last else 1)

"""A child whom two districts enrol by the state's number: neither sees the other's days before a transfer."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from services.flagging.store import claims
from tests.component.flagging.asking import ask, client
from tests.component.flagging.builders import Feeder, calendar, mark, roll, school_days, stint, student, transfer
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

PERSON = UUID("0b8f6a52-6a3c-4f0e-8a53-3a6f9b9b4d10")
ANNA, CLAIMED = student(1), student(99)
DAYS = school_days(20)


def a_year(who: UUID, district: str, absent: list[date], **enrolled: Any) -> list[Any]:
    """Twenty school days of a child in a district, some of them absent."""
    return [
        calendar(DAYS, district=district),
        stint(who, district=district, person_key=PERSON, **enrolled),
        *(roll(day, district=district) for day in DAYS),
        *(mark(who, day, district=district) for day in absent),
    ]


async def state_of(pool: Any, who: UUID, person: str) -> dict[str, Any]:
    (found,) = [
        each
        for each in (await ask(pool, f"/v1/students/{who}/absence", person))["accumulators"]
        if each["accumulator"] == "state"
    ]
    assert isinstance(found, dict)
    return found


async def test_a_district_that_enrols_anothers_child_learns_that_it_does_and_nothing_of_the_days(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([*a_year(ANNA, "hartford", DAYS[:3]), *a_year(CLAIMED, "danbury", DAYS[2:8])])
    hartfords = {"accumulator": "state", "days_enrolled": 20, "days_absent": 3, "enrolled_elsewhere": True}
    danburys = {**hartfords, "days_absent": 6}
    assert await state_of(pool, ANNA, "dana") == hartfords
    assert await state_of(pool, CLAIMED, "bea") == danburys

    # Whichever days the claiming district chooses, alone or all, the answer follows from its own alone.
    for count in (1, 5):
        corrected = DAYS[2 : 2 + count]
        await feeder.feed([mark(CLAIMED, day, "in_attendance", district="danbury", version=9) for day in corrected])
        assert (await state_of(pool, CLAIMED, "bea"))["days_absent"] == 6 - count
    assert await state_of(pool, ANNA, "dana") == hartfords


async def test_the_sending_districts_word_shows_its_days_to_the_other_and_not_the_reverse(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed(
        [
            *a_year(ANNA, "hartford", DAYS[:3]),
            *a_year(CLAIMED, "danbury", DAYS[2:8], entry=DAYS[2]),
            transfer(PERSON, "hartford", "danbury"),
        ]
    )
    # Of the day that both tell, the later entry's mark counts, once.
    together = await state_of(pool, CLAIMED, "bea")
    assert (together["days_absent"], together["enrolled_elsewhere"]) == (8, False)
    assert (await state_of(pool, ANNA, "dana"))["days_absent"] == 3


async def test_flags_are_what_they_were_without_the_other_district(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed([*a_year(ANNA, "hartford", DAYS[:1]), *a_year(CLAIMED, "danbury", DAYS[2:16])])
    hers = await ask(pool, f"/v1/students/{ANNA}/absence", "dana")
    assert (hers["level"], hers["history"]) == ("none", [])
    assert (await ask(pool, f"/v1/students/{CLAIMED}/absence", "bea"))["level"] == "severely_chronically_absent"


async def test_coordinators_see_the_overlap_of_their_district_and_nobody_else_does(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([*a_year(ANNA, "hartford", DAYS[:3]), *a_year(CLAIMED, "danbury", [])])
    seen = await ask(pool, "/v1/claims?school_year=2026", "carl")
    expected = {
        "district": "hartford", "student_key": str(ANNA), "person_key": str(PERSON), "elsewhere": "danbury",
        "told_by_us": False, "told_by_them": False,
    }  # fmt: skip
    assert seen == {"school_year": 2026, "claims": [expected], "more": False}

    await feeder.feed([transfer(PERSON, "hartford", "danbury")])
    (confirmed,) = (await ask(pool, "/v1/claims?school_year=2026", "carl"))["claims"]
    assert (confirmed["told_by_us"], confirmed["told_by_them"]) == (True, False)
    for person in ("bea", "dana", "state", "marisol"):
        async with client(pool, person) as http:
            assert (await http.get("/v1/claims")).status_code == 403, person


async def test_unconfirmed_claims_are_counted_in_both_districts_until_one_is_confirmed(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([*a_year(ANNA, "hartford", []), *a_year(CLAIMED, "danbury", [])])
    async with pool.acquire() as connection:
        assert await claims.unconfirmed(connection, DAYS[-1]) == {"hartford": 1, "danbury": 1}
    await feeder.feed([transfer(PERSON, "hartford", "danbury")])
    async with pool.acquire() as connection:
        assert await claims.unconfirmed(connection, DAYS[-1]) == {}

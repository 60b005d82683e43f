"""Fifty people act on two hundred requests at once, over HTTP, on one real database."""

import json
from collections import Counter

import pytest

from services.runtime.roles import as_owner
from tests.component.scheduling.conftest import FIFTY
from tests.component.scheduling.desk import ahead, register
from tests.component.visit_events import World, flag
from tests.crowd import Crowd, assert_the_desk_is_sound

VISITORS = [f"visitor-{number:02}" for number in range(30)]


async def test_no_visitor_is_booked_twice_no_update_lost_and_every_event_told_once(world: World) -> None:
    await world.deliver("absence-flags", *(flag(number, household_number=number) for number in range(1, 201)))
    await register(world, *VISITORS, weekly_cap=60)
    crowd = Crowd(client=world.acting_as, people=list(FIFTY), visitors=VISITORS, first_day=ahead(8))
    await crowd.work()

    async with world.pool.acquire() as connection:
        await assert_the_desk_is_sound(connection, crowd)  # type: ignore[arg-type]
    assert crowd.refused["booked"] > 0, "nobody wanted the same visitor: nothing was tried"
    told = [json.loads(line) for line in (await world.payloads()).splitlines()]
    assert len({event["event_id"] for event in told}) == len(told)
    of_type = Counter(event["event_type"] for event in told)
    visits = await world.pool.fetchval("SELECT count(*) FROM visit WHERE state = 'scheduled'")
    assert of_type["visit.scheduled.v1"] == visits == of_type["family.agreed.v1"]
    assert of_type["visit.requested.v1"] == of_type["contact.attempted.v1"] == 200


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            """
            ALTER TABLE booking DROP CONSTRAINT booked_once;
            UPDATE appointment SET starts_at = (SELECT min(starts_at) FROM appointment),
                                   first_visitor = 'visitor-00', second_visitor = 'visitor-01'
            """,
            "booked twice",
        ),
        ("DELETE FROM request_history WHERE what = 'contacted'", "row of history"),
        ("UPDATE request_history SET actor = 'somebody' WHERE what = 'appointed'", "acknowledged"),
        ("UPDATE request_history SET what = 'claimed' WHERE what = 'contacted'", "claimed more than once"),
    ],
)
async def test_the_check_of_a_crowd_finds_what_it_looks_for(world: World, fault: str, says: str) -> None:
    await world.deliver("absence-flags", *(flag(number, household_number=number) for number in range(1, 9)))
    await register(world, *VISITORS[:6], weekly_cap=60)
    people = list(FIFTY)[:3]
    crowd = Crowd(client=world.acting_as, people=people, visitors=VISITORS[:6], first_day=ahead(8))
    await crowd.work()

    async with world.pool.acquire() as connection:
        await assert_the_desk_is_sound(connection, crowd)  # type: ignore[arg-type]
        async with as_owner(connection):
            await connection.execute(fault)
        with pytest.raises(AssertionError, match=says):
            await assert_the_desk_is_sound(connection, crowd)  # type: ignore[arg-type]

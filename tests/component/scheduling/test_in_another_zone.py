"""A desk on the other side of midnight: what is a day, an hour and a week there goes by its own clock."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from contracts.calendar import local_day
from services.runtime import clock
from services.scheduling.app import service
from tests.component.scheduling.desk import act, agreed, appoint, codes, register, shown
from tests.component.visit_events import World, flag
from tests.conftest import ServiceDatabase
from tests.people import headers, people
from tests.zones import ELSEWHERE, HERE

# 21:00 on Tuesday 5 January in Connecticut is 15:00 on Wednesday in New Zealand.
EVENING = datetime(2027, 1, 6, 2, 0, tzinfo=UTC)
TUESDAY = date(2027, 1, 5)


@pytest.mark.parametrize(
    ("zone", "trained_until", "refused"),
    [
        (HERE, TUESDAY, False),
        (HERE, TUESDAY - timedelta(days=1), True),
        (ELSEWHERE, TUESDAY, True),
        (ELSEWHERE, TUESDAY + timedelta(days=1), False),
    ],
)
async def test_the_database_wants_a_pair_trained_on_the_local_day(
    service_database: ServiceDatabase, zone: ZoneInfo, trained_until: date, refused: bool
) -> None:
    pool = await service_database("scheduling", zone=zone)
    await pool.execute(
        "INSERT INTO visitor (visitor_id, district, leap101_valid_from, leap101_valid_until, languages)"
        " SELECT name, 'hartford', $1::date - 90, $1, ARRAY['en'] FROM unnest(ARRAY['ana', 'ben']) AS name",
        trained_until,
    )
    visit_id = await pool.fetchval(
        "WITH r AS (INSERT INTO request (household_key, district, school, opened_at, tries_from, aged_from)"
        " VALUES ($1, 'hartford', 'H01', now(), now(), current_date) RETURNING request_id)"
        " INSERT INTO visit (request_id) SELECT request_id FROM r RETURNING visit_id",
        uuid4(),
    )
    insert = """
        INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor,
                                 made_by, made_at)
        VALUES ($1, 1, $2, 'home', 'en', 'ana', 'ben', 'ana', $3)
    """
    agreed_at = EVENING - timedelta(days=30)
    if refused:
        with pytest.raises(asyncpg.CheckViolationError, match="LEAP 101"):
            await pool.execute(insert, visit_id, EVENING, agreed_at)
    else:
        await pool.execute(insert, visit_id, EVENING, agreed_at)


async def test_a_connection_that_says_no_zone_agrees_nothing(service_database: ServiceDatabase) -> None:
    pool = await service_database("scheduling")
    async with pool.acquire() as connection:
        await connection.execute("SET leap.time_zone = ''")
        with pytest.raises(asyncpg.PostgresError, match="time zone"):
            await connection.execute(
                "INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor,"
                " second_visitor, made_by, made_at) VALUES ($1, 1, $2, 'home', 'en', 'a', 'b', 'a', now())",
                uuid4(),
                EVENING,
            )


async def test_days_hours_and_weeks_are_those_of_the_desks_own_clock(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    pool = await service_database("scheduling", zone=ELSEWHERE)
    world = World(pool, service, people(tmp_path), zone=ELSEWHERE)
    today = local_day(clock.now(), zone=ELSEWHERE)
    monday = today + timedelta(days=14 - today.weekday())
    at_nine, at_noon = (datetime.combine(monday, time(hour), ELSEWHERE) for hour in (9, 12))
    evening = datetime.combine(monday, time(21), ELSEWHERE)  # the middle of the night in Connecticut, or its morning

    await world.deliver("absence-flags", flag(1))
    opened = await pool.fetchrow("SELECT aged_from, request_id FROM request")
    assert opened is not None
    assert opened["aged_from"] == local_day(clock.now(), zone=ELSEWHERE)

    await register(world, "marisol", "omar", windows=[{"weekday": 1, "begins": "12:00", "ends": "14:00"}], weekly_cap=1)
    request = await agreed(world, 2)
    refused = await appoint(world, request, starts_at=at_nine.isoformat())
    assert codes(refused) == ["not_available", "not_available"]
    assert f"on {monday} from 09:00 to 10:00" in refused.text
    assert codes(await appoint(world, request, starts_at=evening.isoformat())) == ["night"]
    paired = await appoint(world, request, starts_at=at_noon.isoformat())
    assert paired.status_code == 200, paired.text

    other = await agreed(world, 3)
    booked = await appoint(world, other, starts_at=(at_noon + timedelta(minutes=30)).isoformat())
    assert codes(booked) == ["booked", "weekly_cap", "booked", "weekly_cap"]
    assert f"from {monday} 12:00 to {monday} 13:00" in booked.text

    sheet = await world.http.get("/v1/day-sheet", params={"district": "hartford", "day": str(monday)})
    assert [UUID(visit["request_id"]) for visit in sheet.json()["visits"]] == [UUID(request["request_id"])]


async def test_a_lease_is_told_by_the_desks_own_clock(service_database: ServiceDatabase, tmp_path: Path) -> None:
    pool = await service_database("scheduling", zone=ELSEWHERE)
    world = World(pool, service, people(tmp_path), zone=ELSEWHERE)
    await world.deliver("absence-flags", flag(1))
    request = await shown(world, str(await pool.fetchval("SELECT request_id FROM request")))
    claimed = (await act(world, request, "claim")).json()
    until = datetime.fromisoformat(claimed["claimed_until"]).astimezone(ELSEWHERE)
    held = await world.http.post(
        f"/v1/requests/{request['request_id']}/claim", json={"version": claimed["version"]}, headers=headers("ben")
    )
    assert held.status_code == 409
    assert f"until {until:%H:%M};" in held.json()["detail"]

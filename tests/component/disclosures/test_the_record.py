"""The record itself: bounded by the hour, only added to, read page by page within one's districts; the old ones too."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from contracts.disclosures import Purpose, What
from services.flagging.handlers import forgetting as flagging_forgets
from services.reporting import handlers as reporting_handlers
from services.runtime.roles import enter_for_people
from services.runtime.web.disclosing import (
    Reading,
    ReadTooMuch,
    Shown,
    disclose,
    erase_disclosed_of_ended,
    let_go_disclosed,
)  # fmt: skip
from services.runtime.web.people import Door, Person
from services.scheduling.app import service as scheduling
from services.visitlog.app import service as visitlog
from tests import people
from tests.component.visit_events import World, contact, flag, household
from tests.conftest import ServiceDatabase
from tests.delivering import served, transactions

Pool = asyncpg.Pool
NOW = datetime(2026, 10, 20, 15, tzinfo=UTC)
NAMED = Reading(what=(What.NAME,), purpose=Purpose.FIND, door="search")
DAYS = Reading(what=(What.DAYS,), purpose=Purpose.ARRANGE, counted=False)


def person(name: str = "ana", *, at_most: int = 500) -> Person:
    door = Door("page", "GET /requests/{request_id}", at_most)
    return Person(
        name=name, display_name=name, role="scheduler", scopes=frozenset({"hartford"}), language="en", door=door
    )


async def read(
    pool: "Pool[asyncpg.Record]", who: Person, numbers: range, reading: Reading = NAMED, *, at: datetime = NOW
) -> None:
    """The person reads of these households, in a transaction of its own."""
    async with pool.acquire() as connection, connection.transaction():
        await disclose(connection, who, [Shown("hartford", household(n)) for n in numbers], reading, as_of=at)


async def test_a_page_of_fifty_is_one_record_for_each_district(service_database: ServiceDatabase) -> None:
    pool = await service_database("scheduling")
    shown = [Shown("hartford" if n % 2 else "danbury", household(n), UUID(int=n)) for n in range(50)]
    async with pool.acquire() as connection, connection.transaction():
        await disclose(connection, person(), [*shown, shown[0]], DAYS, as_of=NOW)
    rows = await pool.fetch("SELECT scope, cardinality(whose), cardinality(members), route FROM disclosed ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("danbury", 25, 25, "GET /requests/{request_id}"), ("hartford", 25, 25, "GET /requests/{request_id}"),
    ]  # fmt: skip


async def test_names_are_bounded_by_the_hour_and_the_person(service_database: ServiceDatabase) -> None:
    pool = await service_database("scheduling")
    ana = person(at_most=40)
    await read(pool, ana, range(40))
    await read(pool, ana, range(40))  # the same families again are no more families
    with pytest.raises(ReadTooMuch):
        await read(pool, ana, range(39, 41))
    assert await pool.fetchval("SELECT count(*) FROM disclosed") == 2, "nothing shown, nothing recorded"

    await read(pool, person("ben", at_most=40), range(40, 80))
    await read(pool, ana, range(100, 300), DAYS)  # figures without a name
    with pytest.raises(ReadTooMuch):
        await read(pool, ana, range(40, 41), at=NOW + timedelta(minutes=59))
    await read(pool, ana, range(40, 80), at=NOW + timedelta(minutes=61))


async def test_who_reads_too_much_is_answered_429_and_shown_nothing(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    pool = await service_database("scheduling")
    world = World(pool, scheduling, people.people(tmp_path))
    for number in (1, 2, 3):
        await world.deliver("household-contacts", contact(number))
        await world.deliver("absence-flags", flag(number, household_number=number))
    app = served(scheduling, pool, people.people(tmp_path))
    app.state.names_per_hour = 2
    requests = [row["request_id"] for row in await pool.fetch("SELECT request_id FROM request ORDER BY household_key")]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test", headers=people.headers("ana")
    ) as http:
        answers = [await http.post(f"/v1/requests/{each}/contact-disclosure") for each in requests]
        in_spanish = {"Accept": "text/html", "Cookie": "language=es"}
        page = await http.get(f"/requests/{requests[2]}", headers=in_spanish)
        found = await http.post("/search", data={"words": "Rosa"}, headers={"Accept": "text/html"})
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert (page.status_code, found.status_code) == (429, 429)
    for refused in (answers[2], page, found):
        assert "Rosa" not in refused.text
        assert "860 555" not in refused.text
        assert int(refused.headers["retry-after"]) > 0
    assert "No se mostró nada" in page.text
    await world.http.aclose()


@pytest.mark.parametrize("statement", ["UPDATE disclosed SET person = 'x'", "DELETE FROM disclosed",
                                       "TRUNCATE disclosed"])  # fmt: skip
async def test_a_service_can_add_to_the_record_and_change_none_of_it(
    statement: str, service_database: ServiceDatabase
) -> None:
    pool = await service_database("visitlog")
    await read(pool, person(), range(1))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)
    assert await pool.fetchval("SELECT person FROM disclosed") == "ana"


@pytest.mark.parametrize("service", ["scheduling", "visitlog", "flagging", "reporting"])
async def test_by_age_and_with_its_district_it_goes_and_in_no_other_way(
    service: str, service_database: ServiceDatabase
) -> None:
    pool = await service_database(service)
    now = datetime.now(UTC)
    for number, days in enumerate((3000, 800, 30)):
        await read(pool, person(), range(number, number + 1), at=now - timedelta(days=days))
    async with pool.acquire() as connection, connection.transaction():
        await disclose(connection, person("bea"), [Shown("danbury", household(9))], DAYS, as_of=now - timedelta(3000))

    async def left() -> list[tuple[str, UUID]]:
        rows = await pool.fetch("SELECT scope, whose[1] FROM disclosed ORDER BY disclosure")
        return [(row[0], UUID(bytes=row[1].bytes)) for row in rows]

    async with pool.acquire() as connection:
        assert await let_go_disclosed(connection, "hartford", now - timedelta(days=900), 500) == 1
        assert await left() == [("hartford", household(1)), ("hartford", household(2)), ("danbury", household(9))]
        # Whatever it is asked for: what was read within a year stays.
        assert await let_go_disclosed(connection, "hartford", now + timedelta(days=9000), 500) == 1
        assert await left() == [("hartford", household(2)), ("danbury", household(9))]
        async with connection.transaction():
            await enter_for_people(connection, "*")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await let_go_disclosed(connection, "hartford", now, 500)

        await erase_disclosed_of_ended(connection)
        assert len(await left()) == 2
        await connection.execute("INSERT INTO ended_owner (owner, ended_at) VALUES ('danbury', now())")
        await erase_disclosed_of_ended(connection)
        assert await left() == [("hartford", household(2))]


async def test_people_read_and_write_it_in_their_own_districts_alone(service_database: ServiceDatabase) -> None:
    pool = await service_database("visitlog")
    await read(pool, person(), range(1))
    async with pool.acquire() as connection:
        for districts, rows in (("hartford", 1), ("danbury", 0), ("*", 1), ("", 0)):
            async with connection.transaction():
                await enter_for_people(connection, districts)
                assert await connection.fetchval("SELECT count(*) FROM disclosed") == rows, districts
        async with connection.transaction():
            await enter_for_people(connection, "danbury")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await disclose(connection, person(), [Shown("hartford", household(2))], NAMED, as_of=NOW)


async def test_how_long_it_is_kept_is_what_the_district_decided(service_database: ServiceDatabase) -> None:
    now = datetime.now(UTC)
    for name, module in (("flagging", flagging_forgets), ("reporting", reporting_handlers)):
        pool = await service_database(name)
        for number, days in enumerate((1500, 1000)):
            await read(pool, person(), range(number, number + 1), at=now - timedelta(days=days))
        table, least = (
            ("policy", "min_enrolled_days") if name == "flagging" else ("district_policy", "minimum_enrolled")
        )
        await pool.execute(
            f"INSERT INTO {table} (district, version, effective_from, {least}) VALUES ('hartford', 1, '2020-01-01', 10)"
        )
        context: Any = SimpleNamespace(begin=transactions(pool))
        await module.let_go(context)
        assert await pool.fetchval("SELECT count(*) FROM disclosed") == 2, "nobody said for how long"
        await pool.execute(f"UPDATE {table} SET disclosures_years = 3 WHERE district = 'hartford'")
        await module.let_go(context)
        assert await pool.fetchval("SELECT array_agg(whose[1]) FROM disclosed") == [household(1)]
        assert await pool.fetchval("SELECT rows FROM let_go WHERE kind = 'disclosures'") == 1


async def test_it_is_read_page_by_page_in_ones_own_districts(service_database: ServiceDatabase, tmp_path: Path) -> None:
    pool = await service_database("visitlog")
    for number in range(7):
        await read(pool, person(), range(number, number + 1), at=NOW + timedelta(seconds=number // 2))
    async with pool.acquire() as connection, connection.transaction():
        await disclose(connection, person("bea"), [Shown("danbury", uuid4(), UUID(int=5))], DAYS, as_of=NOW)
    transport = httpx.ASGITransport(app=served(visitlog, pool, people.people(tmp_path)))

    async def seen(who: str, path: str = "/v1/disclosures", **query: str | int) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.get(path, params=query, headers=people.headers(who) | {"Accept": "text/html"})

    found, after = [], ""
    while after is not None:
        told = (await seen("carl", limit=3, after=after)).json()
        found += [each["whose"][0] for each in told["disclosures"]]
        after = told["next"]
    assert found == [str(household(number)) for number in range(6, -1, -1)], "each once, the latest first"

    assert len((await seen("audit", limit=100)).json()["disclosures"]) == 8
    assert len((await seen("audit", whose=str(household(3)))).json()["disclosures"]) == 1
    assert len((await seen("audit", whose=str(UUID(int=5)))).json()["disclosures"]) == 1
    assert len((await seen("audit", person="bea")).json()["disclosures"]) == 1
    assert len((await seen("carl", person="bea")).json()["disclosures"]) == 0
    for day, count in (("2026-10-20", 8), ("2026-10-21", 0)):
        assert len((await seen("audit", **{"from": day})).json()["disclosures"]) == count
    rows = list(csv.DictReader(io.StringIO((await seen("carl", "/v1/disclosures.csv")).text)))
    assert [row["whose"] for row in rows] == found
    assert {row["door"] for row in rows} == {"search"}
    page = await seen("carl", "/disclosures", whose="", person="ana", **{"from": "", "until": ""})
    assert page.status_code == 200
    assert page.text.count('<a href="/disclosures?whose=') == 7
    for stranger in ("ana", "marisol", "dana", "state", "rosa", "ops"):
        for path in ("/v1/disclosures", "/v1/disclosures.csv", "/disclosures"):
            refused = 403 if path.startswith("/v1/") else 404
            assert (await seen(stranger, path)).status_code == refused, (stranger, path)
    for nonsense in ({"after": "x"}, {"whose": "x"}, {"person": "../"}, {"from": "0001-01-01"}):
        assert (await seen("audit", **nonsense)).status_code == 422, nonsense


async def test_what_was_recorded_before_is_carried_over_and_kept(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    desk = await service_database("scheduling")
    world = World(desk, scheduling, people.people(tmp_path))
    await world.deliver("absence-flags", flag(1))
    await world.http.aclose()
    request_id = await desk.fetchval("SELECT request_id FROM request")
    for why in ("request", "search", "day_sheet", "confirmation"):
        await desk.execute(
            "INSERT INTO contact_disclosure (request_id, shown_to, shown_at, why) VALUES ($1, 'ana', $2, $3)",
            request_id,
            NOW,
            why,
        )
    await desk.execute((scheduling.migrations / "0070_post_disclosures_of_before.sql").read_text())
    rows = await desk.fetch("SELECT person, role, what, scope, whose, purpose, door FROM disclosed ORDER BY disclosure")
    assert [tuple(row) for row in rows] == [
        ("ana", None, ["contact"], "hartford", [household(1)], purpose, None)
        for purpose in ("arrange", "find", "sheet", "confirm")
    ]
    assert await desk.fetchval("SELECT count(*) FROM contact_disclosure") == 4

    log = await service_database("visitlog")
    await log.execute(
        "INSERT INTO disclosure (person, household_key, purpose, what, seen_on, district, first_at, last_at, times)"
        " VALUES ('omar', $1, 'own_visit', 'log', '2026-10-19', 'hartford', $2, $3, 3)",
        household(1),
        NOW - timedelta(hours=2),
        NOW,
    )
    await log.execute((visitlog.migrations / "0070_post_disclosures_of_before.sql").read_text())
    row = await log.fetchrow("SELECT person, what, purpose, since, at, times FROM disclosed")
    assert row is not None
    assert tuple(row) == ("omar", ["words"], "own_visit", NOW - timedelta(hours=2), NOW, 3)


async def test_a_family_s_key_is_found_by_the_whole_name_and_nothing_more_is_told(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    pool = await service_database("scheduling")
    world = World(pool, scheduling, people.people(tmp_path), acting="audit")
    await world.deliver("household-contacts", contact(1, contact_name="José  Núñez"), contact(2))

    async def sought(name: str, who: str = "audit") -> httpx.Response:
        return await world.http.post("/v1/households/sought", json={"name": name}, headers=people.headers(who))

    assert (await sought("rosa EXAMPLE")).json() == {
        "households": [{"household_key": str(household(2)), "district": "hartford"}]
    }
    assert (await sought("Rosa")).json() == {"households": []}
    assert (await sought("%")).status_code == 422
    assert (await sought("rosa example", "ana")).status_code == 403
    seen = await pool.fetch("SELECT person, what, purpose, door, whose FROM disclosed")
    assert [tuple(row) for row in seen] == [("audit", ["name"], "answer", "search", [household(2)])]
    await world.http.aclose()

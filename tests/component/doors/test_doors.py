"""Everybody asks everything of every service: nobody is told what is not theirs, and each seeded fault is found.

The gate asks some thousands of times; `make doors` a hundred thousand times (`DOORS`).
"""

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from fastapi import APIRouter

from contracts.access import ROUTES, Role, Scope
from services.flagging import metrics as flagging_metrics
from services.reporting import metrics as reporting_metrics
from services.runtime.roles import as_owner, enter_for_people
from services.runtime.service import Context, Service
from services.runtime.settings import Settings
from services.runtime.web.access import RoutesUndeclared
from services.runtime.web.context import RowsUnbounded
from services.scheduling import metrics as scheduling_metrics
from services.scheduling.api import requests as requests_api
from services.scheduling.store.measured import known_flags
from services.visitlog.handlers.acts import Act
from tests import people
from tests.component.doors.asking import COUNTED, DESCRIBED, PUBLISHED, STREAMS, ask_all
from tests.component.doors.districts import DISTRICTS, Town, staff, towns
from tests.component.doors.guarded import unguarded
from tests.conftest import ServiceDatabase
from tests.delivering import RecordingPublisher, served
from tests.zones import HERE

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOBODY: Any = RecordingPublisher()
REQUESTS = int(os.environ.get("DOORS", "3000"))
SHARES = {"scheduling": 0.45, "visitlog": 0.25, "reporting": 0.2, "flagging": 0.05, "ingest": 0.05}
GUARDED = ("scheduling", "visitlog", "reporting")

# Who wrote what, of which district: a change by somebody else is a door that stood open.
_WRITTEN = {
    "scheduling": (
        "SELECT district, actor AS who FROM request_history JOIN request USING (request_id) WHERE actor IS NOT NULL",
        "SELECT scope, person FROM disclosed",
        "SELECT district, changed_by FROM policy",
    ),
    "visitlog": (
        "SELECT district, logged_by FROM visit_log JOIN visit USING (visit_id)",
        "SELECT district, made_by FROM amendment JOIN visit_log USING (log_id) JOIN visit USING (visit_id)",
        "SELECT scope, person FROM disclosed",
        "SELECT district, set_by FROM pay_rate",
    ),
}


_OF_REQUESTS = "SELECT DISTINCT district FROM request"


@pytest_asyncio.fixture
async def all_towns(service_database: ServiceDatabase, tmp_path: Path) -> AsyncIterator[dict[str, Town]]:
    """The five services, each with three districts in it."""
    async with towns(service_database, tmp_path) as made:
        yield made


async def test_nobody_is_told_what_is_not_theirs(all_towns: dict[str, Town]) -> None:
    told, foreign = 0, 0
    for name, town in all_towns.items():
        found = await ask_all(town, int(REQUESTS * SHARES[name]))
        assert found.leaks == [], f"{len(found.leaks)} of {found.asked}"
        assert {route for _, route in found.routes} == set(ROUTES[name])
        assert found.by_status[200], "and some of it was theirs"
        told, foreign = told + found.asked, foreign + found.foreign
    assert told > REQUESTS * 0.95
    assert foreign > told / 3

    for name, statements in _WRITTEN.items():
        for statement in statements:
            for district, who in await all_towns[name].pool.fetch(statement):
                scopes = people_of(who)
                assert district in scopes or "*" in scopes, f"{name}: {who} wrote in {district}"


def people_of(name: str) -> list[str]:
    """The districts of one of the staff."""
    scopes: list[str] = staff()[name]["scopes"]
    return scopes


async def test_the_state_office_reads_released_figures_and_nothing_else(all_towns: dict[str, Town]) -> None:
    """As somebody did who read 101 rows of expected logs and had every hidden number of logs due."""
    async with all_towns["visitlog"].client() as http:
        for who in ("state-all", "resc-all", "resc-two", "operations-all"):
            asked = {"from": "2026-07-01", "until": "2027-06-30", "limit": "500"}
            answer = await http.get("/v1/expected-logs", params=asked, headers=people.headers(who))
            assert answer.status_code == 403
            assert not {"visits", "next", "as_of"} & answer.json().keys()
    given = set()
    for name, town in all_towns.items():
        async with town.client() as http:
            for route in ROUTES[name]:
                method, _, path = route.partition(" ")
                if Role.ANYBODY in ROUTES[name][route] or route in STREAMS:
                    continue
                for part, value in (("{district}", "hartford"), ("{name}", "logs"), ("{school}", "HAR01")):
                    path = path.replace(part, value)
                answer = await http.request(method, path, headers=people.headers("state-all"))
                given |= {(name, route)} if answer.status_code not in (401, 403, 404) else set()
    nothing_released = {"GET /v1/published/{name}", "GET /v1/published/{name}.csv", "GET /v1/effect",
                        "GET /v1/effect.csv", "GET /charts/published/{name}.svg"}  # fmt: skip
    released = {("reporting", route) for route in PUBLISHED - nothing_released}
    assert given == released | {(name, DESCRIBED) for name in all_towns}


async def test_counts_are_for_whoever_works_there_and_for_operations(all_towns: dict[str, Town]) -> None:
    for name, town in all_towns.items():
        (route,) = COUNTED
        may = set(ROUTES[name][route])
        assert Role.STATE not in may
        assert Role.RESC not in may
        async with town.client() as http:
            own = await http.get("/v1/counts", headers=people.headers("coordinator-danbury"))
            assert own.status_code == (200 if Role.COORDINATOR in may else 403)
            if own.status_code == 200:
                assert not {"hartford", "bridgeport"} & {each for each in DISTRICTS if each in own.text}


@pytest.mark.parametrize(
    ("service", "route"),
    [("visitlog", "GET /v1/expected-logs"), ("scheduling", "GET /v1/visitors"), ("scheduling", "GET /v1/requests")],
)
async def test_a_role_too_many_in_the_table_is_found(
    service_database: ServiceDatabase, tmp_path: Path, service: str, route: str
) -> None:
    wider = {**ROUTES[service][route], Role.STATE: Scope.DISTRICTS}
    routes: Mapping[str, Any] = {**ROUTES, service: {**ROUTES[service], route: wider}}
    async with towns(service_database, tmp_path, routes) as made:
        found = await ask_all(made[service], 200, routes=[route])
    assert found.leaks


async def test_a_forgotten_where_yields_nothing_and_without_row_level_security_everything(
    all_towns: dict[str, Town], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests_api, "districts_of", lambda *_: None)
    monkeypatch.setattr(Act, "districts", None)
    lists = {
        "scheduling": ["GET /v1/requests", "GET /v1/missing-logs", "GET /v1/counts"],
        "visitlog": ["GET /v1/expected-logs", "GET /v1/counts", "GET /v1/payroll.csv", "GET /v1/disclosures"],
    }
    for name, routes in lists.items():
        found = await ask_all(all_towns[name], 250, routes=routes)
        assert found.leaks == []
        assert found.by_status[200]

    for name, table in (("scheduling", "request"), ("visitlog", "visit")):
        await switch_off(all_towns[name], table)
        assert (await ask_all(all_towns[name], 250, routes=lists[name])).leaks


@pytest.mark.parametrize("name", GUARDED)
async def test_every_table_keeps_districts_apart_and_one_that_does_not_is_found(
    service_database: ServiceDatabase, name: str
) -> None:
    pool = await service_database(name)
    async with pool.acquire() as connection:
        assert await unguarded(connection) == []
        async with as_owner(connection):
            await connection.execute("ALTER TABLE request DISABLE ROW LEVEL SECURITY")
            await connection.execute("ALTER TABLE visitor NO FORCE ROW LEVEL SECURITY")
            await connection.execute("CREATE TABLE added_since (district text)")
            await connection.execute("CREATE VIEW seen_since AS SELECT * FROM visitor")
            await connection.execute("GRANT SELECT ON position TO leap_people")
        assert [each.partition(":")[0] for each in await unguarded(connection)] == [
            "added_since", "position", "request", "seen_since", "visitor",
        ]  # fmt: skip


@pytest.mark.parametrize("name", GUARDED)
async def test_a_request_that_names_no_district_sees_no_row(all_towns: dict[str, Town], name: str) -> None:
    async with all_towns[name].pool.acquire() as connection, connection.transaction():
        tables = [row[0] for row in await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND relkind IN ('r', 'v') AND has_table_privilege('leap_people', oid, 'SELECT') AND relname <> 'release'"
        )]  # fmt: skip
        assert "request" in tables
        held = {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
        assert sum(count > 0 for count in held.values()) >= 4
        await connection.execute("SELECT set_config('role', current_setting('leap.people_role'), true)")
        for said in (None, "", "nowhere", "hartfor", "*,hartford"):
            if said is not None:
                await connection.execute("SELECT set_config('leap.scopes', $1, true)", said)
            if said == "*,hartford":
                # One of several codes is no word for all.
                seen = await connection.fetch(
                    "SELECT DISTINCT district FROM visit" if name == "visitlog" else _OF_REQUESTS
                )
                assert [row[0] for row in seen] == ["hartford"]
                continue
            assert {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables} == (
                dict.fromkeys(tables, 0)
            )


async def test_a_request_can_not_write_into_another_district(all_towns: dict[str, Town]) -> None:
    pool = all_towns["scheduling"].pool
    async with pool.acquire() as connection:
        for statement in (
            "INSERT INTO policy (district, version, body, changed_by, changed_at)"
            " VALUES ('danbury', 9, '{}', 'x', now())",
            "UPDATE request SET district = 'danbury'",
        ):
            transaction = connection.transaction()
            await transaction.start()
            await enter_for_people(connection, "hartford")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
            await transaction.rollback()


async def test_who_saw_a_family_is_written_once_and_taken_back_by_no_service(all_towns: dict[str, Town]) -> None:
    of_before = (("scheduling", "contact_disclosure"), ("visitlog", "disclosure"))
    for name, table in (
        *of_before,
        *((name, "disclosed") for name in ("scheduling", "visitlog", "flagging", "reporting")),
    ):
        pool = all_towns[name].pool
        for statement in (
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"UPDATE {table} SET {'shown_to' if table == 'contact_disclosure' else 'person'} = 'x'",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)


async def test_no_metric_tells_a_number_of_people_under_ten(all_towns: dict[str, Town]) -> None:
    for measured, gauges in (
        (scheduling_metrics, (scheduling_metrics.DESK, scheduling_metrics.FLAGS, scheduling_metrics.SHOWN)),
        (reporting_metrics, (reporting_metrics.FLAGS,)),
        (flagging_metrics, (flagging_metrics.FLAGS,)),
    ):
        name = measured.__name__.split(".")[1]
        context = Context(Settings.model_construct(time_zone=HERE.key), all_towns[name].pool, NOBODY)
        await measured.measure(context)
        told = [sample.value for gauge in gauges for metric in gauge.collect() for sample in metric.samples]
        assert told, name
        assert {value % 10 for value in told} == {0}


async def test_a_flag_that_one_service_lacks_shows_though_no_number_is_told(all_towns: dict[str, Town]) -> None:
    pool = all_towns["scheduling"].pool
    before = {row["district"]: row["digest"] for row in await known_flags(pool)}  # type: ignore[arg-type]
    assert len(set(before.values())) == len(DISTRICTS)
    await pool.execute(
        "UPDATE flagged_student SET level = 'none' WHERE student_key = (SELECT student_key FROM flagged_student"
        " WHERE district = 'danbury' ORDER BY student_key LIMIT 1)"
    )
    after = {row["district"]: row["digest"] for row in await known_flags(pool)}  # type: ignore[arg-type]
    assert {district for district in DISTRICTS if before[district] != after[district]} == {"danbury"}


async def test_a_route_that_reaches_past_its_rows_is_stopped(all_towns: dict[str, Town]) -> None:
    context = Context(Settings.model_construct(time_zone=HERE.key), all_towns["scheduling"].pool, NOBODY)
    with pytest.raises(RowsUnbounded):
        await context.for_people(lambda: "hartford").pool.fetch("SELECT FROM request")
    async with context.for_people(lambda: "hartford").begin() as tx:
        assert [row[0] for row in await tx.connection.fetch("SELECT DISTINCT district FROM request")] == ["hartford"]


async def test_a_route_that_is_not_in_the_table_keeps_its_service_from_starting() -> None:
    def routes(_: Context) -> APIRouter:
        router = APIRouter(prefix="/v1")
        router.add_api_route("/families", lambda: None)
        return router

    careless = Service(name="careless", migrations=Path(), routes=routes, access={})
    nowhere: Any = None
    with pytest.raises(RoutesUndeclared, match="GET /v1/families"):
        served(careless, nowhere, people.everybody())
    forgotten = Service(name="forgotten", migrations=Path(), access={"GET /v1/gone": {Role.STATE: Scope.NOTHING}})
    with pytest.raises(RoutesUndeclared, match="GET /v1/gone"):
        served(forgotten, nowhere, people.everybody())


async def switch_off(town: Town, table: str) -> None:
    """Let a table show everything to everybody, as if nobody had thought of it."""
    async with town.pool.acquire() as connection, as_owner(connection):
        await connection.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

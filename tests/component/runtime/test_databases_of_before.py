"""Whichever files of the history made a service's database, the newest ones bring it to one schema, and it works."""

import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from contracts.events import FlagChanged, Level
from contracts.generate import FOLDER
from contracts.released import read_list
from deploy.local import provision
from deploy.local.postgres import postgres_programs
from services.runtime.migrate import MigrationChanged, earlier_forms, migrate
from services.scheduling.app import service as scheduling
from tests.component.flagging import test_flagging as of_flags
from tests.component.flagging.builders import DISTRICT, Feeder, published, stint, student
from tests.component.scheduling import test_flags_become_requests as of_requests
from tests.component.visit_events import World
from tests.conftest import ServiceDatabase
from tests.people import people

RELEASED = FOLDER / "released"
SERVICES = FOLDER.parent / "services"

# Every state in which the migrations ever stood on the main branch before they were listed, and what each release since
# then brought: the runtime's own, and the service's. `0001.1` is an earlier form of a file that was edited.
_LATER_DESK = "0001 0002 0003 0004.1"
_FIRST_LISTED = "0001 0002 0003 0004 0005 0006"
_RUNTIME = "0001 0002 0003 0004 0005"
HISTORY = {
    "flagging": [
        ("0001", "0001.1"),
        ("0001", "0001.2"),
        ("0001", "0001"),
        ("0001 0002", "0001"),
        ("0001 0002", "0001 0002.1"),
        ("0001 0002", "0001 0002"),
        ("0001 0002", "0001 0002 0003"),
        ("0001 0002", "0001 0002 0003 0004 0005"),
        ("0001 0002", "0001 0002 0003 0004 0005 0006"),
        (_RUNTIME, "0001 0002 0003 0004 0005 0006 0007 0008 0009 0010"),
    ],
    "ingest": [
        ("0001", "0001"),
        ("0001 0002", "0001"),
        ("0001 0002", "0001 0002"),
        (_RUNTIME, "0001 0002 0003 0004 0005"),
    ],
    "reporting": [
        ("0001", "0001"),
        ("0001 0002", "0001"),
        ("0001 0002", "0001 0002"),
        ("0001 0002", "0001 0002 0004"),
        ("0001 0002", "0001 0002 0004 0005 0006 0007"),
        (_RUNTIME, "0001 0002 0004 0005 0006 0007 0008"),
    ],
    "scheduling": [
        ("0001", "0001"),
        ("0001 0002", "0001"),
        ("0001 0002", "0001 0002"),
        ("0001 0002", "0001 0002 0003"),
        ("0001 0002", _LATER_DESK),
        ("0001 0002", f"{_LATER_DESK} 0005"),
        ("0001 0002", f"{_LATER_DESK} 0005 0006"),
        ("0001 0002", _FIRST_LISTED),
        ("0001 0002", f"{_FIRST_LISTED} 0007 0008 0009"),
        ("0001 0002", f"{_FIRST_LISTED} 0007 0008 0009 0010 0011 0012 0013 0014"),
        (_RUNTIME, f"{_FIRST_LISTED} 0007 0008 0009 0010 0011 0012 0013 0014 0015 0016 0017"),
    ],
    "visitlog": [
        ("0001", "0001"),
        ("0001 0002", "0001"),
        ("0001 0002", "0001 0002"),
        ("0001 0002", "0001 0002 0003"),
        (_RUNTIME, "0001 0002 0003 0004 0005"),
    ],
}
STATES = [(service, *state) for service, states in HISTORY.items() for state in states]
EDITED = [state for state in STATES if "." in state[2]]
ROWS_OF_MARKS = [state for state in STATES if state[0] == "flagging" and "0006" not in state[2]]
"""Before registers, when flagging kept a row for each mark."""

# As migrate() has made it since its first commit.
LEDGER = """
CREATE TABLE migration (
    name text PRIMARY KEY,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""

Past = Callable[[str, str, str], Awaitable[str]]
"""Makes a database as a state of the history made it, and gives the service's URL."""


def files_of(service: str, runtime: str, own: str) -> list[tuple[str, bytes]]:
    """Give the names and bytes of a state's files, as the list of what was released keeps them."""
    found = []
    for owner, numbers in (("runtime", runtime), (service, own)):
        for number, _, form in (each.partition(".") for each in numbers.split()):
            folder, pattern = (f"earlier/{owner}", f"*.{form}.sql") if form else (f"*/migrations/{owner}", "*.sql")
            (file,) = RELEASED.glob(f"{folder}/{number}_{pattern}")
            found.append((f"{owner}/{file.name.replace(f'.{form}.', '.')}", file.read_bytes()))
    return found


@pytest_asyncio.fixture
async def past(fresh_database: str) -> Past:
    """A factory of one database of before: its files are run by hand, as the program of then ran them."""

    async def make(service: str, runtime: str, own: str) -> str:
        url = (await provision(fresh_database, [service]))[service]
        async with connected(url) as connection:
            await connection.execute(LEDGER)
            for name, text in files_of(service, runtime, own):
                await connection.execute(text.decode())
                digest = hashlib.sha256(text).hexdigest()
                await connection.execute("INSERT INTO migration (name, digest) VALUES ($1, $2)", name, digest)
        return url

    return make


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection for a moment."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def start(url: str, service: str, folder: Path | None = None) -> list[str]:
    """Do what a starting service does first."""
    async with connected(url) as connection:
        return await migrate(connection, folder or SERVICES / service / "migrations")


def schema_of(url: str, service: str) -> str:
    """Dump everything that the catalog knows of a service's schema, without its rows."""
    options = ["--schema-only", "--no-owner", f"--schema={service}", "--extension=*", "--restrict-key=none"]
    dumped = subprocess.run(
        [str(postgres_programs() / "pg_dump"), *options, url], capture_output=True, text=True, check=True
    ).stdout
    return dumped.replace(str(urlsplit(url).username), "the role")


async def made_anew(admin_url: str, service: str) -> str:
    """Make the service's schema again where nothing is, by the newest files, and dump it."""
    async with connected(admin_url) as connection:
        await connection.execute(f"DROP SCHEMA {service} CASCADE")
    url = (await provision(admin_url, [service]))[service]
    await start(url, service)
    return schema_of(url, service)


@pytest.mark.parametrize(("service", "runtime", "own"), STATES)
async def test_every_database_of_before_comes_to_the_schema_of_a_new_one(
    past: Past, fresh_database: str, service: str, runtime: str, own: str
) -> None:
    url = await past(service, runtime, own)

    await start(url, service)

    assert schema_of(url, service) == await made_anew(fresh_database, service)
    url = (await provision(fresh_database, [service]))[service]
    assert await start(url, service) == []


@pytest.mark.parametrize(("service", "runtime", "own"), EDITED)
async def test_the_schemas_would_differ_without_the_last_file_and_the_dump_shows_it(
    past: Past, fresh_database: str, tmp_path: Path, service: str, runtime: str, own: str
) -> None:
    before = tmp_path / service / "migrations"
    shutil.copytree(SERVICES / service / "migrations", before)
    next(before.glob("*_one_schema.sql")).unlink()
    url = await past(service, runtime, own)

    await start(url, service, before)

    assert schema_of(url, service) != await made_anew(fresh_database, service)


@pytest.mark.parametrize(("service", "runtime", "own"), EDITED)
async def test_a_form_that_nobody_lists_does_not_start(
    past: Past, tmp_path: Path, service: str, runtime: str, own: str
) -> None:
    unlisted = tmp_path / service / "migrations"
    shutil.copytree(SERVICES / service / "migrations", unlisted)
    (unlisted / "earlier.txt").unlink()
    url = await past(service, runtime, own)

    with pytest.raises(MigrationChanged, match=own.rpartition(".")[0].split()[-1]):
        await start(url, service, unlisted)


def test_the_states_go_up_to_everything_that_was_released() -> None:
    for service, states in HISTORY.items():
        listed = [entry.what for entry in read_list() if entry.what.startswith(f"migrations/{service}/")]
        assert len(states[-1][1].split()) == len(listed), f"add the state of the newest release of {service}"


def test_the_forms_that_may_have_run_are_those_that_the_history_knows() -> None:
    edited = {
        (name, hashlib.sha256(text).hexdigest())
        for state in STATES
        for name, text in files_of(*state)
        if text != (SERVICES / name.replace("/", "/migrations/")).read_bytes()
    }
    assert len(edited) == 4
    assert set().union(*(earlier_forms(SERVICES / service / "migrations") for service in HISTORY)) == edited


_FLAGS = """
INSERT INTO flag (student_key, school_year, district, school, level, version, days_absent, days_enrolled, as_of,
                  policy_version)
SELECT gen_random_uuid(), 2025, $1, 'H' || n % 9, n % 4, n, n % 90, 90, DATE '2026-03-02', 1
FROM generate_series(1, 500) AS n
"""
_FLAG_OF = """
INSERT INTO flag (student_key, school_year, district, school, level, version, days_absent, days_enrolled, as_of,
                  policy_version)
VALUES ($1, 2026, $2, 'H01', 2, 5, 3, 26, DATE '2026-09-25', 1)
"""
# The roll of each of those days is complete.
_SCHOOL_OF = """
INSERT INTO school_year (lane, district, school, school_year, source_version, feed, school_days, completed, assumed)
SELECT lane_of($1), $2, 'H01', 2026, 1, 'exceptions', days, days, days
FROM days_between(DATE '2026-08-31', DATE '2026-09-25', 2026) AS days
"""
# 26 days of September that count, and three of them missed.
_RECORD_OF = """
INSERT INTO absence_record (student_key, school_year, lane, entry_date, household_key, school, district, grade,
                            enrolled, marked, missed, counted)
SELECT $1, 2026, lane_of($1), DATE '2026-08-31', $3, 'H01', $2, '4', days, days,
       days_between(DATE '2026-09-01', DATE '2026-09-03', 2026), days
FROM days_between(DATE '2026-08-31', DATE '2026-09-25', 2026) AS days
"""
_MARKS_OF = """
INSERT INTO mark (student_key, school_day, school, district, category, present_parts, day_parts, source_version)
SELECT $1, DATE '2026-09-01' + n, 'H01', $2, 9, -1, -1, 1 FROM generate_series(0, 2) AS n
"""


async def kept_in_flagging(connection: Any, district: str, *, household: UUID) -> None:
    """Write one flagged child, with everything behind the flag, as flagging's first tables kept it."""
    anna = student(1)
    await connection.execute(_FLAG_OF, anna, district)
    await connection.execute(_SCHOOL_OF, anna, district)
    await connection.execute(_RECORD_OF, anna, district, household)
    await connection.execute(_MARKS_OF, anna, district)


_KEPT = """
-- The standard policy, which judged them all, was 1 and is 0.
SELECT student_key, school_year, district, school, level, version, days_absent, days_enrolled, as_of,
    greatest(policy_version, 1)
FROM flag ORDER BY 1
"""


@pytest.mark.parametrize(("service", "runtime", "own"), ROWS_OF_MARKS)
async def test_flags_of_before_are_kept_and_go_on(past: Past, service: str, runtime: str, own: str) -> None:
    url = await past(service, runtime, own)
    anna, household, another = student(1), UUID(int=0xB), UUID(int=0xC)
    async with connected(url) as connection:
        await connection.execute(_FLAGS, DISTRICT)
        await kept_in_flagging(connection, DISTRICT, household=household)
        kept = await connection.fetch(_KEPT)

    await start(url, service)

    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        assert await pool.fetch(_KEPT) == kept
        await Feeder(pool).feed([stint(anna, household_key=another)])
        (moved,) = await published(pool, "flags")
        assert isinstance(moved, FlagChanged)
        assert (moved.household_key, moved.days_absent) == (another, 3)
        assert moved.version > 5
        assert moved.level is moved.previous_level is Level.CHRONICALLY_ABSENT


@pytest.mark.parametrize(("service", "runtime", "own"), [each for each in EDITED if each[0] == "flagging"])
async def test_flagging_works_on_a_database_of_before(past: Past, service: str, runtime: str, own: str) -> None:
    async with served_from(await past(service, runtime, own), service) as pool:
        await of_flags.test_a_student_crosses_each_line_once_and_back(given(pool))


@pytest.mark.parametrize(("service", "runtime", "own"), [each for each in EDITED if each[0] == "scheduling"])
async def test_scheduling_works_on_a_database_of_before(
    past: Past, tmp_path: Path, service: str, runtime: str, own: str
) -> None:
    async with served_from(await past(service, runtime, own), service) as pool:
        world = World(pool, scheduling, people(tmp_path))
        await of_requests.test_siblings_share_one_request_in_one_batch_and_in_two(world)
        await world.http.aclose()


@asynccontextmanager
async def served_from(url: str, service: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Start the newest release on the database, and give its pool."""
    await start(url, service)
    async with asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
        yield pool


def given(pool: "asyncpg.Pool[asyncpg.Record]") -> ServiceDatabase:
    """Stand where a story asks for a new database, and give it this one."""

    async def give(_: str) -> "asyncpg.Pool[asyncpg.Record]":
        return pool

    return give

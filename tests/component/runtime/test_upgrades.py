"""Processes of two releases and one schema: who waits, who goes on, and who says why it can't."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local import provision
from services.runtime.migrate import OlderProcesses, migrate, run_as_job
from services.runtime.revision import Stage
from services.runtime.service import UNFIT_EXIT_CODE
from tests.component.runtime.counting import MIGRATIONS
from tests.component.runtime.kafka import Worker, create_topics, ones, send, until, worker

ADDS, TAKES = "0002_said_by.sql", "0003_post_no_said_by.sql"


@pytest_asyncio.fixture
async def url(fresh_database: str) -> str:
    """The counting service's database, in which nothing is."""
    return (await provision(fresh_database, ["counting"]))["counting"]


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The files of the release before."""
    folder = tmp_path / "before" / "counting" / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    return folder


@pytest.fixture
def adding(before: Path, tmp_path: Path) -> Path:
    """The files of a release that adds a column."""
    folder = tmp_path / "adding" / "counting" / "migrations"
    shutil.copytree(before, folder)
    (folder / ADDS).write_text("ALTER TABLE tally ADD said_by text")
    return folder


@pytest.fixture
def taking(adding: Path, tmp_path: Path) -> Path:
    """The files of a release that takes the column away, once nobody writes it."""
    folder = tmp_path / "taking" / "counting" / "migrations"
    shutil.copytree(adding, folder)
    (folder / TAKES).write_text("ALTER TABLE tally DROP COLUMN said_by")
    return folder


async def is_ready(running: Worker) -> None:
    await until(running.ready, "the worker is ready")


async def readiness(running: Worker, words: str) -> int:
    """Wait until readiness says this; with which status it does."""
    answered = (0, "")

    async def says() -> bool:
        nonlocal answered
        answered = await asyncio.to_thread(running.get, "/readyz")
        return words in answered[1]

    await until(says, f"readiness says {words!r}")
    return answered[0]


async def ends(running: Worker) -> int:
    return await asyncio.wait_for(running.process.wait(), 30)


def problems(log: Path) -> list[str]:
    """Read what a process said about its schema."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["problem"] for line in lines if "do not go together" in line["event"]]


async def counted(url: str, name: str, expected: int) -> None:
    connection: Any = await asyncpg.connect(url)

    async def reached() -> bool:
        return bool(await connection.fetchval("SELECT total = $2 FROM tally WHERE name = $1", name, expected))

    await until(reached, f"{name} at {expected}")
    await connection.close()


async def test_a_process_waits_for_the_job_and_says_what_is_missing(broker: str, url: str, adding: Path) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    await send(broker, topics["numbers"], ones("a", 3))
    settings = {"COUNTED_TOPIC": topics["counted"], "LEAP_MIGRATIONS": "by-job", "COUNTING_MIGRATIONS": str(adding)}
    async with worker(broker, url, topics["numbers"], **settings) as running:
        assert await readiness(running, "the schema lacks runtime/0001_delivery.sql and") == 503

        await run_as_job(url, adding, Stage.PRE, service="counting")

        await is_ready(running)
        await counted(url, "a", 3)
        assert "counting/0002 runtime/" in (await asyncio.to_thread(running.get, "/readyz"))[1]
        assert await asyncio.to_thread(running.metric, 'leap_schema_revision{owner="counting"}') == 2


async def test_old_and_new_count_side_by_side_until_what_takes_away_has_run(
    broker: str, url: str, before: Path, adding: Path, taking: Path, tmp_path: Path
) -> None:
    topics = await create_topics(broker, numbers=4, counted=1)
    log = tmp_path / "old.log"
    told = {"COUNTED_TOPIC": topics["counted"]}
    old = worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(before), LOG_FILE=str(log))
    async with old as first:
        await is_ready(first)
        async with worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(adding)) as second:
            await is_ready(second)
            assert await readiness(first, f"newer than this release: counting/{ADDS}") == 200
            for partition in range(4):
                await send(broker, topics["numbers"], ones("b", 100), partition=partition)
            await counted(url, "b", 400)

            with pytest.raises(OlderProcesses, match="a counting of counting/0001"):
                await run_as_job(url, taking, Stage.POST, service="counting")
            assert first.process.returncode is None

            # Somebody does it all the same: what is too old ends itself, and says so.
            connection: Any = await asyncpg.connect(url)
            assert await migrate(connection, taking) == [f"counting/{TAKES}"]
            await connection.close()
            assert await ends(first) == await ends(second) == UNFIT_EXIT_CODE
            (problem,) = problems(log)
            assert f"counting/{TAKES}" in problem
            assert "start the release that brought it" in problem

    async with worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(adding)) as again:
        assert await ends(again) == UNFIT_EXIT_CODE
    async with worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(taking)) as newest:
        await is_ready(newest)
        for partition in range(4):
            await send(broker, topics["numbers"], ones("b", 1), partition=partition)
        await counted(url, "b", 404)


async def test_on_one_machine_the_newer_process_leaves_what_takes_away_to_a_start_without_the_older(
    broker: str, url: str, before: Path, taking: Path
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    told = {"COUNTED_TOPIC": topics["counted"]}
    async with worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(before)) as old:
        await is_ready(old)
        async with worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(taking)) as new:
            await is_ready(new)
            assert await asyncio.to_thread(new.metric, 'leap_schema_revision{owner="counting"}') == 2
            assert await old.ready()
    async with worker(broker, url, topics["numbers"], **told, COUNTING_MIGRATIONS=str(taking)) as alone:
        await is_ready(alone)
        assert await asyncio.to_thread(alone.metric, 'leap_schema_revision{owner="counting"}') == 3

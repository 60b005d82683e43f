"""The parts of one machine: fenced off from each other, findable again, and restartable."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from contracts.topics import TOPICS
from deploy.local import PartFailed, Process, create_topics, districts_of, free_port, part_from, provision
from deploy.local.parts import is_free


async def test_a_service_works_in_its_own_schema_and_can_read_no_other(fresh_database: str) -> None:
    urls = await provision(fresh_database, ["ingest", "flagging"])

    ingest = await asyncpg.connect(urls["ingest"])
    await ingest.execute("CREATE TABLE receipt (id integer)")
    assert await ingest.fetchval("SELECT 'receipt'::regclass = 'ingest.receipt'::regclass")
    await ingest.close()

    flagging = await asyncpg.connect(urls["flagging"])
    for statement in ("SELECT * FROM ingest.receipt", "CREATE TABLE public.shared (id integer)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await flagging.execute(statement)
    await flagging.close()


async def test_provisioning_twice_keeps_what_is_there(fresh_database: str) -> None:
    first = await asyncpg.connect((await provision(fresh_database, ["ingest"]))["ingest"])
    await first.execute("CREATE TABLE receipt (id integer)")
    await first.close()

    second = await asyncpg.connect((await provision(fresh_database, ["ingest"]))["ingest"])
    assert await second.fetchval("SELECT count(*) FROM receipt") == 0
    await second.close()


async def test_topics_are_made_once_with_the_partitions_of_the_contracts(broker: str) -> None:
    from deploy.local.topics import admin

    await create_topics(broker, ["avon", "bethel"])
    await create_topics(broker, ["avon", "canton"])

    assert {"avon", "bethel", "canton"} <= set(await districts_of(broker))
    async with admin(broker) as client:
        described = {topic["topic"]: len(topic["partitions"]) for topic in await client.describe_topics()}
    assert {topic.name: topic.partitions for topic in TOPICS}.items() <= described.items()
    assert described["attendance-in-avon"] == described["roster-in-avon"] == 1


def _python(folder: Path, code: str) -> Process:
    return Process(
        name="probe",
        address="nowhere",
        command=[sys.executable, "-u", "-c", code],
        log=folder / "probe.log",
        folder=folder,
        ready_line="ready",
    )


def test_a_process_is_found_again_by_its_description_and_stopped(tmp_path: Path) -> None:
    started = _python(tmp_path, "import time; print('ready'); time.sleep(600)")
    started.start()

    found = part_from(started.describe())
    assert found.is_running()
    found.stop()

    assert not found.is_running()
    assert not started.is_running()


def test_a_process_number_that_was_reused_is_not_taken_for_ours(tmp_path: Path) -> None:
    started = _python(tmp_path, "import time; print('ready'); time.sleep(600)")
    started.start()

    stranger = part_from({**started.describe(), "created": 1.0})
    stranger.kill()
    assert not stranger.is_running()
    assert started.is_running()

    started.kill()


def test_a_second_start_does_not_mistake_the_first_ones_ready_for_its_own(tmp_path: Path) -> None:
    once = "import pathlib, sys; p = pathlib.Path('once'); print('late' if p.exists() else 'ready'); p.touch(); input()"
    process = _python(tmp_path, once.replace("input()", "__import__('time').sleep(600 if sys.argv else 0)"))
    process.start()
    process.kill()
    process.launch()

    with pytest.raises(PartFailed, match="not ready after"):
        process.wait_ready(seconds=0.5)
    process.kill()


def test_a_part_that_dies_while_starting_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="no space for anything"):
        _python(tmp_path, "raise SystemExit('no space for anything')").start()


def test_a_busy_port_moves() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        assert not is_free(busy)
        assert free_port(busy) != busy


def test_two_who_choose_a_port_at_once_never_choose_the_same() -> None:
    """Neither listens yet: between the choice and that there are seconds."""
    preferred = free_port()
    choose = f"from deploy.local import free_port; print(free_port({preferred}), flush=True); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", choose], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    chosen = [int(other.stdout.readline()) for other in others if other.stdout is not None]
    for other in others:
        other.communicate("")
    assert len({preferred, *chosen}) == 4


def test_a_part_is_waited_for_as_long_as_it_does_something(tmp_path: Path) -> None:
    """As Kafka and PostgreSQL do while they read their logs after a crash: to kill them is to begin again."""
    recovering = "import time; [(print(each, flush=True), time.sleep(0.3)) for each in range(8)]; print('ready')"
    process = _python(tmp_path, f"{recovering}; time.sleep(600)")
    process.launch()
    process.wait_ready(seconds=1.5)
    process.kill()

    stuck = _python(tmp_path, "import time; time.sleep(600); print('ready')")
    stuck.launch()
    with pytest.raises(PartFailed, match="after 1 s in which it did nothing"):
        stuck.wait_ready(seconds=1)
    stuck.kill()

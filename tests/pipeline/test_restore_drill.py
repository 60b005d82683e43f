"""Backups put back while Kafka is ahead, one service after the other and all together: deploy/RESTORE.md, carried out.

`make drill` is the long form: every service alone and all together, as often as ROUNDS says, behind ever more days.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from contracts.services import SERVICES
from deploy.commands import state
from deploy.local.database import lay_out_roles
from deploy.local.dumps import restore_schema
from deploy.local.topics import admin as admin_of
from services.runtime import clock
from tests import oracle
from tests.component.flagging.builders import conclusions
from tests.pipeline import schools
from tests.pipeline.conclusions import facts_of
from tests.pipeline.drill import (
    DISTRICTS,
    STUDENTS,
    State,
    assert_everybodys_figures,
    assert_families_and_levels,
    assert_it_adds_up,
    refused,
)
from tests.pipeline.stack import Stack, eventually, start_stack

ROUNDS = int(os.environ.get("RESTORE_ROUNDS", "0"))
# Short: the two that matter most. Long: every service alone, and all of them.
SHORT: tuple[tuple[str, ...], ...] = (("scheduling",), ())
LONG: tuple[tuple[str, ...], ...] = (*((service,) for service in SERVICES), ())
PUT_BACK = LONG * ROUNDS if ROUNDS else SHORT


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[State]:
    """A state with thirty days behind it, and people who have begun to visit."""
    stack = await start_stack(tmp_path_factory.mktemp("drill"), DISTRICTS, ())
    try:
        here = State(stack)
        stack.it_is(schools.NOW)
        for service in SERVICES:
            await stack.start(service)
        for district in DISTRICTS:
            await stack.land(district, schools.roster(district, students=STUDENTS), roster=True)
        await here.goes_on(days=20, seed=1)
        await here.register_visitors()
        await here.people_work(["agreed", "agreed", "declined", "not_reached"])
        yield here
    finally:
        await stack.stop()


@pytest.fixture(autouse=True)
def of_this_state(lived: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `leap` find this state, and count its days by its clock."""
    monkeypatch.setattr(state, "checkout", lambda: lived.stack.folder)
    clock.use(None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "backup"


async def more_of_everything(here: State, seed: int) -> None:
    """Days, corrections, people at the desk and at the door: what a backup knows nothing of."""
    here.passes(days=2)
    await here.visitors_log(["took_place", "family_not_home", "took_place"])
    await here.goes_on(days=2, seed=seed)
    await here.people_work(["agreed", "declined", "agreed", "not_reached", "moved", "agreed"])
    here.passes(days=2)
    await here.visitors_log(["took_place", "declined_today"])
    await here.goes_on(days=1, seed=seed + 1)
    await here.people_work(["agreed"])


async def test_what_is_put_back_alone_or_all_together_stands_as_before_and_lives_on(lived: State, kept: Path) -> None:
    await lived.leap("backup", str(kept))
    await more_of_everything(lived, seed=10)
    await assert_it_adds_up(lived.stack)
    for turn, services in enumerate(PUT_BACK):
        before = await lived.standing()
        assert before.logs, "nothing was logged: nothing could be lost"
        chosen = ["--only", *services] if services else []
        await lived.leap("restore", str(kept), *chosen)
        await lived.settled()
        assert (await lived.standing()).differs_from(before) == {}, f"{services or 'all'} put back"
        await assert_it_adds_up(lived.stack)
        if not services or "flagging" in services:
            await lived.leap("retell", "--all")
            await eventually(partial(_has_told_all, lived.stack), "flagging has told all again")
            await lived.settled()
            await assert_everybodys_figures(lived.stack)
        if turn % 3 == 1:
            await more_of_everything(lived, seed=20 + 2 * turn)
            await assert_it_adds_up(lived.stack)


async def test_a_desk_behind_its_own_words_says_so_and_takes_them_back(lived: State, kept: Path) -> None:
    before = await lived.standing()
    for service in ("scheduling", "visitlog"):
        process = lived.stack.processes[service]
        process.stop()
        # By hand, as somebody does who knows nothing of `leap restore`.
        await restore_schema(lived.stack.database.address, service, kept / f"{service}.dump")
        process.launch()
        await refused(process, f"{service} told more than its tables know")
        await refused(process, f"leap restore --take-back --only {service}")
    found = await lived.leap("restore", "--take-back", "--only", "scheduling", "visitlog")
    assert found["told"]["visitlog"]["logs"] > 0
    await lived.settled()
    assert (await lived.standing()).differs_from(before) == {}
    await assert_it_adds_up(lived.stack)
    again = await lived.leap("restore", "--take-back", "--only", "scheduling", "visitlog")
    assert {what: count for told in again["told"].values() for what, count in told.items() if count} == {}


async def test_flagging_without_its_tables_concludes_the_same(lived: State) -> None:
    before = await lived.standing()
    flagging = lived.stack.processes["flagging"]
    flagging.stop()
    admin = await asyncpg.connect(lived.stack.database.address)
    await admin.execute("DROP SCHEMA flagging CASCADE")
    await lay_out_roles(admin, "flagging")
    await admin.close()
    await asyncio.to_thread(flagging.start)
    await lived.settled()
    assert (await lived.standing()).differs_from(before) == {}
    await assert_it_adds_up(lived.stack)
    assert (await lived.leap("rebuild", "flagging", "--compare"))["differences"] == []
    await more_of_everything(lived, seed=60)
    await assert_it_adds_up(lived.stack)


async def test_when_kafka_lost_its_logs_all_say_so_and_go_on_from_their_tables(lived: State) -> None:
    stack, before, facts = lived.stack, await lived.standing(), await facts_of(lived.stack)
    for process in stack.processes.values():
        process.stop()
    async with admin_of(stack.kafka) as client:
        topics = [each for each in await client.list_topics() if not each.startswith("__")]
        await client.delete_topics(topics)

        async def gone() -> bool:
            return not set(topics) & set(await client.list_topics())

        await eventually(gone, "the topics are gone")
    await stack.lay_out()
    for process in stack.processes.values():
        process.launch()
    for name in stack.processes:
        await eventually(partial(_reads_nothing_on, stack, name), f"{name} says that its topics are others")
    await lived.leap("restore", "--kafka-lost")
    assert (await lived.standing()).differs_from(before) == {}

    lived.passes(days=2)
    await lived.goes_on(days=2, seed=90)
    await lived.people_work(["agreed", "declined"])
    async with asyncpg.create_pool(stack.urls["flagging"], min_size=1, max_size=2) as pool:
        concluded = await conclusions(pool)
    expected = oracle.conclude([*facts, *await facts_of(stack)])
    assert (concluded.records, concluded.flags) == (expected.records, expected.flags)
    after = await lived.standing()
    assert before.requests.keys() <= after.requests.keys()
    assert before.logs.keys() <= after.logs.keys()
    await assert_families_and_levels(stack)
    # What the lost logs told stands in the tables alone: nobody makes them anew from what there is now.
    for service, topic in (("flagging", "rolls"), ("reporting", "flags")):
        assert f"{topic}" in await lived.leap_refuses("rebuild", service)
    assert (await lived.standing()).differs_from(after) == {}


async def _reads_nothing_on(stack: Stack, service: str) -> bool:
    """Say whether each partition that the service had read is stopped, because its log is another or ends before."""
    async with stack.sql(service) as connection:
        rows = await connection.fetch(
            """SELECT s.reason FROM position p LEFT JOIN stopped_partition s USING (consumer_group, topic, partition)
               WHERE p.next_offset > 0"""
        )
    return bool(rows) and {row["reason"] for row in rows} <= {"log_replaced", "log_shortened"}


async def _has_told_all(stack: Stack) -> bool:
    async with stack.sql("flagging") as connection:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM school_year WHERE is_stale)")

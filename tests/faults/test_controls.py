"""Deterministic faults, each with a name: random ones meet a seeded bug by luck, these meet theirs every time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from contracts.topics import landing_topics
from tests.faults.bed import Bed, Shape, running
from tests.faults.ledger import Ledger
from tests.faults.operators import Operators
from tests.faults.rounds import Rounds
from tests.faults.town import DAYS, DISTRICTS, Town
from tests.pipeline.stack import eventually

HARTFORD = DISTRICTS[0]
CHILD, MOVER = "3", "5"
TOWN = Town(seed=7, students=24)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rounds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rounds]:
    """The whole system with its rosters landed and worked off, one of each service."""
    folder = tmp_path_factory.mktemp("controls")
    async with running(folder, Shape(workers=1)) as bed:
        played = Rounds(bed, TOWN, Ledger(seed=TOWN.seed), load_seconds=0)
        played.agrees_within_seconds = 15.0
        await played.sender.rosters(0)
        assert await played.settle() == []
        yield played
        await played.stop()


async def assert_all_agrees(rounds: Rounds) -> None:
    """Wait until all is worked off, and fail with what is lost, doubled, wrong or stuck."""
    found = [*await rounds.settle(), *await rounds.compared()]
    assert not found, "\n".join(found)


async def dead(bed: Bed, name: str, before: int | None) -> None:
    """Return when another process has the name: the former one came to its point."""

    async def is_another() -> bool:
        process = bed.processes[name]
        return process.pid != before and "LEAP_CRASH_AT" not in process.environment

    await eventually(is_another, f"{name} dies where it was told to and is started again")


async def dies(rounds: Rounds, name: str, point: str, number: int) -> None:
    """Let a worker die at a point of its next batch, and land a round for it to read."""
    bed = rounds.bed
    bed.arm(name, point)

    async def is_armed() -> bool:
        return bed.processes[name].is_running()

    await eventually(is_armed, f"{name} is there again, armed")
    armed = bed.processes[name].pid
    await rounds.sender.rosters(number)
    await rounds.sender.attendance(number, seconds=0)
    await dead(bed, name, armed)


def mark(day: int, version: int, category: str = "unexcused_absence", **more: Any) -> dict[str, Any]:
    """Give a mark of the child who lives in this file only."""
    known = {"school": TOWN.home(int(CHILD)), "date": DAYS[day].isoformat(), "student": CHILD}
    return {"type": "mark", "category": category, "version": version} | known | more


async def land(rounds: Rounds, *records: dict[str, Any], roster: bool = False) -> None:
    """Land records of the first district."""
    await rounds.sender.land(landing_topics(HARTFORD)[roster], records)


async def assert_the_year_has_begun(rounds: Rounds) -> None:
    """Land the first days, again where they have landed, and see that all is well before the fault."""
    await rounds.sender.attendance(0, seconds=0)
    await assert_all_agrees(rounds)


async def test_a_day_reaches_everybody(rounds: Rounds) -> None:
    await assert_the_year_has_begun(rounds)
    assert any(level != "none" for _, level in rounds.reader.told.levels.values())


async def test_a_death_before_the_commit_loses_nothing(rounds: Rounds) -> None:
    await dies(rounds, "flagging", "before_commit", 1)
    await assert_all_agrees(rounds)


async def test_a_death_between_publishing_and_commit_counts_no_mark_twice(rounds: Rounds) -> None:
    await dies(rounds, "ingest", "before_commit", 2)
    await assert_all_agrees(rounds)


async def test_a_commit_that_nobody_hears_of_takes_effect_once(rounds: Rounds) -> None:
    before = rounds.bed.database_line.lost_answers
    rounds.bed.database_line.lose_answers_to_commits(3)
    await rounds.sender.rosters(3)
    await rounds.sender.attendance(3, seconds=0)
    await assert_all_agrees(rounds)
    assert rounds.bed.database_line.lost_answers == before + 3


async def test_a_flag_that_comes_and_goes_over_a_restart_stands_as_told_last(rounds: Rounds) -> None:
    """Its versions must follow from the log: a counter begins again, and what it numbers is ignored."""
    await assert_the_year_has_begun(rounds)
    for version, category in ((1001, "unexcused_absence"), (1002, "in_attendance"), (1003, "unexcused_absence")):
        await land(rounds, *(mark(day, version, category) for day in range(3)))
        await assert_all_agrees(rounds)
        rounds.bed.kill("flagging")


async def test_who_leaves_is_counted_up_to_the_day_before(rounds: Rounds) -> None:
    await assert_the_year_has_begun(rounds)
    stint = {
        "type": "enrollment", "id": f"{MOVER}-a", "student": MOVER, "state_student": f"{HARTFORD}9{MOVER}",
        "household": "h2", "school": TOWN.home(int(MOVER)), "grade": str(1 + int(MOVER)),
        "entry_date": DAYS[0].isoformat(), "exit_date": DAYS[2].isoformat(), "version": 1001,
    }  # fmt: skip
    await land(rounds, stint, roster=True)
    await assert_all_agrees(rounds)


async def test_what_is_one_districts_is_shown_to_no_other(rounds: Rounds) -> None:
    await assert_the_year_has_begun(rounds)
    found = await rounds.checks.walls()
    assert not found, "\n".join(found)


async def test_who_goes_on_after_a_topic_was_made_anew_knows_what_the_former_one_told(rounds: Rounds) -> None:
    """The last one. A run that was broken off goes on in another process, which reads the topics as they are now."""
    await assert_the_year_has_begun(rounds)
    operators = Operators(bed=rounds.bed, sender=rounds.sender, reader=rounds.reader, number=1, count=lambda _: None)
    await operators.topic_made_anew()
    assert operators.found == []
    await assert_all_agrees(rounds)

    again = Rounds(rounds.bed, TOWN, Ledger(seed=TOWN.seed), load_seconds=0)
    try:
        await assert_all_agrees(again)
    finally:
        await again.stop()

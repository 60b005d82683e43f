"""The commands by which people look at a running state from outside, on a real one that replayed its autumn."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime, time
from typing import Any

import pytest
import pytest_asyncio

from contracts.services import SERVICES
from deploy import cli
from deploy.commands import life, people, state
from deploy.demo.replay import replay
from tests.pipeline.stack import Stack, start_stack
from tests.zones import HERE

HARTFORD = "hartford"
UNTIL = date(2026, 11, 20)
SCALE, SEED = 0.05, 1

Leap = Callable[..., Awaitable[tuple[int, Any]]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Hartford's simulated autumn on all five services, as `leap up` leaves it behind, on an afternoon of November."""
    folder = tmp_path_factory.mktemp("commands")
    running = await start_stack(folder, (HARTFORD,), ())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(state, "checkout", lambda: folder)
        state.folder().mkdir()
        running.districts_file = running.districts_file.rename(state.folder() / "districts.json")
        running.people_file, running.clock_file = people.people_file(), life.clock_file()
        running.it_is(datetime.combine(UNTIL, time(15), HERE))
        try:
            await asyncio.gather(*(running.start(name) for name in SERVICES))
            await replay(
                broker_of=running.door.district,
                scale=SCALE,
                seed=SEED,
                until=UNTIL,
                districts_file=running.districts_file,
            )
            found = state.State(
                **running.described(),
                services={name: process.describe() for name, process in running.processes.items()},
                demo={"scale": SCALE, "seed": SEED, "until": UNTIL.isoformat(), "goes_on": False},
            )
            found.save()
            await life.settled(found)
            yield running
        finally:
            await running.stop()


@pytest.fixture
def leap(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Leap:
    """Run a command as it is typed; its exit code and what it gives as JSON, or what it complains of."""
    assert stack.processes.keys() == set(SERVICES)

    async def run(*words: str) -> tuple[int, Any]:
        code = await asyncio.to_thread(cli.run, [*words, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else said.err

    return run


async def test_a_replayed_autumn_adds_up(leap: Leap) -> None:
    code, told = await leap("status")
    assert (code, told["adds_up"], set(told["lag"].values())) == (0, True, {0})
    (district,) = told["districts"]
    assert (district["district"], district["gap"]) == (HARTFORD, 0)
    assert min(district["sent"], district["accepted"], district["rejected"], district["duplicate"]) > 0


async def test_a_landed_record_and_a_day_say_where_they_ended(leap: Leap) -> None:
    code, told = await leap("trace", HARTFORD, "0")
    assert (code, told["ends"][0]["ending"]) == (0, "applied")
    code, told = await leap("trace", HARTFORD, "2026-11-10")
    assert code == 0
    assert {each["ending"] for each in told["ends"]} >= {"applied"}
    code, said = await leap("trace", HARTFORD, "yesterday")
    assert (code, "YYYY-MM-DD" in said) == (cli.NOT_WELL, True)


async def test_who_is_one_absence_from_the_line_is_flagged_by_it_and_why_says_so(leap: Leap) -> None:
    code, told = await leap("absent", HARTFORD, "3")
    assert code == 0
    assert len(told["students"]) == 3
    assert told["flagged"] == dict.fromkeys(told["students"], "chronically absent")

    for key in told["students"]:
        code, why = await leap("why", key[:12])
        (whole,) = (each for each in why["accumulators"] if each["accumulator"] == "district")
        assert (code, why["student_key"], why["level"]) == (0, key, "chronically_absent")
        assert len(why["absent_days"]) == whole["days_absent"]
        assert 10 * (whole["days_absent"] - 1) < whole["days_enrolled"] <= 10 * whole["days_absent"]
        assert why["history"][-1]["level"] == "chronically_absent"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(("why", "no-such-key"), "no student key begins with"), (("absent", "atlantis", "3"), "there is no district")],
)
async def test_what_is_not_there_is_one_line(leap: Leap, words: tuple[str, ...], complaint: str) -> None:
    code, said = await leap(*words)
    assert code == cli.NOT_WELL
    assert complaint in said


async def test_the_story_comes_to_its_end_and_all_still_adds_up(leap: Leap) -> None:
    code, told = await leap("story", "--pace", "0")
    assert (code, told["story"][-1]["step"]) == (0, "A correction")
    await life.settled(state.load())
    code, told = await leap("status")
    assert (code, told["well"]) == (0, True)

"""A whole school year on real services: replayed to its end, with a look at everything on the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from contracts.services import SERVICES
from deploy.commands import life, people, state
from deploy.demo.calendars import first_school_day, last_possible_day
from deploy.demo.living import Chronicle, Clock, Life
from deploy.demo.population import settle
from deploy.demo.replay import Around, replay
from tests.pipeline.stack import Stack, start_stack
from tests.zones import HERE

SCHOOL_YEAR = 2026
AFTERNOON = time(15)
Look = Callable[[date], Awaitable[None]]


@asynccontextmanager
async def running(folder: Path, districts: Sequence[str]) -> AsyncIterator[Stack]:
    """Start everything as `leap up` does, a week before the school year, for commands to find."""
    stack = await start_stack(folder, tuple(districts), ())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(state, "checkout", lambda: folder)
        state.folder().mkdir()
        stack.districts_file = stack.districts_file.rename(state.folder() / "districts.json")
        stack.people_file, stack.clock_file = people.people_file(), life.clock_file()
        stack.it_is(datetime.combine(first_school_day(SCHOOL_YEAR) - timedelta(days=7), AFTERNOON, HERE))
        try:
            await asyncio.gather(*(stack.start(name) for name in SERVICES))
            state.State(
                **stack.described(),
                services={name: process.describe() for name, process in stack.processes.items()},
            ).save()
            yield stack
        finally:
            await stack.stop()


async def replay_alone(stack: Stack, *, scale: float, seed: int, days: Sequence[date], look: Look) -> None:
    """Replay the year without anybody at work, and look at the end of the days named, once all has been worked off."""
    left = sorted(days)

    async def before(day: date) -> None:
        while left and left[0] < day:
            await _look(left.pop(0))
        stack.it_is(datetime.combine(day, AFTERNOON, HERE))

    async def _look(day: date) -> None:
        stack.it_is(datetime.combine(day, AFTERNOON, HERE))
        await life.settled(state.load())
        await look(day)

    await replay(
        broker_of=stack.door.district,
        scale=scale,
        seed=seed,
        until=last_possible_day(SCHOOL_YEAR),
        districts_file=stack.districts_file,
        around=Around(before_day=before, after_day=lambda _: asyncio.sleep(0)),
    )
    for day in left:
        await _look(day)


async def replay_with_people(stack: Stack, *, scale: float, seed: int, look: Look) -> None:
    """Live the year with families, desks and visitors; look on each month's first day of work, and on the last day."""
    found = state.load()
    districts_file = stack.districts_file
    towns = {
        code: town
        for code, town in settle(seed=seed, scale=scale, school_year=SCHOOL_YEAR).items()
        if code in stack.districts
    }
    clock = Clock(stack.clock_file)
    months: set[date] = set()

    async def settled() -> None:
        await life.settled(found)
        today = life.today()
        if today.replace(day=1) not in months:
            months.add(today.replace(day=1))
            await look(today)

    staffs = life.staffs_of(found, towns, seed=seed)
    lived = Life(
        staffs=staffs,
        towns=towns,
        clock=clock,
        chronicle=Chronicle(file=state.folder() / "life.json"),
        districts_file=districts_file,
        settled=settled,
        until=last_possible_day(SCHOOL_YEAR),
        zone=HERE,
        seconds_per_day=0,
    )
    try:
        await lived.live(broker_of=stack.door.district, scale=scale, seed=seed, report=state.folder() / "sent.json")
    finally:
        for staff in staffs:
            staff.desk.close()
            staff.phone.close()
    # Nobody sends anything after the last school day: what closes by the day alone needs the clock.
    clock.set(datetime.combine(last_possible_day(SCHOOL_YEAR), AFTERNOON, HERE))
    await life.settled(found)
    await look(last_possible_day(SCHOOL_YEAR))

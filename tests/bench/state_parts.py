"""The parts that need a state in the middle of its year: loaded once, and each part lives the next school day of it."""

import time
from argparse import Namespace
from itertools import chain
from pathlib import Path
from typing import Any

from contracts.topics import landing_topics
from tests.bench import days, profile, state, streams, verdict
from tests.bench.machine import Ground
from tests.bench.running import APPLIED, Running, running
from tests.bench.state import Size, State

PARTS = ("day-marks", "day-rolls", "trickle", "month")
SHORT_STUDENTS, SHORT_DISTRICTS, SHORT_SECONDS = 2_016, 3, 5
DISTRICT_STUDENTS, SHORT_DISTRICT_STUDENTS = 20_160, 1_008
TRICKLE_SECONDS = 60
STATE_MARKS_A_YEAR = 90_000_000


async def measure(arguments: Namespace, folder: Path, found: dict[str, Any]) -> None:
    """Load a state up to its measured day, and let it live what was asked for."""
    size = Size(
        students=arguments.students or (SHORT_STUDENTS if arguments.short else Size().students),
        districts=arguments.districts or (SHORT_DISTRICTS if arguments.short else Size().districts),
    )
    its = State(size)
    ground = Ground(folder, districts=its.districts)
    try:
        async with running(ground, its, day=state.MEASURED_DAY) as system:
            await system.enrol()
            found["roster_in_state"] = {"students": its.students, "cpu_seconds": system.cpu_by_part()}
            await system.bring_to(state.MEASURED_DAY)
            system.forget_peaks()
            await _live(system, arguments, found)
            found["peak_megabytes"] = {"load": system.load_peaks, "parts": system.peaks()}
    finally:
        ground.stop()
    both = found["peak_megabytes"]
    _judge(found, verdict.judge_memory({name: max(both["load"][name], peak) for name, peak in both["parts"].items()}))


async def _live(system: Running, arguments: Namespace, found: dict[str, Any]) -> None:
    candidates = list(system.state.one_absence_from_a_flag())
    seconds = arguments.seconds or (SHORT_SECONDS if arguments.short else TRICKLE_SECONDS)
    for part, landed in (("day-marks", days.SINGLE_MARKS), ("day-rolls", days.WHOLE_ROLLS)):
        if part in arguments.parts:
            await system.begin_day(system.next_day)
            found[part] = await days.measure(system, landed)
            _judge(found, verdict.judge_day(found[part]))
    if "trickle" in arguments.parts:
        await system.begin_day(system.next_day)
        found["trickle"] = await streams.trickle(system, iter(candidates[::2]), seconds=seconds)
        _judge(found, verdict.judge_trickle(found["trickle"]))
    if "month" in arguments.parts:
        system.turn_clocks(state.LAST_OF_NOVEMBER)
        await system.bring_to(state.LAST_OF_NOVEMBER)
        found["month"] = await streams.close_month(system, iter(candidates[1::2]))
        _judge(found, verdict.judge_month(found["month"]))


async def first_load(arguments: Namespace, folder: Path, found: dict[str, Any]) -> None:
    """Load a district's whole year, as single marks and as whole rolls, each into services that know nothing."""
    its = State(Size(students=SHORT_DISTRICT_STUDENTS if arguments.short else DISTRICT_STUDENTS, districts=1))
    for landed in (days.SINGLE_MARKS, days.WHOLE_ROLLS):
        ground = Ground(folder / landed.replace(" ", "-"), districts=its.districts)
        try:
            async with running(ground, its, day=state.FIRST_LOADED_DAYS) as system:
                await system.enrol()
                loaded = await _load_year(system, landed)
                found[f"first-load, {landed}"] = loaded
                _judge(found, verdict.judge_first_load(loaded))
        finally:
            ground.stop()


async def _load_year(system: Running, landed: str) -> dict[str, Any]:
    year = range(1, state.FIRST_LOADED_DAYS + 1)
    (district,) = system.state.districts
    used, began = system.cpu_by_part(), time.perf_counter()
    values = (
        chain.from_iterable(system.state.single_marks(district, day) for day in year)
        if landed == days.SINGLE_MARKS
        else system.state.whole_rolls(district, year)
    )
    await system.land(landing_topics(district)[0], values)
    landed_after = time.perf_counter() - began
    system.have_landed(year)
    marks = sum(system.sent.marks.values())
    await system.until("flagging", APPLIED, marks, poll_seconds=0.25)
    applied_after = time.perf_counter() - began
    await system.settled()
    seconds, after = time.perf_counter() - began, system.cpu_by_part()
    loaded = {
        "landed": landed,
        "marks": marks,
        "districts": 1,
        "hops": {"landed": landed_after, "applied by flagging": applied_after, "all at rest": seconds},
        "seconds": seconds,
        "cpu_seconds": {part: after[part] - used[part] for part in after},
        "state_minutes": STATE_MARKS_A_YEAR / (marks / seconds) / 60,
        "peak_megabytes": system.peaks(),
        "not_conserved": await system.not_conserved(),
    }
    print(f"\na first load of {system.state.students:,} students' year as {landed}: {seconds:.1f} s;", flush=True)
    print(
        f"a state's {STATE_MARKS_A_YEAR / 1e6:.0f} million marks, by arithmetic: {loaded['state_minutes']:.0f} minutes"
    )
    print(profile.table(loaded), flush=True)
    return loaded


def _judge(found: dict[str, Any], claims: list[verdict.Claim]) -> None:
    verdict.print_claims(claims)
    found["claims"] += claims

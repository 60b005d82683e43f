"""The simulated state as a process of its own: `python -m deploy.commands.life`. `leap up` starts it and watches."""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from contracts.calendar import school_year_of
from deploy.commands import districts, people, state
from deploy.commands.figures import measure_backlog
from deploy.commands.state import State
from deploy.demo.families import Families
from deploy.demo.living import Chronicle, Clock, Life
from deploy.demo.population import Town, settle
from deploy.demo.replay import districts_named_in
from deploy.demo.staff import Door, Staff
from deploy.local.machine import checkout
from deploy.local.parts import PartFailed, Process
from services.runtime import clock

POLL_SECONDS = 0.2
NO_PROGRESS_SECONDS = 180.0
SECONDS_PER_DAY = 20.0


def clock_file() -> Path:
    """Give the file by which the services' clock is moved."""
    folder = state.folder() / "time"  # of its own: in containers the services see nothing else from here
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "clock"


def now() -> datetime:
    """Give the services' time of day: the real one, or where the simulated state has come to."""
    return clock.now_of(clock_file()).astimezone(state.load().zone())


def today() -> date:
    """Give the services' local date."""
    return now().date()


def _chronicle_file() -> Path:
    return state.folder() / "life.json"


def start_life(*, scale: float, seed: int, until: date, seconds_per_day: float) -> Process:
    """Start the simulated state; `chronicle` tells how far it is."""
    _chronicle_file().unlink(missing_ok=True)
    words = {"scale": scale, "seed": seed, "until": until.isoformat(), "seconds-per-day": seconds_per_day}
    process = Process(
        name="the simulated state",
        address="",
        command=[sys.executable, "-m", "deploy.commands.life", *(f"--{name}={value}" for name, value in words.items())],
        log=state.folder() / "logs" / "life.log",
        folder=checkout(),
    )
    process.launch()
    return process


def chronicle() -> dict[str, Any]:
    """Read how far the simulated state is; nothing where it has not begun."""
    file = _chronicle_file()
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


async def settled(found: State) -> None:
    """Return when nothing is on its way any more. Raises PartFailed when nothing moves for too long."""
    least, moved_at, zeros = -1, time.monotonic(), 0
    # Twice nothing: between two looks an event may have travelled from one service's outbox to the next.
    while zeros < 2:
        waiting = (await measure_backlog(found)).records
        zeros = zeros + 1 if waiting == 0 else 0
        if waiting != least:
            least, moved_at = waiting, time.monotonic()
        if zeros == 0 and time.monotonic() - moved_at > NO_PROGRESS_SECONDS:
            raise PartFailed(
                f"{waiting:,} records wait and nothing moved for {NO_PROGRESS_SECONDS:.0f} s; see `leap logs`"
            )
        await asyncio.sleep(POLL_SECONDS)


def staffs_of(found: State, towns: Mapping[str, Town], *, seed: int) -> list[Staff]:
    """Give each district's people, with connections of their own."""
    families = Families(seed, zone=found.zone())
    keys: dict[str, Mapping[str, str]] = {}

    def headers_of(person: str) -> Mapping[str, str]:
        if person not in keys:
            keys[person] = people.acting_as(person)
        return keys[person]

    return [
        Staff(
            district=code,
            scheduler=f"desk-{code}",
            coordinator=f"coordinator-{code}",
            visitors=people.visitors_of(code),
            schools=sorted(town.schools),
            desk=Door(found.address_of("scheduling"), headers_of),
            phone=Door(found.address_of("visitlog"), headers_of),
            families=families,
        )
        for code, town in sorted(towns.items())
    ]


def main() -> None:
    """Live until the school year is over, or until it is stopped."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    arguments = _parse(sys.argv[1:])
    found = state.load_running()
    districts_file = districts.districts_file()
    named = districts_named_in(districts_file)
    settled_in = settle(seed=arguments.seed, scale=arguments.scale, school_year=school_year_of(arguments.until))
    towns = {code: town for code, town in settled_in.items() if code in named}
    life = Life(
        staffs=staffs_of(found, towns, seed=arguments.seed),
        towns=towns,
        clock=Clock(clock_file()),
        chronicle=Chronicle(file=_chronicle_file()),
        districts_file=districts_file,
        settled=lambda: settled(found),
        until=arguments.until,
        zone=found.zone(),
        seconds_per_day=arguments.seconds_per_day,
    )
    asyncio.run(
        life.live(
            broker_of=found.kafka_of_district,
            scale=arguments.scale,
            seed=arguments.seed,
            report=state.folder() / "sent.json",
        )
    )


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.commands.life", description=__doc__)
    parser.add_argument("--scale", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--until", type=date.fromisoformat, required=True, help="the last replayed day")
    parser.add_argument(
        "--seconds-per-day", type=float, required=True, help="how long a day takes after it; 0: it ends there"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    main()

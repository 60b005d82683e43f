"""`leap rebuild SERVICE`: its tables made anew from the topics while it runs, compared row for row, and switched."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from contracts.topics import COMPACTED
from deploy.commands import state
from deploy.commands.screen import Screen
from deploy.local.parts import PartFailed
from services.runtime import clock
from services.runtime.rebuild.differences import SchemasDiffer, TableDifference
from services.runtime.rebuild.own_ways import OwnWays
from services.runtime.rebuild.rebuild import Rebuild, RebuildFailed, Rebuilt, go_back, rebuild
from services.runtime.rebuild.shadow import CopyRefused
from services.runtime.service import Service

WELL, NOT_WELL = 0, 1


class Rebuildable(NamedTuple):
    """A service whose tables follow from events, its tables that do not, and what it does in its own way."""

    service: Service
    kept: tuple[str, ...]
    own_ways: OwnWays | None = None


def services() -> dict[str, Rebuildable]:
    """Give the services whose tables can be made anew."""
    from services.flagging.app import service as flagging
    from services.flagging.handlers import anew
    from services.reporting.app import NOT_FROM_EVENTS
    from services.reporting.app import service as reporting

    return {
        "reporting": Rebuildable(reporting, NOT_FROM_EVENTS),
        "flagging": Rebuildable(flagging, anew.NOT_FROM_FACTS, anew.OWN_WAYS),
    }


def run(screen: Screen, *, name: str, compare_only: bool, back: bool) -> int:
    """Rebuild the service's tables, or go back to the former ones. Raises NotRunning and PartFailed.

    Only a comparison that was asked for alone fails on differences: a switch has mended them.
    """
    found = state.load_running()
    service, kept, own_ways = services()[name]
    environment = found.services[name]["environment"]
    live_in_the_time_of(environment)
    wanted = Rebuild(
        service=service,
        broker=found.kafka(name),
        database_url=environment["LEAP_DATABASE_URL"],
        admin_url=found.admin_url(),
        zone=found.zone(),
        kept=kept,
        compacted=COMPACTED,
        own_ways=own_ways,
    )
    try:
        outcome = asyncio.run(go_back(wanted)) if back else _rebuild(screen, wanted, switch=not compare_only)
    except (RebuildFailed, CopyRefused, SchemasDiffer) as error:
        raise PartFailed(str(error)) from None
    _show(screen, wanted, outcome)
    return NOT_WELL if outcome.differences and compare_only else WELL


def live_in_the_time_of(environment: dict[str, str]) -> None:
    """Take the clock of the running copy: what it does of a day, the other must do of the same."""
    if "LEAP_CLOCK_FILE" in environment:
        clock.use(Path(environment["LEAP_CLOCK_FILE"]))


def _rebuild(screen: Screen, wanted: Rebuild, *, switch: bool) -> Rebuilt:
    with screen.bar(f"{wanted.schema} read again", total=100, unit="%") as bar:

        def applied(done: int, total: int) -> None:
            bar.advance_to(100 * done // max(1, total), f"%  {done:,} of {total:,} records")

        return asyncio.run(rebuild(wanted, switch=switch, applied=applied))


def _show(screen: Screen, wanted: Rebuild, outcome: Rebuilt) -> None:
    screen.give(asdict(outcome))
    rows = sum(outcome.rows.values())
    screen.say(f"{outcome.records:,} records read, {rows:,} rows of {len(outcome.rows)} tables compared")
    for each in outcome.differences:
        screen.say(f"  {each.table}: {_in_words(each)}, for instance {'; '.join(map(json.dumps, each.examples))}")
    if not outcome.differences:
        screen.say("  every row is the same")
    if outcome.switched:
        screen.say(f"switched; batches waited {outcome.standstill_seconds:.1f} s")
        screen.say(f"\nTry:  leap rebuild {wanted.schema} --back     the former tables, brought up to now")


def _in_words(difference: TableDifference) -> str:
    return f"{difference.only_in_first:,} rows only running, {difference.only_in_second:,} rows only rebuilt"

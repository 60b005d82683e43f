"""`leap rebuild SERVICE`: its tables made anew from the topics while it runs, compared row for row, and switched."""

import asyncio
import json
from dataclasses import asdict

from deploy.commands import state
from deploy.commands.screen import Screen
from deploy.local.parts import PartFailed
from services.runtime.rebuild.differences import SchemasDiffer, TableDifference
from services.runtime.rebuild.rebuild import Rebuild, RebuildFailed, Rebuilt, go_back, rebuild
from services.runtime.rebuild.shadow import CopyRefused
from services.runtime.service import Service

WELL, NOT_WELL = 0, 1


def services() -> dict[str, tuple[Service, tuple[str, ...]]]:
    """Name the services whose tables follow from events alone, and their tables that do not."""
    from services.reporting.app import NOT_FROM_EVENTS, service

    return {service.name: (service, NOT_FROM_EVENTS)}


def run(screen: Screen, *, name: str, compare_only: bool, back: bool) -> int:
    """Rebuild the service's tables, or go back to the former ones. Raises NotRunning and PartFailed.

    Only a comparison that was asked for alone fails on differences: a switch has mended them.
    """
    found = state.load_running()
    service, kept = services()[name]
    wanted = Rebuild(
        service=service,
        bootstrap_servers=found.bootstrap(),
        database_url=found.services[name]["environment"]["LEAP_DATABASE_URL"],
        admin_url=found.admin_url(),
        kept=kept,
    )
    try:
        outcome = asyncio.run(go_back(wanted)) if back else _rebuild(screen, wanted, switch=not compare_only)
    except (RebuildFailed, CopyRefused, SchemasDiffer) as error:
        raise PartFailed(str(error)) from None
    _show(screen, wanted, outcome)
    return NOT_WELL if outcome.differences and compare_only else WELL


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

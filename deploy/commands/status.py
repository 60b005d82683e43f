"""`leap status`: what runs, what waits, and whether every record is accounted for."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from deploy.commands import people, state
from deploy.commands.figures import DistrictFigures, Figures, Stopped, measure
from deploy.commands.screen import Screen
from deploy.local.parts import answers


def status(screen: Screen) -> int:
    """Print the figures; 0 where everything runs, nothing waits and all adds up, else 1.

    Raises NotRunning where nothing runs, or a start was broken off halfway.
    """
    found = state.load_whole()
    running = {name: part.is_running() for name, part in found.parts().items()}
    ready = {name: running[name] and answers(f"{found.operations_of(name)}/readyz") for name in found.services}
    figures = asyncio.run(measure(found))
    # The simulated state may have come to its end: that is nobody's fault.
    serving = [is_running for name, is_running in running.items() if name != "life"]
    people_problem = people.problem_of_people()
    well = all(serving) and all(ready.values()) and figures.lag == 0 and figures.adds_up and not people_problem

    screen.give(
        {
            "running": running,
            "ready": ready,
            "lag": figures.lag_by_group,
            "outbox": figures.waiting_in_outbox,
            "dead_letters": figures.dead_letters,
            "stopped": [asdict(each) for each in figures.stopped],
            "districts": [{**asdict(district), "gap": district.gap} for district in figures.districts],
            "totals": figures.totals,
            "adds_up": figures.adds_up,
            "people_problem": people_problem,
            "well": well,
        }
    )
    if not screen.as_json:
        if people_problem:
            print(
                f"PEOPLE FILE BROKEN  {people_problem}. Who was known before it goes on; nothing newer is in force.\n"
            )
        _print(figures, {name: running[name] and ready.get(name, True) for name in running if name != "life"})
        print("\n" + _verdict(figures, well=well, serves=all(serving) and all(ready.values())))
    return 0 if well else 1


def _verdict(figures: Figures, *, well: bool, serves: bool) -> str:
    if well:
        return "lag 0, and every record is accounted for"
    lost_or_doubled = any(figures.dead_letters.values()) or any(district.gap < 0 for district in figures.districts)
    if figures.stopped:
        return "not well: NOT READ, see the lines above"
    if serves and figures.lag and not lost_or_doubled:
        return f"{figures.lag:,} records are on their way; ask again"
    return "not well: see the lines above"


def _print(figures: Figures, well: dict[str, bool]) -> None:
    print("  ".join(f"{name} {'ok' if is_well else 'DOWN'}" for name, is_well in well.items()))
    table = Table("district", "sent", "accepted", "waiting", "rejected", "duplicate", "gap", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in figures.districts:
        numbers = (each.sent, each.accepted, each.waiting, each.rejected, each.duplicate, each.gap)
        table.add_row(each.district, *(f"{number:,}" for number in numbers))
    Console(highlight=False).print(table)
    for line in (line for each in figures.districts for line in left_open(each)):
        print("\n" + line)
    for stop in figures.stopped:
        print("\n" + not_read(stop))
    print("\nlag      " + "  ".join(f"{group} {records:,}" for group, records in figures.lag_by_group.items()))
    print("outbox   " + "  ".join(f"{name} {events:,}" for name, events in figures.waiting_in_outbox.items()))
    if any(figures.dead_letters.values()):
        print("UNREADABLE  " + "  ".join(f"{name} {count:,}" for name, count in figures.dead_letters.items() if count))
    print("totals   " + "  ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in figures.totals.items()))


def not_read(stop: Stopped) -> str:
    """Say which partition is not read on, where it stands, why, and what to do."""
    return (
        f"NOT READ  {stop.topic}/{stop.partition} by {stop.service}, at {stop.position} ({stop.reason}):"
        f" {stop.detail}. The others go on."
    )


def left_open(each: DistrictFigures) -> Iterator[str]:
    """Say what a district is to be told of what it sent, a sentence each, with what mends it."""
    if each.waiting_numbers:
        yield (
            f"{each.district}: marks of {each.waiting_days:,} days wait, of {each.waiting_numbers:,} numbers that"
            " no enrolment knows. Send the roster: they count as soon as it names them."
        )
    if each.rolls_waiting:
        yield (
            f"{each.district}: marks of {each.rolls_waiting:,} school days wait for their roll, the oldest since"
            f" {each.oldest_roll_waiting}. Complete these rolls: they count as soon as it is done."
        )
    if each.days_without_mark:
        yield (
            f"{each.district}: complete rolls have no mark for {each.days_without_mark:,} days of enrolled students."
            " They count, and as not absent: send the marks that are missing."
        )
    if each.schools_without_calendar:
        yield (
            f"{each.district}: {each.schools_without_calendar:,} schools have no calendar. Send it: until then every"
            " day with a complete roll is a school day."
        )

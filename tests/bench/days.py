"""A state's school day through all services: landed, applied, told, at the desk and in the reports."""

import time
from typing import Any

from contracts.topics import landing_topics
from tests.bench import profile, state
from tests.bench.running import APPLIED, LANDED, Running

SINGLE_MARKS, WHOLE_ROLLS = "single marks", "whole rolls"

_FIGURES = "SELECT count(*) FROM flagged_student WHERE as_of = $1 AND level <> 'none'"
_PRICED = """
SELECT count(*) FROM request CROSS JOIN LATERAL jsonb_array_elements(priority -> 'children') AS child
WHERE stage <> 'closed' AND (child ->> 'as_of')::date = $1"""
_OPEN = "SELECT count(*) FROM request WHERE stage <> 'closed'"
_TALLIED = """
SELECT coalesce(sum(students_counted), 0)::bigint, coalesce(sum(students_absent), 0)::bigint
FROM told_day WHERE school_day = $1"""
_FLAGS = "SELECT count(*) FROM flag_today WHERE level <> 'none'"
_REPORTED_FIGURES = "SELECT count(*) FROM flag_figures WHERE as_of = $1"


async def measure(system: Running, landed: str) -> dict[str, Any]:
    """Land the next school day of the state in this form, and follow it through all services to the reports."""
    day = system.next_day
    its, marks = system.state, sum(system.sent.marks.values())
    landings = {
        landing_topics(district)[0]: list(
            its.single_marks(district, day)
            if landed == SINGLE_MARKS
            else its.whole_rolls(district, range(day, day + 1))
        )
        for district in its.districts
    }
    system.have_landed([day])
    marks, everything = sum(system.sent.marks.values()) - marks, sum(system.sent.marks.values())
    sent = sum(map(len, landings.values()))

    began = time.perf_counter()
    hops: dict[str, float] = {}

    def arrived(hop: str) -> None:
        hops[hop] = time.perf_counter() - began

    before = system.cpu_by_part()
    await system.land_all(landings)
    arrived("landed")
    await system.until("ingest", LANDED, everything)
    arrived("accepted by ingest")
    await system.until("flagging", APPLIED, everything)
    await system.is_complete(day)
    arrived("applied by flagging")
    await system.wait_for("told", lambda: system.has_sent("flagging"))
    arrived("told by flagging")
    await system.wait_for("in scheduling", lambda: _is_done(system, "scheduling"))
    arrived("priced by scheduling")
    await system.wait_for("in reporting", lambda: system.has_read("reporting"))
    arrived("in the report")
    after = system.cpu_by_part()

    found = {
        "landed": landed,
        "school_day": day,
        "marks": marks,
        "records": sent,
        "districts": len(its.districts),
        "schools": sum(its.schools.values()),
        "hops": hops,
        "seconds": hops["in the report"],
        "cpu_seconds": {part: after[part] - before[part] for part in after},
        "not_conserved": [*await system.not_conserved(), *await _followed(system, day)],
    }
    print(f"\na state's school day {day} as {landed}: {sent:,} records", flush=True)
    print(profile.table(found), flush=True)
    return found


async def _is_done(system: Running, service: str) -> bool:
    return await system.has_read(service) and await system.has_sent(service)


async def _followed(system: Running, day: int) -> list[str]:
    """Name what did not follow from a whole day: a figure, a price, a request, a line of the report."""
    flagged = system.state.flagged_after(day)
    flagged_before = system.state.flagged_after(day - 1)
    students, at = sum(map(len, flagged.values())), state.day_of(day)
    desk, reports = system.views["scheduling"], system.views["reporting"]
    marks, absences = (
        sum(system.state.marks_on(each, day) for each in system.state.districts),
        system.state.absent_on(day),
    )
    found = {
        "flagged students with today's figures": (await desk.fetchval(_FIGURES, at), students),
        "of them priced by these": (await desk.fetchval(_PRICED, at), students),
        "open requests": (await desk.fetchval(_OPEN), len(flagged)),
        "day counted and missed, in the report": (tuple(await reports.fetchrow(_TALLIED, at) or ()), (marks, absences)),
        "flags in the report": (await reports.fetchval(_FLAGS), students),
        "today's figures in the report": (
            await reports.fetchval(_REPORTED_FIGURES, at),
            sum(map(len, flagged_before.values())),
        ),
    }
    wrong = [f"{what}: {seen} instead of {expected}" for what, (seen, expected) in found.items() if seen != expected]
    for line in wrong:
        print(f"  not as it must be: {line}", flush=True)
    return wrong

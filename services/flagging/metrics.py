"""What flagging tells of itself: marks applied and unchanged, flags that stand, and which schools have reported today.

Silence is judged by the calendar: a school is expected on its own school days only, and a completed roll is a report
even where nobody was absent.
"""

import time
from datetime import date
from datetime import time as clock_time
from weakref import WeakKeyDictionary

from services.flagging.store import claims, measured, waiting
from services.runtime import clock
from services.runtime.database import Connection
from services.runtime.seen.metric import about, gauge, snapshot
from services.runtime.web.context import Context

DUE_AT = clock_time(10)
"""Local time by which a school day's roll is promised complete."""

CLAIMS_SECONDS = 900.0
_counted_claims: WeakKeyDictionary[Context, tuple[float, dict[str, int]]] = WeakKeyDictionary()

# From the counts that move with the position: exact whatever is killed when.
MARKS = snapshot("counter", "leap_marks_total", "Marks and retractions dealt with, by effect", ["district", "effect"])
FLAGS = snapshot("gauge", "leap_flags", "Students whose flag stands, as flagging judged, to tens", ["district"])
# Whoever else keeps flags tells the same number of them, or misses one. How many there are, nobody can read from it.
WHICH = snapshot("gauge", "leap_flags_digest", "Which flags stand as flagging judged, as one number", ["district"])
# 0 on a holiday: whoever asks for silence asks for it there.
EXPECTED = snapshot("gauge", "leap_schools_expected", "Schools whose calendar has a school day today", ["district"])
REPORTED = snapshot("gauge", "leap_schools_reported", "Expected schools whose roll of today is complete", ["district"])
# A school that completes rolls and has no calendar: nobody could tell its silence from a holiday.
UNSCHEDULED = snapshot("gauge", "leap_schools_without_calendar", "Schools with rolls but no calendar", ["district"])
# Marks came, three school days passed, and nobody said that the roll is complete: they count for nothing. Who owes
# nothing is told as 0, so that the alert ends.
WAITING = snapshot("gauge", "leap_rolls_waiting", "School days whose marks wait for their roll too long", ["district"])
# Somebody's state number enrolled in two districts, and neither has confirmed a transfer: a mover not yet settled, a
# typing mistake, or somebody who would like to know.
CLAIMS = snapshot(
    "gauge", "leap_claims_unconfirmed", "Persons whom two districts enrol without a confirmed transfer", ["district"]
)
# In the districts' own time, so that no rule has to know when clocks change.
DUE = gauge("leap_rolls_due", "1 from 10:00 local time until midnight, else 0")


async def measure(context: Context) -> None:
    """Read counts and flags, and hold today's rolls against today's calendars."""
    local = clock.now().astimezone(context.settings.zone)
    async with context.pool.acquire() as connection:
        marks = await measured.marks_by_effect(connection)
        flags = await measured.standing_flags(connection)
        schools = await measured.schools_on(connection, local.date())
        rolls = await waiting.waiting_rolls(connection, local.date())
        claimed = await _claimed(context, connection, local.date())
    DUE.set(local.time() >= DUE_AT)
    MARKS.replace({(row["district"], effect): row[effect] for row in marks for effect in ("applied", "unchanged")})
    FLAGS.replace({(row["district"],): about(row["flags"]) for row in flags})
    WHICH.replace({(row["district"],): row["digest"] for row in flags})
    EXPECTED.replace({(row["district"],): row["expected"] for row in schools})
    REPORTED.replace({(row["district"],): row["reported"] for row in schools})
    UNSCHEDULED.replace({(row["district"],): row["without_calendar"] for row in schools})
    CLAIMS.replace({(row["district"],): claimed.get(row["district"], 0) for row in schools})
    WAITING.replace(
        {(district,): rolls.get(district, waiting.NOTHING).days for district in (row["district"] for row in schools)}
    )


async def _claimed(context: Context, connection: Connection, today: date) -> dict[str, int]:
    """Count the persons whom two districts enrol, a quarter of an hour old at most: all the year's are looked at."""
    counted = _counted_claims.get(context)
    if counted is None or time.monotonic() - counted[0] > CLAIMS_SECONDS:
        counted = time.monotonic(), await claims.unconfirmed(connection, today)
        _counted_claims[context] = counted
    return counted[1]

"""Publishing school days and student months that closed or were corrected: a timer's work, off the hot path."""

from collections.abc import Iterator

import asyncpg

from services.flagging.store.arguments import moment_text
from services.flagging.store.tallies_sql import (
    PUBLISH_CLOSED_MONTHS,
    PUBLISH_CORRECTED_MONTHS,
    PUBLISH_SCHOOL_DAYS,
    TAKE_SCHOOLS,
    TAKE_STUDENTS,
)
from services.runtime.columns import columns

SCHOOLS_AT_A_TIME = 2_000
STUDENTS_AT_A_TIME = 5_000
NO_DAYS = "0" * 366


async def publish_due(connection: asyncpg.Connection) -> bool:
    """Publish one bite of what is due, inside the caller's transaction; True means there may be more.

    Taking comes first and locks: the figures are read afterwards, so a change that was waiting is never missed.
    """
    schools = await connection.fetch(TAKE_SCHOOLS, SCHOOLS_AT_A_TIME)
    students = await connection.fetch(TAKE_STUDENTS, STUDENTS_AT_A_TIME)
    now = moment_text()

    days = [(*row[:4], place) for row in schools for place in _places(row["school_days"])]
    if days:
        await connection.execute(PUBLISH_SCHOOL_DAYS, *columns(days, width=5), now)
    closing = [(*row[:4], row["closing"]) for row in schools if row["closing"] != NO_DAYS]
    if closing:
        await connection.execute(PUBLISH_CLOSED_MONTHS, *columns(closing, width=5), now)
    if students:
        await connection.execute(PUBLISH_CORRECTED_MONTHS, *columns(students, width=4), now)
    return len(schools) == SCHOOLS_AT_A_TIME or len(students) == STUDENTS_AT_A_TIME


def _places(days: str) -> Iterator[int]:
    return (place for place, bit in enumerate(days) if bit == "1")

"""Publishing school days and student months that closed or were corrected: a timer's work, off the hot path."""

from datetime import UTC, datetime

import asyncpg

from services.flagging.tallies_sql import (
    PUBLISH_CLOSED_MONTHS,
    PUBLISH_CORRECTED_MONTHS,
    PUBLISH_SCHOOL_DAYS,
    TAKE_SCHOOLS,
    TAKE_STUDENTS,
)

SCHOOLS_AT_A_TIME = 400
STUDENTS_AT_A_TIME = 5_000
NO_DAYS = "0" * 366


async def publish_due(connection: asyncpg.Connection) -> bool:
    """This will publish one bite of what is due, inside the caller's transaction; True means there may be more.

    Taking comes first and locks: the figures are read afterwards, so a change that was waiting is never missed.
    """
    schools = await connection.fetch(TAKE_SCHOOLS, SCHOOLS_AT_A_TIME)
    students = await connection.fetch(TAKE_STUDENTS, STUDENTS_AT_A_TIME)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    for statement, column in ((PUBLISH_SCHOOL_DAYS, "school_days"), (PUBLISH_CLOSED_MONTHS, "closing")):
        due = [row for row in schools if row[column] != NO_DAYS]
        if due:
            columns = (*(["lane", "district", "school", "school_year"]), column)
            await connection.execute(statement, *([row[name] for row in due] for name in columns), now)
    if students:
        columns = ("student_key", "school_year", "school", "days")
        await connection.execute(PUBLISH_CORRECTED_MONTHS, *([row[name] for row in students] for name in columns), now)
    return len(schools) == SCHOOLS_AT_A_TIME or len(students) == STUDENTS_AT_A_TIME

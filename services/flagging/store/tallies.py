"""Publishing school days and student months that closed or were corrected: a timer's work, off the hot path."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import asyncpg

from services.flagging.rules import months
from services.flagging.store.arguments import bits_of_days, days_of_bits, moment_text
from services.flagging.store.tallies_sql import (
    CLOSE_MONTHS,
    DISTRICT_DAYS,
    LATE_MONTHS,
    OPEN_MONTHS,
    PUBLISH_CLOSED_MONTHS,
    PUBLISH_CORRECTED_MONTHS,
    PUBLISH_SCHOOL_DAYS,
    TAKE_SCHOOLS,
    TAKE_STUDENTS,
)
from services.flagging.store.writes import SchoolYear
from services.runtime.columns import columns

SCHOOLS_AT_A_TIME = 2_000
STUDENTS_AT_A_TIME = 5_000
NO_DAYS = "0" * 366

DistrictDays = Mapping[tuple[str, int], int]
"""The days on which any school of a district teaches, by district and school year."""


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


async def close_complete_months(connection: asyncpg.Connection, school_years: Sequence[SchoolYear]) -> None:
    """Close the months of these schools whose every school day has a complete roll by now."""
    if school_years:
        await _close(connection, await connection.fetch(OPEN_MONTHS, *columns(school_years, width=4)), {}, today=None)


async def close_late_months(connection: asyncpg.Connection, *, today: date) -> bool:
    """Close what waited long enough, each school's year looked at once a day; True means there may be more."""
    rows = await connection.fetch(LATE_MONTHS, today, SCHOOLS_AT_A_TIME)
    if rows:
        districts = sorted({row["district"] for row in rows})
        days = {
            (row["district"], row["school_year"]): days_of_bits(row["days"])
            for row in await connection.fetch(DISTRICT_DAYS, districts)
        }
        await _close(connection, rows, days, today=today)
    return len(rows) == SCHOOLS_AT_A_TIME


async def _close(
    connection: asyncpg.Connection, rows: Iterable[asyncpg.Record], district_days: DistrictDays, *, today: date | None
) -> None:
    closing = [
        (*row[:4], bits_of_days(days))
        for row in rows
        if (
            days := months.closing_days(
                school_year=row["school_year"],
                school_days=days_of_bits(row["school_days"]) if row["has_calendar"] else None,
                district_days=district_days.get((row["district"], row["school_year"]), 0),
                completed=days_of_bits(row["completed"]),
                closed=days_of_bits(row["closed"]),
                today=today,
            )
        )
    ]
    if closing:
        await connection.execute(CLOSE_MONTHS, *columns(closing, width=5))

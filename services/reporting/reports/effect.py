"""What visits change: read from the projections in one statement, computed off the event loop, suppressed here."""

import asyncio
from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.reporting.rules import effect_tables as tables
from services.reporting.rules.spans import Span
from services.reporting.rules.tables import Table
from services.reporting.store import effect_queries
from services.runtime.database import Connection


async def effect_tables(
    connection: Connection, span: Span, *, zone: ZoneInfo, as_of: datetime | None, cut_off: date | None
) -> dict[str, Table]:
    """Make the tables of the effect up to the end of the span, ready to be published."""
    rows = await effect_queries.flagged_students(connection, until=span.until, end_day=span.end_day, time_zone=zone.key)

    def compute() -> dict[str, Table]:
        students = tables.flagged_students(rows)
        return tables.effect_tables(students, school_year=span.school_year, as_of=as_of, cut_off=cut_off)

    # A whole state's students take seconds of arithmetic, in which the event loop would do nothing else.
    return await asyncio.to_thread(compute)

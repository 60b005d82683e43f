"""Up to which month students are counted: the newest that is told, and what it lacks."""

from datetime import date, timedelta

from services.reporting.rules.closing import Closed, Lacks, is_due, lacking
from services.reporting.rules.spans import Span
from services.reporting.store import closings
from services.runtime.database import Connection


async def due(connection: Connection, span: Span, *, month: date, today: date) -> Closed | None:
    """Say what the whole state's month lacks; None while it is to be waited for."""
    before = (month - timedelta(days=1)).replace(day=1)
    told = await closings.school_months(connection, since=before, until=span.end_day)
    flagged = await closings.flagged_districts(connection, school_year=span.school_year)
    lacks = lacking(month, told, flagged=flagged)
    if not is_due(month, told, today=today, lacks=lacks):
        return None
    return Closed(span.first_day, month, await _with_rolls(connection, span, month, lacks))


async def of_district(connection: Connection, span: Span, district: str, *, today: date) -> list[Closed]:
    """List the months of the span that are told of one district, oldest first, each with what it lacks."""
    told = await closings.school_months(connection, since=span.first_day, until=span.end_day, district=district)
    found = []
    for month in sorted({each.month for each in told if each.closed}):
        lacks = lacking(month, told)
        if is_due(month, told, today=today, lacks=lacks):
            found.append(Closed(span.first_day, month, await _with_rolls(connection, span, month, lacks, district)))
    return found


async def _with_rolls(
    connection: Connection, span: Span, month: date, lacks: Lacks, district: str | None = None
) -> Lacks:
    rolls = await closings.missing_rolls(connection, first_month=span.first_day, month=month, district=district)
    return Lacks(districts=lacks.districts, schools=lacks.schools, rolls=tuple(rolls))

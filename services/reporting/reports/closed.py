"""Up to which month students are counted: the newest that is told, and what it lacks."""

from datetime import date, timedelta

from services.reporting.rules.closing import Closed, Lacks, day_after_month, is_due, lacking
from services.reporting.rules.policies import in_force
from services.reporting.rules.spans import Span
from services.reporting.store import closings, policies
from services.runtime.database import Connection


async def due(connection: Connection, span: Span, *, month: date, today: date) -> Closed | None:
    """Say what the whole state's month lacks; None while it is to be waited for."""
    before = (month - timedelta(days=1)).replace(day=1)
    told = await closings.school_months(connection, since=before, until=span.end_day)
    flagged = await closings.flagged_districts(connection, school_year=span.school_year)
    lacks = lacking(month, told, flagged=flagged)
    if not is_due(month, told, today=today, lacks=lacks):
        return None
    lacks = await _with_rolls(connection, span, month, lacks)
    return Closed(span.first_day, month, await _last_day(connection, month), lacks)


async def of_district(connection: Connection, span: Span, district: str, *, today: date) -> list[Closed]:
    """List the months of the span that are told of one district, oldest first, each with what it lacks.

    Each is judged by the district's own policy that was in force on its last day.
    """
    decided = await policies.of_district(connection, district)
    told = await closings.school_months(connection, since=span.first_day, until=span.end_day, district=district)
    found = []
    for month in sorted({each.month for each in told if each.closed}):
        lacks = lacking(month, told)
        if is_due(month, told, today=today, lacks=lacks):
            lacks = await _with_rolls(connection, span, month, lacks, district)
            as_of = await _last_day(connection, month, district)
            found.append(Closed(span.first_day, month, as_of, lacks, in_force(decided, on=as_of)))
    return found


async def _last_day(connection: Connection, month: date, district: str | None = None) -> date:
    end = day_after_month(month)
    day = await closings.last_school_day(connection, since=month, until=end, district=district)
    return day or end - timedelta(days=1)


async def _with_rolls(
    connection: Connection, span: Span, month: date, lacks: Lacks, district: str | None = None
) -> Lacks:
    rolls = await closings.missing_rolls(connection, first_month=span.first_day, month=month, district=district)
    return Lacks(districts=lacks.districts, schools=lacks.schools, rolls=tuple(rolls))

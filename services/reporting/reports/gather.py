"""Reading everything a span's tables are made of, in one transaction."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from contracts.calendar import local_day, start_of_day
from services.reporting.rules.closing import Closed
from services.reporting.rules.figures import Figures
from services.reporting.rules.spans import Span, logs_due_on
from services.reporting.store import closings, queries, schools, student_months
from services.runtime.database import Connection


async def gather(
    connection: Connection, span: Span, closed: Closed | None, *, zone: ZoneInfo, district: str | None = None
) -> Figures:
    """Count everything over the span, of one district or of all; students up to the month that has closed."""
    within = {"since": span.since, "until": span.until}
    last_day = last_day_of(span, zone)
    districts = [district] if district else await schools.districts(connection)
    visitors = await schools.visitors(connection, as_of=last_day, **within)
    return Figures(
        districts=districts,
        furthest=await queries.furthest_steps(connection, **within, district=district),
        ages=await queries.step_ages(connection, **within, district=district),
        waits=await queries.days_to_first_visit(connection, **within, district=district),
        endings=await queries.endings(connection, **within, district=district),
        visits=await queries.visits_made(connection, **within, district=district),
        logs=await queries.logs_due(
            connection,
            **within,
            due_on=logs_due_on(span),
            today=local_day(span.until, zone=zone),
            zone=zone.key,
            district=district,
        ),
        promises=await queries.promises(
            connection,
            since=span.first_day,
            until=span.end_day,
            until_at=span.until,
            zone=zone.key,
            district=district,
        ),
        referrals=await queries.referrals(connection, **within, district=district),
        visitors=[each for each in visitors if district in (None, each["district"])],
        languages=await schools.languages(connection, as_of=last_day, district=district),
        load=await schools.load(connection, **within, district=district),
        students=await students_of_month(connection, closed, district=district),
        persons=[] if district else await persons_of_month(connection, closed),
    )


async def students_of_month(
    connection: Connection, closed: Closed | None, *, district: str | None = None
) -> list[dict[str, object]]:
    """Count students and chronically absent ones, cumulative up to the month; none where no month has closed."""
    if closed is None:
        return []
    return await student_months.chronic(connection, closed, district=district)


async def persons_of_month(connection: Connection, closed: Closed | None) -> list[dict[str, object]]:
    """Count the state's persons and chronically absent ones, cumulative up to the month."""
    if closed is None:
        return []
    return await student_months.persons(connection, closed)


def last_day_of(span: Span, zone: ZoneInfo) -> date:
    """Name the last day of a span, on which visitors must be trained to count."""
    return min(local_day(span.until, zone=zone), date.fromordinal(span.end_day.toordinal() - 1))


async def as_of(connection: Connection, span: Span, *, zone: ZoneInfo, district: str | None = None) -> datetime | None:
    """Tell how recent the numbers of a span are: the newest event behind them, or the last school day's beginning."""
    newest = await queries.newest_event_at(connection, before=span.until, district=district)
    day = await closings.last_school_day(connection, since=span.first_day, until=span.end_day, district=district)
    known = [newest, start_of_day(day, zone=zone).astimezone(UTC) if day else None]
    return max((each for each in known if each is not None), default=None)

"""Reading everything a span's tables are made of, in one transaction."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from contracts.calendar import local_day
from services.reporting.rules.figures import Figures
from services.reporting.rules.measures import MINIMUM_ENROLLED_DAYS
from services.reporting.rules.spans import Span, logs_due_on
from services.reporting.store import queries, schools, student_months
from services.runtime.database import Connection


async def gather(connection: Connection, span: Span, *, zone: ZoneInfo, district: str | None = None) -> Figures:
    """Count everything over the span, of one district or of all."""
    within = {"since": span.since, "until": span.until}
    last_day = last_day_of(span, zone)
    districts = [district] if district else await schools.districts(connection)
    month = await student_months.newest_month(
        connection, first_month=span.first_day, before=span.end_day, districts=districts
    )
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
        students=await students_of_month(connection, span, month, district=district),
        persons=[] if district else await persons_of_month(connection, span, month),
    )


async def students_of_month(
    connection: Connection, span: Span, month: date | None, *, district: str | None = None
) -> list[dict[str, object]]:
    """Count students and chronically absent ones, cumulative up to the month."""
    if month is None:
        return []
    return await student_months.chronic(
        connection,
        first_month=span.first_day,
        month=month,
        minimum_enrolled=MINIMUM_ENROLLED_DAYS,
        district=district,
    )


async def persons_of_month(connection: Connection, span: Span, month: date | None) -> list[dict[str, object]]:
    """Count the state's persons and chronically absent ones, cumulative up to the month."""
    if month is None:
        return []
    return await student_months.persons(
        connection, first_month=span.first_day, month=month, minimum_enrolled=MINIMUM_ENROLLED_DAYS
    )


def last_day_of(span: Span, zone: ZoneInfo) -> date:
    """Name the last day of a span, on which visitors must be trained to count."""
    return min(local_day(span.until, zone=zone), date.fromordinal(span.end_day.toordinal() - 1))


async def newest_event_at(connection: Connection, *, before: datetime) -> datetime | None:
    """Tell how recent the numbers of a span are: the newest event behind them, never beyond its end."""
    newest = await queries.newest_event_at(connection)
    return min(newest, before) if newest is not None else None

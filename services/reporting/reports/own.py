"""A district's own numbers, of this moment and whole: for the people who work with these families."""

from collections import defaultdict
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.reporting.reports.gather import gather, newest_event_at, students_of_month
from services.reporting.rules.cubes import chronic_cube
from services.reporting.rules.figures import tables_of
from services.reporting.rules.measures import STAGES
from services.reporting.rules.spans import Span, span_until_now
from services.reporting.rules.tables import Line, Table, line, percent
from services.reporting.store import queries, schools, student_months
from services.runtime.database import Connection

_GRADES = ("PK", "K", *(str(grade) for grade in range(1, 13)))


async def own_tables(connection: Connection, district: str, *, now: datetime, zone: ZoneInfo) -> dict[str, Table]:
    """Make every table of one district, up to now."""
    span = span_until_now(now, zone)
    as_of = await newest_event_at(connection, before=now)
    of_table: dict[str, Any] = {"school_year": span.school_year, "as_of": as_of}
    figures = await gather(connection, span, zone=zone, district=district)
    tables = tables_of(figures, published=False, **of_table)

    flagged = await schools.flagged_now(connection, school_year=span.school_year, district=district)
    lines_by_table = {
        "queue": _queue(await schools.queue(connection, now=now, district=district)),
        "visits-by-month": _by_month(
            await queries.visits_by_month(
                connection, since=span.since, until=span.until, district=district, zone=str(zone)
            )
        ),
        "load": [line("load", [each["visitor"]], {"visits_of_visitor": each["visits"]}) for each in figures.load],
        "flagged-by-grade": _by_grade(flagged),
        "chronic-by-month": await _chronic_by_month(connection, span, district),
    }
    made = {name: Table(name=name, lines=tuple(lines), **of_table) for name, lines in lines_by_table.items()}
    return {**tables, **made}


async def school_tables(
    connection: Connection, district: str, school: str, *, now: datetime, zone: ZoneInfo
) -> dict[str, Table]:
    """Make a principal's tables: one school's flags, chronic absence, queue and families. Empty: unknown."""
    span = span_until_now(now, zone)
    of_table: dict[str, Any] = {
        "school_year": span.school_year,
        "as_of": await newest_event_at(connection, before=now),
    }
    flagged = await schools.flagged_now(connection, school_year=span.school_year, district=district)
    months = await _chronic_by_month(connection, span, district, school=school)
    families = await schools.visits_of_school(
        connection,
        since=span.since,
        until=span.until,
        district=district,
        school=school,
        school_year=span.school_year,
    )
    if not months and not families["flagged_families"]:
        return {}
    lines_by_table = {
        "flagged-by-grade": _by_grade([each for each in flagged if each["school"] == school]),
        "chronic-by-month": months,
        "queue": _queue(await schools.queue(connection, now=now, district=district, school=school)),
        "school": [line("school", [what], {"count": number}) for what, number in families.items()],
    }
    return {name: Table(name=name, lines=tuple(lines), **of_table) for name, lines in lines_by_table.items()}


async def districts(connection: Connection) -> list[str]:
    """Name every district of which anything is known."""
    return await schools.districts(connection)


async def counts(connection: Connection) -> dict[str, int]:
    """Count what the projections hold, for operations: reconciliation, never a report."""
    return await schools.counts(connection)


async def _chronic_by_month(
    connection: Connection, span: Span, district: str, *, school: str | None = None
) -> list[Line]:
    lines = []
    newest = await student_months.newest_month(
        connection, first_month=span.first_day, before=span.end_day, districts=[district]
    )
    month = span.first_day
    while newest is not None and month <= newest:
        cube = chronic_cube(await students_of_month(connection, span, month, district=district))
        where = (district,) if school is None else ("school", district, school)
        if ("students", where) in cube.coefficients:
            students, chronic = cube.value("students", *where), cube.value("chronic", *where)
            shown = {"students": students, "chronic": chronic, "chronic_rate": percent(chronic, students)}
            lines.append(line("chronic-by-month", [month.isoformat()], shown))
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return lines


def _queue(rows: list[dict[str, Any]]) -> list[Line]:
    at = {each["stage"]: each for each in rows}
    return [
        line(
            "queue",
            [stage],
            {
                "open_requests": at[stage]["requests"],
                "median_days": round(at[stage]["median_days"], 1),
                "longest_days": round(at[stage]["longest_days"], 1),
            },
        )
        for stage in STAGES
        if stage in at
    ]


def _by_month(rows: list[dict[str, Any]]) -> list[Line]:
    return [
        line("visits-by-month", [each["month"].isoformat()], {"visits": each["visits"], "families": each["families"]})
        for each in rows
    ]


def _by_grade(rows: list[dict[str, Any]]) -> list[Line]:
    flagged: defaultdict[str, int] = defaultdict(int)
    severe: defaultdict[str, int] = defaultdict(int)
    for each in rows:
        grade = each["grade"] or "?"
        flagged[grade] += each["students"]
        severe[grade] += each["students"] if each["level"] == "severely_chronically_absent" else 0
    order = [*(grade for grade in _GRADES if grade in flagged), *(["?"] if "?" in flagged else [])]
    return [
        line("flagged-by-grade", [grade], {"flagged_students": flagged[grade], "severe": severe[grade]})
        for grade in order
    ]

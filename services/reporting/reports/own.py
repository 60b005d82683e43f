"""A district's own numbers, of this moment and whole: for the people who work with these families."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contracts.calendar import local_day, start_of_day
from services.reporting.reports.closed import of_district
from services.reporting.reports.gather import as_of, gather, students_of_month
from services.reporting.rules.closing import Closed
from services.reporting.rules.cubes import chronic_cube
from services.reporting.rules.figures import tables_of
from services.reporting.rules.measures import OF_MONTHS, STAGES
from services.reporting.rules.spans import Span, span_until_now
from services.reporting.rules.tables import Line, Table, line, percent
from services.reporting.store import queries, schools
from services.runtime.database import Connection

_GRADES = ("PK", "K", *(str(grade) for grade in range(1, 13)))


async def own_tables(connection: Connection, district: str, *, now: datetime, zone: ZoneInfo) -> dict[str, Table]:
    """Make every table of one district, up to now; those of students' months up to the newest that is told."""
    span = span_until_now(now, zone)
    months = await of_district(connection, span, district, today=local_day(now, zone=zone))
    of_table = await _of_table(connection, span, months, district, zone=zone)
    figures = await gather(connection, span, months[-1] if months else None, zone=zone, district=district)
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
        "chronic-by-month": await _chronic_by_month(connection, months, district),
    }
    made = {name: Table(name=name, lines=tuple(lines), **of_table) for name, lines in lines_by_table.items()}
    return _dated({**tables, **made}, months, zone=zone)


async def school_tables(
    connection: Connection, district: str, school: str, *, now: datetime, zone: ZoneInfo
) -> dict[str, Table]:
    """Make a principal's tables: one school's flags, chronic absence, queue and families. Empty: unknown."""
    span = span_until_now(now, zone)
    months = await of_district(connection, span, district, today=local_day(now, zone=zone))
    flagged = await schools.flagged_now(connection, school_year=span.school_year, district=district)
    chronic = await _chronic_by_month(connection, months, district, school=school)
    families = await schools.visits_of_school(
        connection,
        since=span.since,
        until=span.until,
        district=district,
        school=school,
        school_year=span.school_year,
    )
    if not chronic and not families["flagged_families"]:
        return {}
    lines_by_table = {
        "flagged-by-grade": _by_grade([each for each in flagged if each["school"] == school]),
        "chronic-by-month": chronic,
        "queue": _queue(await schools.queue(connection, now=now, district=district, school=school)),
        "school": [line("school", [what], {"count": number}) for what, number in families.items()],
    }
    of_table = await _of_table(connection, span, months, district, zone=zone)
    made = {name: Table(name=name, lines=tuple(lines), **of_table) for name, lines in lines_by_table.items()}
    return _dated(made, months, zone=zone)


async def districts(connection: Connection) -> list[str]:
    """Name every district of which anything is known."""
    return await schools.districts(connection)


async def counts(connection: Connection) -> dict[str, int]:
    """Count what the projections hold, for operations: reconciliation, never a report."""
    return await schools.counts(connection)


async def _of_table(
    connection: Connection, span: Span, months: list[Closed], district: str, *, zone: ZoneInfo
) -> dict[str, Any]:
    return {
        "school_year": span.school_year,
        "as_of": await as_of(connection, span, zone=zone, district=district),
        "lacks": months[-1].lacks if months else None,
    }


def _dated(tables: dict[str, Table], months: list[Closed], *, zone: ZoneInfo) -> dict[str, Table]:
    """Give the tables of students' months the day and the policy of their last month: the others are of this moment."""
    if not months:
        return tables
    of_month: dict[str, Any] = {
        "as_of": start_of_day(months[-1].as_of, zone=zone).astimezone(UTC),
        "policy": months[-1].policy,
    }
    return {name: replace(each, **of_month) if name in OF_MONTHS else each for name, each in tables.items()}


async def _chronic_by_month(
    connection: Connection, months: list[Closed], district: str, *, school: str | None = None
) -> list[Line]:
    lines = []
    for each in months:
        cube = chronic_cube(await students_of_month(connection, each, district=district))
        where = (district,) if school is None else ("school", district, school)
        if ("students", where) in cube.coefficients:
            students, chronic = cube.value("students", *where), cube.value("chronic", *where)
            shown = {"students": students, "chronic": chronic, "chronic_rate": percent(chronic, students)}
            lines.append(line("chronic-by-month", [each.month.isoformat()], shown))
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

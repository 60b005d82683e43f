"""Published tables: made once per cut-off, then only read."""

import asyncio
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contracts.calendar import first_day_of, local_day, school_year_of
from services.reporting.reports.effect import effect_tables
from services.reporting.reports.gather import gather, newest_event_at
from services.reporting.rules.figures import tables_of
from services.reporting.rules.measures import TABLES
from services.reporting.rules.spans import Span, last_cut_off, span_until_cut_off
from services.reporting.rules.tables import STATE, Table, as_json, from_json
from services.reporting.store import releases, schools, student_months
from services.runtime.database import Connection

RELEASE_SECONDS = 120

__all__ = ["cut_offs", "publish", "published_table", "published_tables"]


async def publish(connection: Connection, *, now: datetime, zone: ZoneInfo) -> date | None:
    """Publish the last cut-off's tables if they are not published yet, and name the cut-off.

    Called inside a transaction. An earlier cut-off that was missed stays without a release: what was known then is not
    known any more.
    """
    cut_off = last_cut_off(local_day(now, zone=zone))
    if await releases.exists(connection, cut_off):
        return None
    # Once a month, and with a whole state's schools: neither a query nor the search between two may be cut off.
    await connection.execute(f"SET LOCAL statement_timeout = '{RELEASE_SECONDS}s'")
    await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{RELEASE_SECONDS}s'")
    span = span_until_cut_off(cut_off, zone)
    as_of = await newest_event_at(connection, before=span.until)
    if as_of is None or not await _month_has_come(connection, span, cut_off):
        return None
    figures = await gather(connection, span, zone=zone)
    # Off the event loop: with a thousand schools the search for exchanges takes a second or two.
    tables = await asyncio.to_thread(
        tables_of, figures, published=True, school_year=span.school_year, as_of=as_of, cut_off=cut_off
    )
    tables |= await effect_tables(connection, span, zone=zone, as_of=as_of, cut_off=cut_off)
    documents = {name: as_json(table)["lines"] for name, table in tables.items()}
    kept = await releases.keep(connection, cut_off=cut_off, released_at=now, as_of=as_of, tables=documents)
    return cut_off if kept else None


async def published_tables(
    connection: Connection, *, cut_off: date | None = None, districts: Iterable[str] | None = None
) -> dict[str, Table]:
    """Read every table of a release, the newest where none is named; empty before the first one.

    `districts` leaves only their lines and the state's.
    """
    release = await releases.read(connection, cut_off)
    if release is None:
        return {}
    of_table: dict[str, Any] = {
        "school_year": school_year_of(release["cut_off"]),
        "as_of": release["as_of"],
        "cut_off": release["cut_off"],
    }
    tables = {name: from_json(name, lines, **of_table) for name, lines in release["tables"].items() if name in TABLES}
    tables["chronic-by-month"] = await _over_months(connection, of_table)
    if districts is None:
        return tables
    visible = list(districts)
    return {name: table.of_districts(visible) for name, table in tables.items()}


async def published_table(
    connection: Connection, name: str, *, cut_off: date | None = None, districts: Iterable[str] | None = None
) -> Table | None:
    """Read one table of a release; None where it, or the release, does not exist."""
    return (await published_tables(connection, cut_off=cut_off, districts=districts)).get(name)


async def cut_offs(connection: Connection) -> list[date]:
    """List every published cut-off, the newest first."""
    return await releases.cut_offs(connection)


async def _month_has_come(connection: Connection, span: Span, cut_off: date) -> bool:
    """Where students are flagged, their month closes with tallies: before those came, its numbers are half a month's.

    So nothing is frozen while a service catches up with the log, however late that is.
    """
    if not await schools.any_flagged(connection, since=span.since, until=span.until):
        return True
    newest = await student_months.newest_month(
        connection,
        first_month=span.first_day,
        before=span.end_day,
        districts=await schools.districts(connection),
    )
    return newest is not None and newest >= cut_off.replace(day=1)


async def _over_months(connection: Connection, of_table: dict[str, Any]) -> Table:
    """The state's rate as each release of the school year told it: no month is ever told twice."""
    first_day = first_day_of(of_table["school_year"])
    told = await releases.lines_over_time(connection, table="chronic", since=first_day, until=of_table["cut_off"])
    lines = [
        {**line, "month": each["cut_off"].replace(day=1).isoformat()}
        for each in told
        for line in each["lines"]
        if line["district"] == STATE
    ]
    return from_json("chronic-by-month", lines, **of_table)

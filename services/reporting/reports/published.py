"""Published tables: made once per cut-off, then only read."""

import asyncio
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contracts.calendar import first_day_of, local_day, school_year_of
from services.reporting.reports.closed import due
from services.reporting.reports.effect import effect_tables
from services.reporting.reports.gather import as_of as newest
from services.reporting.reports.gather import gather
from services.reporting.rules.closing import is_behind
from services.reporting.rules.figures import tables_of
from services.reporting.rules.measures import TABLES
from services.reporting.rules.spans import last_cut_off, span_until_cut_off, span_until_now
from services.reporting.rules.tables import STATE, Table, as_json, from_json
from services.reporting.store import releases
from services.runtime.database import Connection

RELEASE_SECONDS = 120

__all__ = ["cut_offs", "is_waiting", "publish", "published_table", "published_tables"]


async def publish(connection: Connection, *, now: datetime, zone: ZoneInfo) -> date | None:
    """Publish the last month's tables if they are due and not published yet, and name the cut-off.

    Called inside a transaction. An earlier cut-off that was missed stays without a release: what was known then is not
    known any more.
    """
    today = local_day(now, zone=zone)
    cut_off = last_cut_off(today)
    if await releases.exists(connection, cut_off):
        return None
    span = span_until_cut_off(cut_off, zone)
    closed = await due(connection, span, month=cut_off.replace(day=1), today=today)
    as_of = await newest(connection, span, zone=zone) if closed else None
    if closed is None or as_of is None:
        return None
    # Once a month, and with a whole state's schools: neither a query nor the search between two may be cut off.
    await connection.execute(f"SET LOCAL statement_timeout = '{RELEASE_SECONDS}s'")
    await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{RELEASE_SECONDS}s'")
    figures = await gather(connection, span, closed, zone=zone)
    # Off the event loop: with a thousand schools the search for exchanges takes a second or two.
    tables = await asyncio.to_thread(
        tables_of, figures, published=True, school_year=span.school_year, as_of=as_of, cut_off=cut_off
    )
    tables |= await effect_tables(connection, span, zone=zone, as_of=as_of, cut_off=cut_off)
    documents = {name: as_json(table)["lines"] for name, table in tables.items()}
    kept = await releases.keep(
        connection, cut_off=cut_off, released_at=now, as_of=as_of, tables=documents, lacks=closed.lacks
    )
    return cut_off if kept else None


async def is_waiting(connection: Connection, *, now: datetime, zone: ZoneInfo) -> bool:
    """Say whether the service is behind what happened, so that a publication should wait for it."""
    heard_at = await newest(connection, span_until_now(now, zone), zone=zone)
    heard_on = local_day(heard_at, zone=zone) if heard_at else None
    return is_behind(today=local_day(now, zone=zone), heard_on=heard_on)


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
        "lacks": release["lacks"],
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

"""Published tables: made once per cut-off, then only read."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contracts.calendar import first_day_of, local_day, school_year_of
from services.reporting.reports.closed import due
from services.reporting.reports.gather import as_of as newest
from services.reporting.reports.gather import gather
from services.reporting.rules import effect_tables
from services.reporting.rules.closing import Lacks, is_behind
from services.reporting.rules.figures import Figures, tables_of
from services.reporting.rules.measures import TABLES
from services.reporting.rules.spans import last_cut_off, span_until_cut_off, span_until_now
from services.reporting.rules.tables import STATE, Table, as_json, from_json
from services.reporting.store import effect_queries, releases
from services.runtime.database import Connection
from services.runtime.delivery.transaction import Transaction

RELEASE_SECONDS = 120

__all__ = ["cut_offs", "is_waiting", "publish", "published_table", "published_tables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What a release is made of, as it was read."""

    cut_off: date
    school_year: int
    as_of: datetime
    lacks: Lacks
    figures: Figures
    flagged: list[dict[str, Any]]


async def publish(
    begin: Callable[[], AbstractAsyncContextManager[Transaction]], *, now: datetime, zone: ZoneInfo
) -> date | None:
    """Publish the last month's tables if they are due and not published yet, and name the cut-off.

    `begin` opens a transaction: one to read, one to keep. Between them none is open, however long the tables take. An
    earlier cut-off that was missed stays without a release: what was known then is not known any more.
    """
    async with begin() as tx:
        counted = await _count(tx.connection, now=now, zone=zone)
    if counted is None:
        return None
    # Off the event loop: a state's effect takes seconds of arithmetic, in which it would do nothing else.
    documents = await asyncio.to_thread(_documents, counted)
    async with begin() as tx:
        kept = await releases.keep(
            tx.connection,
            cut_off=counted.cut_off,
            released_at=now,
            as_of=counted.as_of,
            tables=documents,
            lacks=counted.lacks,
        )
    return counted.cut_off if kept else None


async def _count(connection: Connection, *, now: datetime, zone: ZoneInfo) -> _Counted | None:
    today = local_day(now, zone=zone)
    cut_off = last_cut_off(today)
    if await releases.exists(connection, cut_off):
        return None
    span = span_until_cut_off(cut_off, zone)
    closed = await due(connection, span, month=cut_off.replace(day=1), today=today)
    as_of = await newest(connection, span, zone=zone) if closed else None
    if closed is None or as_of is None:
        return None
    # Once a month, and with a whole state's schools: no query may be cut off.
    await connection.execute(f"SET LOCAL statement_timeout = '{RELEASE_SECONDS}s'")
    # A state's year of months is five million rows to sort: on disk that takes twice as long.
    await connection.execute("SET LOCAL work_mem = '96MB'")
    return _Counted(
        cut_off=cut_off,
        school_year=span.school_year,
        as_of=as_of,
        lacks=closed.lacks,
        figures=await gather(connection, span, closed, zone=zone),
        flagged=await effect_queries.flagged_students(
            connection, until=span.until, end_day=span.end_day, time_zone=zone.key
        ),
    )


def _documents(counted: _Counted) -> dict[str, Any]:
    of_table: dict[str, Any] = {
        "school_year": counted.school_year,
        "as_of": counted.as_of,
        "cut_off": counted.cut_off,
    }
    tables = tables_of(counted.figures, published=True, **of_table)
    tables |= effect_tables.effect_tables(effect_tables.flagged_students(counted.flagged), **of_table)
    return {name: as_json(table)["lines"] for name, table in tables.items()}


async def is_waiting(connection: Connection, *, now: datetime, zone: ZoneInfo) -> bool:
    """Say whether the service is behind what happened, so that a publication should wait for it."""
    today = local_day(now, zone=zone)
    if not is_behind(today=today, heard_on=None):
        return False
    heard_at = await newest(connection, span_until_now(now, zone), zone=zone)
    return is_behind(today=today, heard_on=local_day(heard_at, zone=zone) if heard_at else None)


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
        "by_sixes": release["by_sixes"],
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

"""Publications, kept word for word: one per cut-off, never changed, never made twice."""

from datetime import date, datetime
from typing import Any

import msgspec

from services.reporting.rules.closing import Lacks, as_document, from_document
from services.runtime.database import Connection


async def keep(
    connection: Connection,
    *,
    cut_off: date,
    released_at: datetime,
    as_of: datetime,
    tables: dict[str, Any],
    lacks: Lacks,
) -> bool:
    """Keep a release, its counts told by sixes; False where the cut-off has one already, which stays as it is."""
    inserted = await connection.fetchval(
        """
        INSERT INTO release (cut_off, released_at, as_of, tables, lacks, by_sixes)
        VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, true)
        ON CONFLICT (cut_off) DO NOTHING RETURNING true
        """,
        cut_off,
        released_at,
        as_of,
        msgspec.json.encode(tables).decode(),
        msgspec.json.encode(as_document(lacks)).decode(),
    )
    return bool(inserted)


async def exists(connection: Connection, cut_off: date) -> bool:
    """Say whether the cut-off's numbers were published."""
    return bool(await connection.fetchval("SELECT true FROM release WHERE cut_off = $1", cut_off))


async def cut_offs(connection: Connection) -> list[date]:
    """List every cut-off with a release, the newest first."""
    return [row["cut_off"] for row in await connection.fetch("SELECT cut_off FROM release ORDER BY cut_off DESC")]


async def read(connection: Connection, cut_off: date | None) -> dict[str, Any] | None:
    """Read a release, the newest where no cut-off is named: cut_off, as_of, released_at, tables, lacks, by_sixes."""
    row = await connection.fetchrow(
        """
        SELECT cut_off, as_of, released_at, tables::text, lacks::text, by_sixes FROM release
        WHERE $1::date IS NULL OR cut_off = $1 ORDER BY cut_off DESC LIMIT 1
        """,
        cut_off,
    )
    if row is None:
        return None
    lacks = from_document(msgspec.json.decode(row["lacks"])) if row["lacks"] else None
    return {**dict(row), "tables": msgspec.json.decode(row["tables"]), "lacks": lacks}


async def lines_over_time(connection: Connection, *, table: str, since: date, until: date) -> list[dict[str, Any]]:
    """Give one table's lines in every release of a span, oldest first: cut_off, lines."""
    rows = await connection.fetch(
        """
        SELECT cut_off, (tables -> $1)::text AS lines FROM release
        WHERE cut_off >= $2 AND cut_off <= $3 AND tables ? $1 ORDER BY cut_off
        """,
        table,
        since,
        until,
    )
    return [{"cut_off": row["cut_off"], "lines": msgspec.json.decode(row["lines"])} for row in rows]

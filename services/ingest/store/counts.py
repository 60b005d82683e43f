"""What ingest keeps: counts of what landed, receipts of uploads, and the rows that went back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.ingest.rules.allowance import Used
from services.runtime.columns import columns
from services.runtime.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One row of an upload that went back: its line, the closed reason, and the rule it broke."""

    district: str
    receipt: str
    row: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRows:
    """What flagging made of the rows that one record of `rolls` told of an upload."""

    district: str
    receipt: str
    offset: int
    accepted: int
    duplicate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptMove:
    """How far one upload has come since the last time."""

    district: str
    receipt: str
    accepted: int = 0
    duplicate: int = 0


async def add_landed_counts(connection: Connection, records_by_kind: dict[tuple[str, str], int]) -> None:
    """Add to the counts per (district, kind)."""
    # Rows in one order for every writer: no deadlocks.
    counted = sorted(records_by_kind.items())
    await connection.execute(
        """
        INSERT INTO landed_count (district, kind, records)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
        ON CONFLICT (district, kind) DO UPDATE SET records = landed_count.records + excluded.records
        """,
        *columns(((*place, records) for place, records in counted), width=3),
    )


async def move_receipts(connection: Connection, moves: Iterable[ReceiptMove]) -> None:
    """Add accepted and duplicate rows to receipts; one never issued to that district is passed over."""
    ordered = sorted(moves, key=lambda move: (move.district, move.receipt))
    await connection.execute(
        """
        UPDATE receipt SET accepted = receipt.accepted + moved.accepted, duplicate = receipt.duplicate + moved.duplicate
        FROM (
            SELECT district, receipt, sum(accepted)::int AS accepted, sum(duplicate)::int AS duplicate
            FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[]) AS given (district, receipt, accepted, duplicate)
            GROUP BY district, receipt
        ) AS moved
        WHERE receipt.district = moved.district AND receipt.receipt = moved.receipt
        """,
        *columns(ordered, "district", "receipt", "accepted", "duplicate"),
    )


async def count_told_rows(connection: Connection, rows: Iterable[ToldRows]) -> None:
    """Add to receipts what was told of their rows, each record of `rolls` once; one never issued is passed over."""
    ordered = sorted(rows, key=lambda each: (each.district, each.receipt, each.offset))
    await connection.execute(
        """
        WITH told AS (
            SELECT DISTINCT ON (given.district, given.receipt, given.place) given.*
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::int[], $5::int[])
                 AS given (district, receipt, place, accepted, duplicate)
            JOIN receipt ON receipt.district = given.district AND receipt.receipt = given.receipt
            WHERE NOT receipt.told_by @> given.place
            ORDER BY given.district, given.receipt, given.place
        ), moved AS (
            SELECT district, receipt, sum(accepted)::int AS accepted, sum(duplicate)::int AS duplicate,
                   range_agg(int8range(place, place + 1)) AS places
            FROM told GROUP BY district, receipt
        )
        UPDATE receipt
        SET accepted = receipt.accepted + moved.accepted, duplicate = receipt.duplicate + moved.duplicate,
            told_by = receipt.told_by + moved.places
        FROM moved WHERE receipt.district = moved.district AND receipt.receipt = moved.receipt
        """,
        *columns(ordered, "district", "receipt", "offset", "accepted", "duplicate"),
    )


async def reject_rows(connection: Connection, rows: list[RejectedRow]) -> None:
    """Keep why rows of uploads went back, and count them; a row landed twice counts once."""
    await connection.execute(
        """
        WITH kept AS (
            INSERT INTO rejected_row (district, receipt, row_number, reason, detail)
            SELECT given.district, given.receipt, given.row_number, given.reason, given.detail
            FROM unnest($1::text[], $2::uuid[], $3::int[], $4::text[], $5::text[])
                 AS given (district, receipt, row_number, reason, detail)
            -- Only receipts issued over HTTP: headers written by a district's own producer can't fill this table.
            JOIN receipt ON receipt.district = given.district AND receipt.receipt = given.receipt
            WHERE given.row_number <= 2147483647
            ORDER BY given.district, given.receipt, given.row_number
            ON CONFLICT (district, receipt, row_number) DO NOTHING
            RETURNING district, receipt
        )
        UPDATE receipt SET rejected = receipt.rejected + refused.rows
        FROM (SELECT district, receipt, count(*)::int AS rows FROM kept GROUP BY district, receipt) AS refused
        WHERE receipt.district = refused.district AND receipt.receipt = refused.receipt
        """,
        *columns(rows, "district", "receipt", "row", "reason", "detail"),
    )


async def issue_receipt(
    connection: Connection, *, district: str, receipt: UUID, rows: int, not_taken_from: int | None = None
) -> None:
    """Remember an upload before its first row lands, so that no row can come back to an unknown receipt."""
    await connection.execute(
        "INSERT INTO receipt (district, receipt, rows, not_taken_from) VALUES ($1, $2, $3, $4)",
        district,
        receipt,
        rows,
        not_taken_from,
    )


async def find_receipt(connection: Connection, *, district: str, receipt: UUID) -> asyncpg.Record | None:
    """Read a receipt: rows, accepted, duplicate, rejected, not_taken_from. None where the district has no such one."""
    return await connection.fetchrow(
        """
        SELECT rows, accepted, duplicate, rejected, not_taken_from FROM receipt WHERE district = $1 AND receipt = $2
        """,
        district,
        receipt,
    )


async def used_in(connection: Connection, *, district: str, hour: datetime) -> Used:
    """Read what the district's uploads have used of this hour's allowance."""
    row = await connection.fetchrow(
        "SELECT bytes, rows, refused FROM upload_hour WHERE district = $1 AND hour = $2", district, hour
    )
    return Used() if row is None else Used(**row)


async def use(connection: Connection, *, district: str, hour: datetime, used: Used) -> None:
    """Add to what the district's uploads have used of this hour's allowance."""
    await connection.execute(
        """
        INSERT INTO upload_hour AS before (district, hour, bytes, rows, refused) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (district) DO UPDATE SET
            hour = excluded.hour,
            bytes = excluded.bytes + CASE WHEN before.hour = excluded.hour THEN before.bytes ELSE 0 END,
            rows = excluded.rows + CASE WHEN before.hour = excluded.hour THEN before.rows ELSE 0 END,
            refused = excluded.refused + CASE WHEN before.hour = excluded.hour THEN before.refused ELSE 0 END
        """,
        district,
        hour,
        used.bytes,
        used.rows,
        used.refused,
    )


async def list_rejected_rows(
    connection: Connection, *, district: str, receipt: UUID, limit: int
) -> list[asyncpg.Record]:
    """List an upload's rejected rows by line: row_number, reason, detail."""
    return await connection.fetch(
        """
        SELECT row_number, reason, detail FROM rejected_row
        WHERE district = $1 AND receipt = $2 ORDER BY row_number LIMIT $3
        """,
        district,
        receipt,
        limit,
    )


async def list_landed_counts(connection: Connection) -> list[asyncpg.Record]:
    """List district, kind, records: everything that ever landed and was dealt with."""
    return await connection.fetch("SELECT district, kind, records FROM landed_count ORDER BY district, kind")

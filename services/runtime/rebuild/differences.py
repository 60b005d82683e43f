"""Two schemas of the same tables, compared row for row."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from services.runtime.database import Connection

EXAMPLES = 5

# Of the runtime's own: where a copy stands, and what only one of them can have, is no matter of the rows' truth.
NOT_COMPARED = frozenset(
    {
        "position",
        "migration",
        "outbox",
        "inbox",
        "lease",
        "passed_over",
        "former_log",
        "stopped_partition",
        "let_go",
        "session",
        "disclosed",
    }
)

# What the events don't decide can't be the same twice: when a row was written, and how the rows were numbered.
_COLUMNS = """
SELECT c.table_name AS "table", c.column_name AS "column", c.data_type
FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
WHERE c.table_schema = $1 AND t.table_type = 'BASE TABLE' AND c.is_identity = 'NO' AND c.is_generated = 'NEVER'
  AND coalesce(c.column_default, '') !~ 'now\\(\\)|clock_timestamp\\(\\)|CURRENT_TIMESTAMP'
ORDER BY c.table_name, c.ordinal_position
"""
_KEYS = """
SELECT c.conrelid::regclass, r.relname AS "table", a.attname AS "column"
FROM pg_constraint AS c JOIN pg_class AS r ON r.oid = c.conrelid
     CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (number, place)
     JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
WHERE c.contype = 'p' AND c.connamespace = $1::text::regnamespace
ORDER BY r.relname, k.place
"""


class SchemasDiffer(Exception):
    """The two schemas have not the same tables and columns: their rows can't be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDifference:
    """One table whose rows differ. `examples` are the keys of some of the rows."""

    table: str
    only_in_first: int
    only_in_second: int
    examples: list[dict[str, Any]]


async def differences(
    connection: Connection, first: str, second: str, *, leave_out: Collection[str] = ()
) -> tuple[dict[str, int], list[TableDifference]]:
    """Count the rows of each table in the first schema, and say where the rows of the second are others.

    Call it in a transaction that sees one moment of both. Raises SchemasDiffer.
    """
    columns = await _columns(connection, first)
    if columns != await _columns(connection, second):
        raise SchemasDiffer(f"{first} and {second} were laid out by different migrations")
    keys: dict[str, list[str]] = {}
    for row in await connection.fetch(_KEYS, first):
        keys.setdefault(row["table"], []).append(row["column"])

    rows: dict[str, int] = {}
    found: list[TableDifference] = []
    for table, typed in columns.items():
        if table in NOT_COMPARED or table in leave_out:
            continue
        compared = dict(typed)
        key = [each for each in keys.get(table, []) if each in compared] or list(compared)
        rows[table] = await connection.fetchval(f'SELECT count(*) FROM {first}."{table}"')
        difference = await _compare(connection, first, second, table, typed, key)
        if difference.only_in_first or difference.only_in_second:
            found.append(difference)
    return rows, found


async def _columns(connection: Connection, schema: str) -> dict[str, list[tuple[str, str]]]:
    columns: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.fetch(_COLUMNS, schema):
        columns.setdefault(row["table"], []).append((row["column"], row["data_type"]))
    return columns


async def _compare(
    connection: Connection, first: str, second: str, table: str, typed: list[tuple[str, str]], key: list[str]
) -> TableDifference:
    # Names come from the database's own catalogue. `json` has no equality; its text has.
    selected = ", ".join(f'"{name}"::text AS "{name}"' if kind == "json" else f'"{name}"' for name, kind in typed)
    keys = ", ".join(f'"{name}"' for name in key)
    (row,) = await connection.fetch(
        f"""
        WITH first AS (SELECT {selected} FROM {first}."{table}" EXCEPT ALL SELECT {selected} FROM {second}."{table}"),
             second AS (SELECT {selected} FROM {second}."{table}" EXCEPT ALL SELECT {selected} FROM {first}."{table}")
        SELECT (SELECT count(*) FROM first) AS first, (SELECT count(*) FROM second) AS second,
               (SELECT coalesce(jsonb_agg(to_jsonb(example)), '[]')
                FROM (SELECT {keys} FROM first UNION SELECT {keys} FROM second ORDER BY {keys} LIMIT {EXAMPLES})
                    AS example) AS examples
        """
    )
    return TableDifference(
        table=table, only_in_first=row["first"], only_in_second=row["second"], examples=json.loads(row["examples"])
    )

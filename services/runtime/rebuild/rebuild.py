"""A service's tables made anew from its topics while it runs, compared with the running ones, and switched.

The service notices nothing but a pause: what it reads and writes is found by the schema's name, the positions stand in
the same schema, and both copies stand at the same positions when the names change. What it displaced stays, and is the
way back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg

from services.runtime.database import Connection
from services.runtime.rebuild.differences import TableDifference, differences
from services.runtime.rebuild.shadow import Positions, Shadow, positions_in, records_between
from services.runtime.service import Service

CLOSE_RECORDS = 5_000  # near enough to stop the running copy for the rest
STANDSTILL_SECONDS = 8.0  # less than the time a batch waits for a lock
STANDSTILL_TRIES = 5

# Not from the topics, and true only once: they move with the name.
_KEPT_BY_THE_RUNTIME = ("outbox", "inbox")


class RebuildFailed(Exception):
    """The tables were not switched; the running ones are as they were. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What is to be made anew, and where. `kept` are tables that no event could bring back: their rows are taken over.

    `database_url` is the service's own; `admin_url` is one that may make and rename schemas of the same database.
    `zone` is the one in which the running service counts days.
    """

    service: Service
    bootstrap_servers: str
    database_url: str
    admin_url: str
    zone: ZoneInfo
    kept: tuple[str, ...] = ()

    @property
    def schema(self) -> str:
        """The running schema, named like the service."""
        return self.service.name

    @property
    def next_schema(self) -> str:
        """Where the copy grows."""
        return f"{self.schema}_next"

    @property
    def former_schema(self) -> str:
        """What a switch displaced."""
        return f"{self.schema}_old"


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild read and found. `rows` counts the running copy's rows per table, where both were compared."""

    records: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    differences: list[TableDifference] = field(default_factory=list)
    switched: bool = False
    standstill_seconds: float = 0.0


async def rebuild(
    wanted: Rebuild, *, switch: bool = True, applied: Callable[[int, int], None] = lambda *_: None
) -> Rebuilt:
    """Build a second copy, compare it with the running one at the same positions, and put it in its place.

    `applied` is told how many of how many records are done. Without `switch` the copy is dropped after the comparison.
    Raises RebuildFailed, CopyRefused or SchemasDiffer; the running copy is then as it was.
    """
    async with _alone(wanted) as admin:
        await admin.execute(f"DROP SCHEMA IF EXISTS {wanted.next_schema} CASCADE")
        await admin.execute(f"CREATE SCHEMA {wanted.next_schema} AUTHORIZATION {_role(wanted)}")
        try:
            async with _shadow(wanted, wanted.next_schema) as shadow:
                await _refuse_cut_logs(shadow, await positions_in(admin, wanted.schema))
                outcome = await _compared(wanted, admin, shadow, applied)
                if switch:
                    async with _standstill(wanted, admin, shadow, (*_KEPT_BY_THE_RUNTIME, *wanted.kept)) as pause:
                        await _take_over(admin, wanted, source=wanted.schema, target=wanted.next_schema)
                        await admin.execute(f"DROP SCHEMA IF EXISTS {wanted.former_schema} CASCADE")
                        await admin.execute(f"ALTER SCHEMA {wanted.schema} RENAME TO {wanted.former_schema}")
                        await admin.execute(f"ALTER SCHEMA {wanted.next_schema} RENAME TO {wanted.schema}")
                    outcome.switched, outcome.standstill_seconds = True, pause.seconds
        finally:
            await admin.execute(f"DROP SCHEMA IF EXISTS {wanted.next_schema} CASCADE")
        return outcome


async def go_back(wanted: Rebuild) -> Rebuilt:
    """Bring what the last switch displaced up to now and put it in its place again; both trade names.

    Raises RebuildFailed where there is nothing to go back to.
    """
    async with _alone(wanted) as admin:
        if not await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", wanted.former_schema):
            raise RebuildFailed(f"there is no {wanted.former_schema}: nothing was switched, or it has been dropped")
        async with _shadow(wanted, wanted.former_schema) as shadow:
            outcome = await _compared(wanted, admin, shadow, lambda *_: None)
            async with _standstill(wanted, admin, shadow, (*_KEPT_BY_THE_RUNTIME, *wanted.kept)) as pause:
                await _take_over(admin, wanted, source=wanted.schema, target=wanted.former_schema)
                await admin.execute(f"ALTER SCHEMA {wanted.schema} RENAME TO {wanted.next_schema}")
                await admin.execute(f"ALTER SCHEMA {wanted.former_schema} RENAME TO {wanted.schema}")
                await admin.execute(f"ALTER SCHEMA {wanted.next_schema} RENAME TO {wanted.former_schema}")
        outcome.switched, outcome.standstill_seconds = True, pause.seconds
        return outcome


@asynccontextmanager
async def _alone(wanted: Rebuild) -> AsyncIterator[Connection]:
    admin = await asyncpg.connect(wanted.admin_url)
    try:
        if not await admin.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"{wanted.schema}.rebuild"):
            raise RebuildFailed(f"{wanted.schema} is being rebuilt already")
        yield admin
    finally:
        await admin.close()


def _shadow(wanted: Rebuild, schema: str) -> Shadow:
    return Shadow(
        wanted.service,
        bootstrap_servers=wanted.bootstrap_servers,
        database_url=wanted.database_url,
        schema=schema,
        zone=wanted.zone,
    )


def _role(wanted: Rebuild) -> str:
    role = urlsplit(wanted.database_url).username
    if not role:
        raise RebuildFailed("the service's database URL names no role that the new schema could belong to")
    return role


async def _refuse_cut_logs(shadow: Shadow, running: Positions) -> None:
    starts = await shadow.log_starts(running)
    cut = sorted({each.topic for offsets in starts.values() for each, start in offsets.items() if start > 0})
    if cut:
        raise RebuildFailed(f"the beginning of {', '.join(cut)} is gone: what it told would be missing from the copy")


async def _compared(wanted: Rebuild, admin: Connection, shadow: Shadow, applied: Callable[[int, int], None]) -> Rebuilt:
    outcome = Rebuilt()

    def count(records: int) -> None:
        outcome.records += records
        applied(outcome.records, max(outcome.records, total))

    running, total = await positions_in(admin, wanted.schema), 0
    while True:
        reached = await _own_positions(shadow, running)
        total = outcome.records + records_between(reached, running)
        await shadow.catch_up(running, count)
        newest = await positions_in(admin, wanted.schema)
        if records_between(running, newest) <= CLOSE_RECORDS:
            break
        running = newest

    # Both are seen at the same positions by one snapshot; the running one then goes on while the rows are compared.
    looking = await asyncpg.connect(wanted.admin_url)
    try:
        async with looking.transaction(isolation="repeatable_read", readonly=True):
            async with _standstill(wanted, admin, shadow, ()):
                await looking.fetchval("SELECT count(*) FROM pg_namespace")  # the first query fixes the snapshot
            outcome.rows, outcome.differences = await differences(
                looking, wanted.schema, shadow.schema, leave_out=wanted.kept
            )
    finally:
        await looking.close()
    return outcome


async def _own_positions(shadow: Shadow, running: Positions) -> Positions:
    async with shadow.pool.acquire() as connection:
        own = await positions_in(connection, shadow.schema)
    starts = await shadow.log_starts(running)
    return {group: {**starts[group], **own.get(group, {})} for group in running}


class _Pause:
    """How long the running copy stood still."""

    seconds = 0.0


@asynccontextmanager
async def _standstill(
    wanted: Rebuild, admin: Connection, shadow: Shadow, kept: Collection[str]
) -> AsyncIterator[_Pause]:
    """Inside the block no batch is applied, and the shadow stands at the running copy's positions.

    A batch that begins meanwhile waits at its first statement and finds its tables by name after the wait: the new
    ones, if the block has renamed them. Row locks would not do: that statement would lock the old table's rows and the
    next write the new tables, with nobody fenced off from them.
    """
    clock = asyncio.get_running_loop().time
    tables = ("position", *kept)
    pause = _Pause()
    for _ in range(STANDSTILL_TRIES):
        transaction = admin.transaction()
        await transaction.start()
        try:
            await admin.execute(f"SET LOCAL lock_timeout = '{STANDSTILL_SECONDS:.0f}s'")
            for table in tables:
                await admin.execute(f"LOCK TABLE {wanted.schema}.{table} IN ACCESS EXCLUSIVE MODE")
            began = clock()
            async with asyncio.timeout(STANDSTILL_SECONDS):
                await shadow.catch_up(await positions_in(admin, wanted.schema))
        except (TimeoutError, asyncpg.LockNotAvailableError):
            await transaction.rollback()
            await shadow.catch_up(await positions_in(admin, wanted.schema))
            continue
        except BaseException:
            await transaction.rollback()
            raise
        try:
            yield pause
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
        pause.seconds = clock() - began
        return
    raise RebuildFailed(f"{wanted.schema} did not stand still for {STANDSTILL_SECONDS:.0f} s; nothing was changed")


async def _take_over(admin: Connection, wanted: Rebuild, *, source: str, target: str) -> None:
    for table in (*_KEPT_BY_THE_RUNTIME, *wanted.kept):
        columns = await admin.fetch(_COLUMNS_OF, source, table)
        names = ", ".join(f'"{column["name"]}"' for column in columns)
        await admin.execute(f'DELETE FROM {target}."{table}"')
        await admin.execute(
            f'INSERT INTO {target}."{table}" ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {source}."{table}"'
        )
        for column in columns:
            if column["numbered"]:
                await admin.execute(_GO_ON_NUMBERING, f'{target}."{table}"', f'{source}."{table}"', column["name"])


_COLUMNS_OF = """
SELECT column_name AS name, is_identity = 'YES' AS numbered FROM information_schema.columns
WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER' ORDER BY ordinal_position
"""
# A number given before must not be given again.
_GO_ON_NUMBERING = """
SELECT setval(pg_get_serial_sequence($1, $3), nextval(pg_get_serial_sequence($2, $3)))
"""

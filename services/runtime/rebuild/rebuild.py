"""A service's tables made anew from its topics while it runs, compared with the running ones, and switched.

The service notices nothing but a pause: what it reads and writes is found by the schema's name, the positions stand in
the same schema, and both copies stand at the same positions when the names change. What it displaced stays, and is the
way back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from services.runtime.broker_access import Broker
from services.runtime.database import Connection
from services.runtime.rebuild.differences import TableDifference, differences
from services.runtime.rebuild.own_ways import OwnWays
from services.runtime.rebuild.shadow import Positions, Shadow, positions_in, records_between
from services.runtime.roles import make_schema_beside
from services.runtime.service import Service

CLOSE_RECORDS = 5_000  # near enough to stop the running copy for the rest
STANDSTILL_SECONDS = 8.0  # less than the time a batch waits for a lock
STANDSTILL_TRIES = 5

# Not from the topics, and true only once: they move with the name. The outbox last: whoever writes to it does so as the
# last thing in a transaction, and waiting for it with another lock in the hand ends in a deadlock.
_KEPT_BY_THE_RUNTIME = (
    "passed_over", "former_log", "stopped_partition", "let_go", "disclosed", "inbox", "outbox", "session",
)  # fmt: skip


class RebuildFailed(Exception):
    """The tables were not switched; the running ones are as they were. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What is to be made anew, and where. `kept` are tables that no event could bring back: their rows are taken over.

    They are locked in this order, which must be the one in which the service itself locks them. `compacted` are topics
    of which the newest word on each key is all there is to know: a beginning that is gone is none that is missed.
    `database_url` is the service's own; `admin_url` is one that may make and rename schemas of the same database.
    `zone` is the one in which the running service counts days.
    """

    service: Service
    broker: Broker
    database_url: str
    admin_url: str
    zone: ZoneInfo
    kept: tuple[str, ...] = ()
    compacted: frozenset[str] = frozenset()
    own_ways: OwnWays | None = None

    @property
    def all_kept(self) -> tuple[str, ...]:
        """Every table whose rows are taken over, in the order in which they are locked."""
        return (*self.kept, *_KEPT_BY_THE_RUNTIME)

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
        await make_schema_beside(admin, wanted.next_schema, like=wanted.schema)
        try:
            async with _shadow(wanted, wanted.next_schema) as shadow:
                await _refuse_former_logs(wanted, admin)
                await _refuse_cut_logs(wanted, shadow, await positions_in(admin, wanted.schema))
                outcome, concerned = await _compared(wanted, admin, shadow, applied)
                if switch:
                    async with _standstill(wanted, admin, shadow, wanted.all_kept) as pause:
                        await _take_over(admin, wanted, wanted.next_schema, concerned)
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
            outcome, concerned = await _compared(wanted, admin, shadow, lambda *_: None)
            async with _standstill(wanted, admin, shadow, wanted.all_kept) as pause:
                await _take_over(admin, wanted, wanted.former_schema, concerned)
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
        broker=wanted.broker,
        database_url=wanted.database_url,
        schema=schema,
        zone=wanted.zone,
        own_ways=wanted.own_ways,
    )


async def _refuse_former_logs(wanted: Rebuild, admin: Connection) -> None:
    rows = await admin.fetch(f"SELECT DISTINCT topic FROM {wanted.schema}.former_log ORDER BY topic")
    if rows:
        raise RebuildFailed(
            f"{', '.join(row['topic'] for row in rows)} had another log before: what that told stands in these tables"
            " alone, and would be missing from the copy. Put a backup back instead (`leap restore`)"
        )


async def _refuse_cut_logs(wanted: Rebuild, shadow: Shadow, running: Positions) -> None:
    starts = await shadow.log_starts(running)
    begun_later = {each.topic for offsets in starts.values() for each, start in offsets.items() if start > 0}
    cut = sorted(begun_later - wanted.compacted)
    if cut:
        raise RebuildFailed(f"the beginning of {', '.join(cut)} is gone: what it told would be missing from the copy")


async def _compared(
    wanted: Rebuild, admin: Connection, shadow: Shadow, applied: Callable[[int, int], None]
) -> tuple[Rebuilt, frozenset[Any]]:
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
            return outcome, await _compare(wanted, looking, shadow.schema, outcome)
    finally:
        await looking.close()


async def _compare(wanted: Rebuild, looking: Connection, copy: str, outcome: Rebuilt) -> frozenset[Any]:
    own = wanted.own_ways
    leave_out = {*wanted.kept, *(own.tables if own else ())}
    outcome.rows, outcome.differences = await differences(looking, wanted.schema, copy, leave_out=leave_out)
    if own is None:
        return frozenset()
    rows, found, concerned = await own.compare(looking, wanted.schema, copy)
    outcome.rows |= rows
    outcome.differences += found
    return concerned


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
    tables = ("position", *kept)  # a batch locks its positions first
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
        except (TimeoutError, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
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


async def _take_over(admin: Connection, wanted: Rebuild, target: str, concerned: frozenset[Any]) -> None:
    source = wanted.schema
    if wanted.own_ways is not None:
        await wanted.own_ways.take_over(admin, source, target, concerned)
    for table in wanted.all_kept:
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

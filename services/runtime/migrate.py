"""Schema changes: SQL files, applied once each, forward only, while others use the tables; and who waits for them.

`python -m services.runtime.migrate NAME [pre|post]` runs a service's as a job, with LEAP_DATABASE_URL.
"""

import asyncio
import importlib
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import cached_property, partial
from pathlib import Path

import asyncpg
import structlog

from services.runtime.database import ANSWER_SECONDS, POOL_SECONDS, SERVER_SETTINGS, Connection, watch_line
from services.runtime.database_url import guarded_by_environment
from services.runtime.revision import (
    RUNTIME_MIGRATIONS,
    File,
    Known,
    MigrationChanged,
    SchemaTooNew,
    SchemaUnfit,
    Stage,
    Standing,
    earlier_forms,
    known_in,
    newest_numbers,
    revision_of,
    stage_of,
    standing,
)
from services.runtime.roles import as_owner, hand_over, owned_by_the_login
from services.runtime.seen import telemetry

__all__ = [
    "RUNTIME_MIGRATIONS",
    "MigrationChanged",
    "OlderProcesses",
    "Schema",
    "SchemaTooNew",
    "TablesInUse",
    "earlier_forms",
    "migrate",
]

MIGRATION_SECONDS = 24 * 3600.0
"""How long a client waits for one file: a state's marks take the better part of an hour. The pool's own patience is
that of a batch, and a migration it ended would be begun and ended for ever."""
LOCK_SECONDS = 2.0
"""How long a file may wait for a table: everybody who comes later for that table waits behind it. More than the second
after which PostgreSQL lets autovacuum step aside."""
PATIENCE_SECONDS = 900.0
"""How long a file is tried again before whoever holds the table is a person's business."""
LONGEST_PAUSE_SECONDS = 15.0
SAID_AFTER_SECONDS, SAID_EVERY_SECONDS = 2.0, 10.0
LOOK_SECONDS, SAY_SECONDS = 1.0, 60.0

_NAME = "hashtextextended(current_schema() || '.migration', 0)"
_CREATE = """
CREATE TABLE IF NOT EXISTS migration (
    name text PRIMARY KEY,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
_REMEMBER = "INSERT INTO migration (name, digest) VALUES ($1, $2)"
# Without what they do, which may hold a name.
_HOLDERS = """
SELECT pid, application_name AS who, extract(epoch FROM clock_timestamp() - xact_start)::integer AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '1 second'
ORDER BY xact_start LIMIT 3
"""
_PROCESSES = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_BROKEN_INDEXES = """
SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace
"""

log = structlog.get_logger(__name__)

Say = Callable[[str], None]
"""Is told what is being done, for whoever asks meanwhile; an empty sentence at the end."""


class TablesInUse(SchemaUnfit):
    """A table could not be had for a moment in a quarter of an hour. End the transactions named, and run it again."""


class OlderProcesses(SchemaUnfit):
    """Processes of an older release still use what would be taken away. Stop them, and run it again."""


async def migrate(
    connection: Connection,
    folder: Path,
    *,
    stages: Collection[Stage] = (Stage.PRE, Stage.POST),
    service: str = "",
    patience: float = PATIENCE_SECONDS,
    say: Say = lambda _: None,
) -> list[str]:
    """Apply the runtime's files and then the folder's that this schema has not run, those that take away last.

    Each is applied as a whole or not at all, and stays when a later one fails. A file that ran in one of its earlier
    forms counts as applied: a later file makes up for what is different. Returns the names applied. Several processes
    may start at once: one does it, the others wait. Raises MigrationChanged, SchemaTooNew, TablesInUse, and with a
    service's name OlderProcesses.
    """
    applied: list[str] = []
    known = known_in(folder)
    async with _alone(connection, say):
        await hand_over_all(connection, patience)
        async with as_owner(connection):
            await connection.execute(_CREATE)
            stands = await standing(connection, known)
            stands.refuse_what_is_too_new()
            to_run = [name for name in (*stands.lacking, *stands.later) if stage_of(name) in stages]
            for place, name in enumerate(to_run, start=1):
                if service and stage_of(name) is Stage.POST:
                    await _refuse_beside_older_ones(connection, service, known)
                async with _told(f"{name}, {place} of {len(to_run)}", say):
                    await _with_patience(connection, name, partial(_apply, connection, known.files[name]), patience)
                applied.append(name)
    return applied


async def hand_over_all(connection: Connection, patience: float = PATIENCE_SECONDS) -> None:
    """Give what the login owns of the schema, as releases of before made it, to the schema's owner.

    Raises TablesInUse.
    """
    for each in await owned_by_the_login(connection):
        await connection.execute(f"SET lock_timeout = '{LOCK_SECONDS:.0f}s'")
        await _with_patience(connection, f"handing over {each['name']}", partial(hand_over, connection, each), patience)


def process_name(service: str, known: Known) -> str:
    """Name a process to the database so that it can be seen which files it knows: `service @ service/0009 ...`."""
    return f"{service} @ {revision_of(known.files)}"


async def _refuse_beside_older_ones(connection: Connection, service: str, known: Known) -> None:
    ours = newest_numbers(revision_of(known.files))
    for row in await connection.fetch(_PROCESSES):
        name, at, revision = row["application_name"].removeprefix("leap ").partition(" @ ")
        # A release before this rule told its name alone.
        theirs = newest_numbers(revision) if at else {}
        if name == service and any(theirs.get(owner, 0) < number for owner, number in ours.items()):
            raise OlderProcesses(f"a {service} of {revision or 'an earlier release'} still runs: stop it first")


@asynccontextmanager
async def _alone(connection: Connection, say: Say) -> AsyncIterator[None]:
    # Asked again and again, outside a transaction: an index that is built beside writers waits for every transaction
    # that is open, and one of ours would wait for it.
    while not await connection.fetchval(f"SELECT pg_try_advisory_lock({_NAME})"):
        say("another process migrates")
        await asyncio.sleep(0.2)
    await connection.execute("SET statement_timeout = 0; SET idle_session_timeout = '60s'")
    try:
        yield
    finally:
        say("")
        if not connection.is_closed():
            await connection.execute(
                f"RESET statement_timeout; RESET lock_timeout; RESET idle_session_timeout;"
                f" SELECT pg_advisory_unlock({_NAME})"
            )


async def _with_patience(
    connection: Connection, what: str, change: Callable[[], Awaitable[None]], patience: float
) -> None:
    deadline, pause = time.monotonic() + patience, 0.5
    while True:
        try:
            return await change()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as in_use:
            holders = [
                f"{row['who']} (pid {row['pid']}, {row['seconds']} s)" for row in await connection.fetch(_HOLDERS)
            ]
            if time.monotonic() + pause > deadline:
                raise TablesInUse(
                    f"{what}: a table is in use; the longest transactions: {', '.join(holders) or 'none now'}. "
                    "End them and run it again"
                ) from in_use
            log.warning("a migration waits for a table", file=what, longest_transactions=holders)
            # Nobody's writes wait during the pause: that is what it is for.
            await asyncio.sleep(pause * random.uniform(0.7, 1))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _apply(connection: Connection, file: File) -> None:
    if not file.is_outside:
        await connection.execute(f"SET lock_timeout = '{LOCK_SECONDS:.0f}s'")
        async with connection.transaction():
            await connection.execute(file.text, timeout=MIGRATION_SECONDS)
            await connection.execute(_REMEMBER, file.name, file.digest)
        return
    # It waits for transactions that were open before it, and nobody waits behind it.
    await connection.execute("SET lock_timeout = 0")
    # What an earlier try left half built is no index, and stands in the way of the next one.
    for row in await connection.fetch(_BROKEN_INDEXES):
        await connection.execute(f"DROP INDEX CONCURRENTLY {row[0]}", timeout=MIGRATION_SECONDS)
    await connection.execute(file.text, timeout=MIGRATION_SECONDS)
    await connection.execute(_REMEMBER, file.name, file.digest)


@asynccontextmanager
async def _told(what: str, say: Say) -> AsyncIterator[None]:
    """Say what runs, and in the log that it still does."""
    began = time.monotonic()

    async def tell() -> None:
        await asyncio.sleep(SAID_AFTER_SECONDS)
        while True:
            log.info("a migration runs", file=what, seconds=round(time.monotonic() - began))
            await asyncio.sleep(SAID_EVERY_SECONDS)

    say(f"migrating: {what}")
    telling = asyncio.create_task(tell(), name="telling")
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    log.info("a migration ran", file=what, seconds=round(time.monotonic() - began, 1))


class Schema:
    """What the process knows of its schema. `doing` says what it waits for, or nothing."""

    def __init__(self, service: str, folder: Path, *, by_job: bool) -> None:
        self.doing = ""
        self._service = service
        self._folder = folder
        self._by_job = by_job
        self._stands: Standing | None = None

    @cached_property
    def _known(self) -> Known:
        # Once: who updates the files on disk has not updated this process.
        return known_in(self._folder)

    @property
    def process_name(self) -> str:
        """Name this process to the database, with what it knows."""
        return process_name(self._service, self._known)

    def revision(self) -> str:
        """Name what the schema has run, and what of it a newer release brought; nothing before anybody has looked."""
        if self._stands is None:
            return ""
        newer = f", newer than this release: {', '.join(self._stands.newer)}" if self._stands.newer else ""
        return f"schema {self._stands.revision}{newer}"

    async def fit(self, pool: asyncpg.Pool) -> list[str]:
        """Bring the schema to what the program needs, or wait until the job has; give the files applied.

        What takes away is left alone while older processes run. Raises SchemaUnfit.
        """
        applied = await self._wait(pool) if self._by_job else await self._migrate(pool)
        self.doing = ""
        async with pool.acquire() as connection:
            stands = await standing(connection, self._known)
        self._show(stands)
        if stands.newer:
            log.info("the schema is newer than this release, which goes on with it", newer=stands.newer)
        return applied

    async def look(self, pool: asyncpg.Pool | None) -> None:
        """Look again what the schema has run. Raises SchemaTooNew; a database that is away tells nothing."""
        if pool is None:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS), pool.acquire(timeout=POOL_SECONDS) as connection:
                stands = await standing(connection, self._known)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return
        self._show(stands)
        stands.refuse_what_is_too_new()

    async def _migrate(self, pool: asyncpg.Pool) -> list[str]:
        async with pool.acquire() as connection:
            applied = await migrate(connection, self._folder, stages=(Stage.PRE,), say=self._say)
            try:
                applied += await migrate(
                    connection, self._folder, stages=(Stage.POST,), service=self._service, say=self._say
                )
            except OlderProcesses as reason:
                log.warning("what takes away is left to the next start", problem=str(reason))
        return applied

    async def _wait(self, pool: asyncpg.Pool) -> list[str]:
        said_at = -SAY_SECONDS
        while True:
            async with pool.acquire() as connection:
                stands = await standing(connection, self._known)
            stands.refuse_what_is_too_new()
            self._show(stands)
            self.doing = stands.why_it_waits()
            if not self.doing:
                return []
            if (now := asyncio.get_running_loop().time()) - said_at >= SAY_SECONDS:
                said_at = now
                log.warning("waiting for the migrations", lacking=stands.lacking)
            await asyncio.sleep(LOOK_SECONDS)

    def _say(self, what: str) -> None:
        self.doing = what

    def _show(self, stands: Standing) -> None:
        self._stands = stands
        for owner, number in newest_numbers(stands.revision).items():
            telemetry.SCHEMA_REVISION.labels(owner).set(number)


async def run_as_job(database_url: str, folder: Path, stage: Stage, *, service: str) -> list[str]:
    """Apply one stage's files on a connection of the job's own; see `migrate`."""
    connection = await asyncpg.connect(
        database_url, server_settings={**SERVER_SETTINGS, "application_name": f"leap migrations of {service}"}
    )
    try:
        await watch_line(connection)
        return await migrate(connection, folder, stages=(stage,), service=service)
    finally:
        await connection.close()


def job(service: str, stage: Stage, database_url: str) -> int:
    """Run a service's files of one stage, and log what was applied; 1 where it could not be done, with the reason."""
    telemetry.configure_logging("INFO", service)
    folder = importlib.import_module(f"services.{service}.app").service.migrations
    try:
        applied = asyncio.run(run_as_job(database_url, folder, stage, service=service))
    except SchemaUnfit as reason:
        log.error("not migrated", problem=str(reason))
        return 1
    log.info("migrated", stage=stage, applied=applied)
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m services.runtime.migrate NAME [pre|post]")
    sys.exit(
        job(sys.argv[1], Stage((*sys.argv, Stage.PRE)[2]), guarded_by_environment(os.environ["LEAP_DATABASE_URL"]))
    )

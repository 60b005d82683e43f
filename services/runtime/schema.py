"""A service's schema as one process of it sees it: brought up to it or waited for, and watched from then on."""

import asyncio
from functools import cached_property
from pathlib import Path

import asyncpg
import structlog

from services.runtime.database import ANSWER_SECONDS, POOL_SECONDS
from services.runtime.migrate import OlderProcesses, migrate, process_name
from services.runtime.revision import Known, Stage, Standing, known_in, newest_numbers, standing
from services.runtime.seen import telemetry

LOOK_SECONDS, SAY_SECONDS = 1.0, 60.0

log = structlog.get_logger(__name__)


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

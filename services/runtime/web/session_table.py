"""Sessions as the service's table keeps them: for all its processes, by the database's clock."""

from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from services.runtime.database import POOL_SECONDS

SESSION_SECONDS = 12 * 60 * 60
IDLE_SECONDS = 60 * 60
KEPT_SECONDS = 2 * 24 * 60 * 60
"""For how long it is known that there was a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What an identity provider said about the person of a session, and what we ask it again with."""

    provider: str
    told: str
    sealed: bytes
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that has not ended and is within its limits."""

    key: bytes
    person: str
    mark: str
    idle_seconds: float = 0.0
    vouched: Vouched | None = None


class Kept(Protocol):
    """Where sessions are kept: in the service's table, or in a test without a database in memory."""

    async def begin(self, session: Session) -> None:
        """Keep a new session."""

    async def find(self, key: bytes) -> Session | None:
        """Give the session, if it has not ended, is not 12 hours old, and was used in the last hour."""

    async def seen(self, key: bytes) -> None:
        """Note that the session is being used."""

    async def end(self, key: bytes) -> bool:
        """End the session; tell whether it stood until now."""

    async def standing(self) -> list[Session]:
        """Give every session that has not ended, without what providers said."""

    async def ended_since(self, seconds: float) -> list[bytes]:
        """Name the sessions that were ended in these last seconds, by any process."""

    async def claim_check(self, key: bytes, *, seconds: float) -> bool:
        """Become the one who asks the provider about this session, for so many seconds; no if somebody does already."""

    async def checked(self, key: bytes, vouched: Vouched) -> None:
        """Keep what the provider said just now."""

    async def give_back(self, key: bytes) -> None:
        """Let others ask the provider: it did not answer."""


# What began days ago is over and gone; a sign-in is seldom enough to do this beside it.
_FORGET = "DELETE FROM session WHERE begun_at < clock_timestamp() - make_interval(secs => $1)"
_BEGIN = """
INSERT INTO session (key, person, mark, provider, told, sealed, checked_at)
VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $4::text IS NOT NULL THEN clock_timestamp() END)
"""
_STANDS = f"""
ended_at IS NULL AND begun_at > clock_timestamp() - interval '{SESSION_SECONDS} seconds'
AND seen_at > clock_timestamp() - interval '{IDLE_SECONDS} seconds'
"""
_FIND = f"""
SELECT key, person, mark, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS idle_seconds,
       provider, told, sealed, extract(epoch FROM clock_timestamp() - checked_at)::float8 AS age_seconds
FROM session WHERE key = $1 AND {_STANDS}
"""
_SEEN = "UPDATE session SET seen_at = clock_timestamp() WHERE key = $1 AND ended_at IS NULL"
# The provider's tokens go with the session.
_END = """
UPDATE session SET ended_at = clock_timestamp(), sealed = CASE WHEN provider IS NOT NULL THEN ''::bytea END
WHERE key = $1 AND ended_at IS NULL
RETURNING true
"""
_STANDING = f"SELECT key, person, mark FROM session WHERE {_STANDS}"
_ENDED_SINCE = "SELECT key FROM session WHERE ended_at > clock_timestamp() - make_interval(secs => $1)"
_CLAIM = """
UPDATE session SET checking_until = clock_timestamp() + make_interval(secs => $2)
WHERE key = $1 AND ended_at IS NULL AND (checking_until IS NULL OR checking_until < clock_timestamp())
RETURNING true
"""
_CHECKED = """
UPDATE session SET told = $2, sealed = $3, checked_at = clock_timestamp(), checking_until = NULL
WHERE key = $1 AND ended_at IS NULL
"""
_GIVE_BACK = "UPDATE session SET checking_until = NULL WHERE key = $1"


class SessionTable:
    """The table `session` of the service's own schema."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, session: Session) -> None:
        """Keep a new session, and forget those of days ago."""
        vouched = session.vouched
        said = (vouched.provider, vouched.told, vouched.sealed) if vouched is not None else (None, None, None)
        await self._execute(_FORGET, float(KEPT_SECONDS))
        await self._execute(_BEGIN, session.key, session.person, session.mark, *said)

    async def find(self, key: bytes) -> Session | None:
        """Give the session, if it has not ended, is not 12 hours old, and was used in the last hour."""
        rows = await self._fetch(_FIND, key)
        return next((_session(row) for row in rows), None)

    async def seen(self, key: bytes) -> None:
        """Note that the session is being used."""
        await self._execute(_SEEN, key)

    async def end(self, key: bytes) -> bool:
        """End the session; tell whether it stood until now."""
        return bool(await self._fetch(_END, key))

    async def standing(self) -> list[Session]:
        """Give every session that has not ended, without what providers said."""
        return [Session(key=row["key"], person=row["person"], mark=row["mark"]) for row in await self._fetch(_STANDING)]

    async def ended_since(self, seconds: float) -> list[bytes]:
        """Name the sessions that were ended in these last seconds, by any process."""
        return [row["key"] for row in await self._fetch(_ENDED_SINCE, seconds)]

    async def claim_check(self, key: bytes, *, seconds: float) -> bool:
        """Become the one who asks the provider about this session, for so many seconds; no if somebody does already."""
        return bool(await self._fetch(_CLAIM, key, seconds))

    async def checked(self, key: bytes, vouched: Vouched) -> None:
        """Keep what the provider said just now."""
        await self._execute(_CHECKED, key, vouched.told, vouched.sealed)

    async def give_back(self, key: bytes) -> None:
        """Let others ask the provider: it did not answer."""
        await self._execute(_GIVE_BACK, key)

    async def _fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        async with self._pool.acquire(timeout=POOL_SECONDS) as connection:
            return await connection.fetch(statement, *values)

    async def _execute(self, statement: str, *values: Any) -> None:
        async with self._pool.acquire(timeout=POOL_SECONDS) as connection:
            await connection.execute(statement, *values)


def _session(row: asyncpg.Record) -> Session:
    vouched = None
    if row["provider"] is not None:
        vouched = Vouched(
            provider=row["provider"], told=row["told"], sealed=row["sealed"], age_seconds=row["age_seconds"]
        )
    return Session(
        key=row["key"], person=row["person"], mark=row["mark"], idle_seconds=row["idle_seconds"], vouched=vouched
    )

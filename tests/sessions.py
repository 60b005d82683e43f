"""Sessions in memory, for tests of a service without a database; one suite holds it and the table to the same."""

import time
from dataclasses import dataclass, replace

from services.runtime.web.session_table import IDLE_SECONDS, SESSION_SECONDS, Session, Vouched


@dataclass
class _Row:
    session: Session
    begun_at: float
    seen_at: float
    checked_at: float
    ended_at: float | None = None
    checking_until: float = 0.0


class SessionsInMemory:
    """Stands in for the table `session`. `pass_by` lets time pass."""

    def __init__(self) -> None:
        self._rows: dict[bytes, _Row] = {}
        self._passed = 0.0

    def pass_by(self, seconds: float) -> None:
        """Let everything be older by that."""
        self._passed += seconds

    async def begin(self, session: Session) -> None:
        now = self._now()
        self._rows[session.key] = _Row(session, now, now, now)

    async def find(self, key: bytes) -> Session | None:
        row, now = self._rows.get(key), self._now()
        if row is None or not self._stands(row):
            return None
        vouched = row.session.vouched
        if vouched is not None:
            vouched = replace(vouched, age_seconds=now - row.checked_at)
        return replace(row.session, idle_seconds=now - row.seen_at, vouched=vouched)

    async def seen(self, key: bytes) -> None:
        if (row := self._rows.get(key)) is not None:
            row.seen_at = self._now()

    async def end(self, key: bytes) -> bool:
        row = self._rows.get(key)
        if row is None or row.ended_at is not None:
            return False
        row.ended_at = self._now()
        return True

    async def standing(self) -> list[Session]:
        return [replace(row.session, vouched=None) for row in self._rows.values() if self._stands(row)]

    async def ended_since(self, seconds: float) -> list[bytes]:
        since = self._now() - seconds
        return [key for key, row in self._rows.items() if row.ended_at is not None and row.ended_at > since]

    async def claim_check(self, key: bytes, *, seconds: float) -> bool:
        row, now = self._rows.get(key), self._now()
        if row is None or row.ended_at is not None or row.checking_until > now:
            return False
        row.checking_until = now + seconds
        return True

    async def checked(self, key: bytes, vouched: Vouched) -> None:
        row = self._rows.get(key)
        if row is not None and row.ended_at is None:
            row.session = replace(row.session, vouched=vouched)
            row.checked_at, row.checking_until = self._now(), 0.0

    async def give_back(self, key: bytes) -> None:
        if (row := self._rows.get(key)) is not None:
            row.checking_until = 0.0

    def _stands(self, row: _Row) -> bool:
        now = self._now()
        return row.ended_at is None and now - row.begun_at < SESSION_SECONDS and now - row.seen_at < IDLE_SECONDS

    def _now(self) -> float:
        return time.monotonic() + self._passed

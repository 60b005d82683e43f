"""What only one process may do at a time is leased: it runs out, and a holder who missed that can write nothing more.

A session's lock would last as long as its connection, and a frozen or silently dead holder keeps that for hours.
"""

from uuid import uuid4

from services.runtime.database import Connection

_IS_KNOWN = "SELECT EXISTS (SELECT FROM lease WHERE name = $1)"
# For a name's first time only: behind a holder's open transaction it would wait.
_MAKE = """
INSERT INTO lease (name, holder, token, until) VALUES ($1, $2, 0, '-infinity') ON CONFLICT (name) DO NOTHING
"""
# A row that its holder has locked is in use, whatever its time says: it is passed over, not waited for.
_TAKE = """
WITH free AS (
    SELECT name FROM lease WHERE name = $1 AND (until < clock_timestamp() OR holder = $2) FOR UPDATE SKIP LOCKED
)
UPDATE lease SET holder = $2, token = lease.token + 1, until = clock_timestamp() + make_interval(secs => $3)
FROM free WHERE lease.name = free.name
RETURNING lease.token
"""
_RENEW = """
UPDATE lease SET until = clock_timestamp() + make_interval(secs => $3) WHERE name = $1 AND holder = $2 AND token = $4
RETURNING true
"""
_GIVE_BACK = "UPDATE lease SET until = '-infinity' WHERE name = $1 AND holder = $2 AND token = $3"


class LeaseLost(Exception):
    """Another process holds the lease now: leave what it stands for to that one, and ask for the lease again."""


class Lease:
    """One holder's claim on what bears this name, for so many seconds at a time by the database's clock."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self.name = name
        self._seconds = seconds
        self._holder = uuid4()
        self._token = -1

    async def take(self, connection: Connection) -> bool:
        """Take the lease if nobody holds it, or this holder does. From then on no earlier holder can write."""
        token: int | None = await connection.fetchval(_TAKE, self.name, self._holder, self._seconds)
        if token is None and not await connection.fetchval(_IS_KNOWN, self.name):
            await connection.execute(_MAKE, self.name, self._holder)
            token = await connection.fetchval(_TAKE, self.name, self._holder, self._seconds)
        self._token = -1 if token is None else token
        return token is not None

    async def renew(self, connection: Connection) -> None:
        """Hold it for longer, and in a transaction: let nobody take it before that one ends. Raises LeaseLost.

        A transaction that begins or ends with this writes as the holder or not at all.
        """
        if not await connection.fetchval(_RENEW, self.name, self._holder, self._seconds, self._token):
            raise LeaseLost(self.name)

    async def give_back(self, connection: Connection) -> None:
        """Let others take it at once; nothing happens where they have already."""
        await connection.execute(_GIVE_BACK, self.name, self._holder, self._token)
        self._token = -1

"""Pages that hear of changes: server-sent events that carry id and version only, whoever made the change.

PostgreSQL tells every process (NOTIFY), on the commit and never before it: a service's trigger sends lines of
"ID VERSION SCOPE" to the channel SCHEMA_changes, or `*` where there are more than MOST_CHANGES of them. Ids and scopes
hold no space. The page then fetches what changed by its ordinary address, with its ordinary rights: the stream itself
says nothing about anybody.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import NamedTuple

import asyncpg
import msgspec
import structlog
from fastapi import HTTPException, Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from services.runtime.database import POOL_SECONDS, Connection, at_once
from services.runtime.seen import telemetry
from services.runtime.web.languages import N_
from services.runtime.web.people import Person

HEARTBEAT_SECONDS = 15.0
# A stream that nobody may hear any more ends within this time: signed out, withdrawn.
STILL_SECONDS = 2.0
# A stream ends after this time and the browser opens another.
STREAM_SECONDS = 15 * 60.0
RETRY_MS = 1000
LISTEN_AGAIN_SECONDS = 1.0
# A line that died says nothing, and neither does one on which nothing happens: ask.
ASK_SECONDS = 5.0
# More than this in one go, or waiting for one slow reader: "look again" says it all.
MOST_CHANGES = 200
# A browser opens six connections to a service at most, and a person has a browser or two.
MOST_STREAMS_OF_ONE_PERSON = 12

log = structlog.get_logger(__name__)


class Change(NamedTuple):
    """Something is at another version now. The scope decides who hears of it and is not sent."""

    id: str
    version: int
    scope: str


class Listener:
    """One open stream's view: what changed since it last looked, the newest version of each id only."""

    def __init__(self, may_see: Callable[[str], bool]) -> None:
        self._may_see = may_see
        self._versions: dict[str, int] = {}
        self._missed = False
        self._woken = asyncio.Event()

    def hear(self, changes: Iterable[Change]) -> None:
        """Keep what this stream may know of."""
        for change in changes:
            if self._may_see(change.scope):
                self._versions[change.id] = max(change.version, self._versions.get(change.id, 0))
                self._woken.set()
        if len(self._versions) > MOST_CHANGES:
            self.miss()

    def miss(self) -> None:
        """Say that changes may have gone by unheard: the page had better look again."""
        self._versions.clear()
        self._missed = True
        self._woken.set()

    async def next(self, seconds: float) -> tuple[bool, dict[str, int]]:
        """Wait for changes, that long at most: whether some were missed, and versions by id."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        heard = self._missed, self._versions
        self._missed, self._versions = False, {}
        self._woken.clear()
        return heard


class Broadcast:
    """The changes of one service, for every stream of this process. Listens while somebody does."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._listeners: set[Listener] = set()
        self._streams: Counter[str] = Counter()
        self._listening: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self.closed = False

    def close(self) -> None:
        """End every stream: a process that stops must not wait for a browser to leave."""
        self.closed = True
        if self._listening is not None:
            self._listening.cancel()
        self._heard.set()
        for listener in self._listeners:
            listener.miss()

    def has_room_for(self, name: str) -> bool:
        """Tell whether the person may open another stream."""
        return self._streams[name] < MOST_STREAMS_OF_ONE_PERSON

    @contextlib.contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Count a stream of the person's while it is open."""
        self._streams[name] += 1
        try:
            yield
        finally:
            self._streams[name] -= 1
            if not self._streams[name]:
                del self._streams[name]

    @contextlib.asynccontextmanager
    async def subscribe(self, may_see: Callable[[str], bool]) -> AsyncIterator[Listener]:
        """Give a listener that misses nothing from now on."""
        listener = Listener(may_see)
        self._listeners.add(listener)
        if not self.closed and (self._listening is None or self._listening.done()):
            self._heard.clear()
            self._listening = asyncio.create_task(self._listen(), name="changes")
        try:
            await self._heard.wait()
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._listening is not None:
                self._listening.cancel()
                self._listening = None

    async def _listen(self) -> None:
        while True:
            try:
                async with self._pool.acquire(timeout=POOL_SECONDS) as connection:
                    await self._listen_on(connection)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("changes not heard for a moment", **telemetry.where(error))
            except Exception as error:  # noqa: BLE001 - the edge: nobody waits for this task, its end would be silence
                log.error("listening for changes ended in an unforeseen way", **telemetry.where(error))
            # Whoever waits for the first word is let through: a page without news is better than none.
            self._heard.set()
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _listen_on(self, connection: Connection) -> None:
        ended = asyncio.Event()
        schema = await connection.fetchval("SELECT current_schema()")
        await connection.add_listener(f"{schema}_changes", self._on_notification)
        connection.add_termination_listener(lambda *_: ended.set())
        try:
            # What happened while nobody listened is not known: everybody looks again, except on the first start.
            if self._heard.is_set():
                for listener in self._listeners:
                    listener.miss()
            self._heard.set()
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ASK_SECONDS):
                        await ended.wait()
                async with at_once(connection):
                    await connection.execute("SELECT")
        finally:
            with contextlib.suppress(asyncpg.InterfaceError):
                await connection.remove_listener(f"{schema}_changes", self._on_notification)

    def _on_notification(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        changes = read_changes(str(payload))
        for listener in self._listeners:
            if changes is None:
                listener.miss()
            else:
                listener.hear(changes)


def read_changes(payload: str) -> list[Change] | None:
    """Read a notification; None where it only says that there is much, or can't be read."""
    changes = []
    for line in payload.splitlines():
        id, _, rest = line.partition(" ")
        version, _, scope = rest.partition(" ")
        if not version.isdecimal():
            return None
        changes.append(Change(id, int(version), scope))
    return changes


def event_stream(
    request: Request,
    broadcast: Broadcast,
    person: Person,
    *,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> EventSourceResponse:
    """Stream `changed` events with {"id", "version"}, and `missed` when the page had better look again.

    They tell of what the person may see. The stream ends after a quarter of an hour; browsers come again by themselves.
    Raises HTTPException 429 where the person has as many open as they may.
    """
    if not broadcast.has_room_for(person.name):
        telemetry.HTTP_TOO_MANY.labels("stream").inc()
        raise HTTPException(429, N_("close other windows of this page; this one shows what is new when it is loaded"))
    return EventSourceResponse(
        _stream(request, broadcast, person, heartbeat_seconds),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(
    request: Request, broadcast: Broadcast, person: Person, heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    if not broadcast.has_room_for(person.name):
        return  # others that were asked for in the same moment have begun meanwhile
    until = time.monotonic() + STREAM_SECONDS
    said_at = time.monotonic()
    number = int(time.time() * 1000)  # only ever grows, and says to us that a browser has been here before
    with broadcast.counted(person.name):
        async with broadcast.subscribe(person.may_see) as listener:
            yield format_sse_event(event="ready", data_str="{}", id=str(number), retry=RETRY_MS)
            if request.headers.get("last-event-id"):
                yield format_sse_event(event="missed", data_str="{}", id=str(number))
            while time.monotonic() < until:
                missed, versions = await listener.next(min(heartbeat_seconds, STILL_SECONDS))
                if broadcast.closed or not await request.app.state.sessions.still(request):
                    return
                if not missed and not versions:
                    if time.monotonic() - said_at >= heartbeat_seconds:
                        said_at = time.monotonic()
                        yield KEEPALIVE_COMMENT
                    continue
                number += 1
                if missed:
                    yield format_sse_event(event="missed", data_str="{}", id=str(number))
                for id, version in versions.items():
                    told = msgspec.json.encode({"id": id, "version": version}).decode()
                    yield format_sse_event(event="changed", data_str=told, id=str(number))

"""A line between the services and a part they need, which can be made bad in every way that a line goes bad."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from enum import Enum

_CHUNK_BYTES = 65536
_COMMIT_SECONDS = 10.0
_MOVES_POSITIONS = re.compile(rb"UPDATE position\s+SET next_offset")


class Way(Enum):
    """What becomes of what is sent."""

    OPEN = "open"
    SWALLOWED = "swallowed"  # taken and acknowledged, and never passed on: nobody's kernel notices
    DEAF = "deaf"  # what the services say arrives, and no answer comes back
    REFUSED = "refused"  # open connections are reset, new ones are not taken
    DELAYED = "delayed"  # a quarter of a second each way
    NARROW = "narrow"  # so many bytes a second, all connections together


DELAY_SECONDS = 0.25
NARROW_BYTES_PER_SECOND = 40_000


@dataclass(slots=True, eq=False)
class _Carried:
    """One connection: both its ends, and what the database's protocol told of it."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    moves_positions: bool = False
    is_swallowing: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Proxy:
    """Listens on a port of its own and carries to a port that may come and go."""

    port: int
    to_port: int
    way: Way = Way.OPEN
    lost_answers: int = 0
    _losing: int = 0
    _server: asyncio.Server | None = None
    _carried: set[_Carried] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _free_at: float = 0.0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """End every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        self._reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def turn(self, way: Way) -> None:
        """Make the line good or bad. What was swallowed stays so: such a connection never works again."""
        self.way = way
        if way is Way.REFUSED:
            self._reset()
        for each in self._carried:
            each.is_swallowing = each.is_swallowing or way in (Way.SWALLOWED, Way.DEAF)

    def lose_answers_to_commits(self, count: int) -> None:
        """Let so many transactions that move a position commit, and cut the line before anybody hears of it."""
        self._losing = count

    def _reset(self) -> None:
        for each in list(self._carried):
            for end in (each.near, each.far):
                if end.transport is not None:
                    end.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # called off by `stop` only
                await self._carry(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.way is Way.REFUSED:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        carried = _Carried(writer, far_writer)
        carried.is_swallowing = self.way in (Way.SWALLOWED, Way.DEAF)
        self._carried.add(carried)
        ways = [
            asyncio.create_task(self._pass_on(reader, far_writer, carried, asks=True)),
            asyncio.create_task(self._pass_on(far_reader, writer, carried, asks=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._carried.discard(carried)
            far_writer.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carried: _Carried, *, asks: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(_CHUNK_BYTES):
                if carried.is_swallowing and not (asks and self.way is Way.DEAF):
                    carried.answered.set()
                    continue
                if asks and self._ends_a_batch(carried, part):
                    await self._lose_the_answer(carried, part)
                    return
                await self._slowly(len(part))
                writer.write(part)
                await writer.drain()

    def _ends_a_batch(self, carried: _Carried, part: bytes) -> bool:
        if _MOVES_POSITIONS.search(part):
            carried.moves_positions = True
        return bool(self._losing and carried.moves_positions and b"COMMIT;" in part)

    async def _lose_the_answer(self, carried: _Carried, part: bytes) -> None:
        """Pass a COMMIT on, wait until the server has done it, and cut the line."""
        self._losing -= 1
        self.lost_answers += 1
        carried.is_swallowing = True
        carried.far.write(part)
        await carried.far.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(carried.answered.wait(), _COMMIT_SECONDS)
        carried.near.transport.abort()

    async def _slowly(self, size: int) -> None:
        if self.way is Way.DELAYED:
            await asyncio.sleep(DELAY_SECONDS)
        elif self.way is Way.NARROW:
            now = asyncio.get_running_loop().time()
            self._free_at = max(now, self._free_at) + size / NARROW_BYTES_PER_SECOND
            await asyncio.sleep(self._free_at - now)

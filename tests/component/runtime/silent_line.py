"""A line between a service and its database that can die without a word, as when a firewall forgets it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


class Line:
    """Passes bytes on; `die` lets the connections that are open swallow everything from now on. New ones work.

    What is swallowed is acknowledged: no kernel notices, only somebody who waits for an answer.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open: set[asyncio.Event] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    def die(self) -> int:
        """Swallow what comes on the open connections, in both directions; returns how many they are."""
        dying = len(self._open)
        for dead in self._open:
            dead.set()
        self._open.clear()
        return dying

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until an end closes it."""
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        dead = asyncio.Event()
        self._open.add(dead)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            ways = [
                asyncio.create_task(_pass_on(reader, far_writer, dead)),
                asyncio.create_task(_pass_on(far_reader, writer, dead)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if dead.is_set():
                    await self._over.wait()  # nor does either end hear that the other one closed
            finally:
                for each in ways:
                    each.cancel()
                far_writer.close()
        finally:
            writer.close()
            self._open.discard(dead)
            self._carrying.discard(task)

    async def end(self) -> None:
        """Let go of the dead connections, and wait until all are closed."""
        self._over.set()
        await asyncio.gather(*self._carrying)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dead: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65536):
            if not dead.is_set():
                writer.write(part)
                await writer.drain()


@asynccontextmanager
async def through_a_line(database_url: str) -> AsyncIterator[tuple[str, Line]]:
    """Give the database's URL by way of a line, and the line."""
    parts = urlsplit(database_url)
    line = Line(parts.hostname or "", parts.port or 5432)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}")), line
    finally:
        server.close()
        await line.end()

"""Who sends slowly, in masses or ambiguously is shown out, and nobody else notices."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import fastapi
import pytest
from fastapi import Request

from deploy.local import free_port
from services.runtime.seen import telemetry
from services.runtime.web import application, connections
from services.runtime.web.connections import MAX_HEADERS, Guests, mistake_in_head

GET = b"GET /hello HTTP/1.1\r\nHost: leap.test\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: leap.test\r\n"


@dataclass
class Served:
    """A server, its guests, and what is connected to it."""

    port: int
    guests: Guests
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and say something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(said)
        return reader, writer

    async def ask(self, said: bytes) -> bytes:
        """Give all that is answered until the other end closes."""
        reader, _ = await self.connect(said)
        return await to_the_end(reader)


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Read until nothing comes any more, however the connection ends."""
    answered = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while more := await reader.read(65536):
                answered += more
    return answered


@contextlib.asynccontextmanager
async def serving(guests: Guests | None = None) -> AsyncIterator[Served]:
    """Serve two routes on a free port."""
    app = application.application("guarded")

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/long")
    async def long() -> fastapi.Response:
        return fastapi.Response(b"x" * 8_000_000)

    if guests is None:
        guests = Guests(most=50, trusted="127.0.0.1")
    served = Served(free_port(), guests)
    server = application.server(app, "127.0.0.1", served.port, guests=guests)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield served
    finally:
        for writer in served.writers:
            writer.close()
        server.should_exit = True
        await task


def cut_off(why: str) -> float:
    """How many connections were ended for this reason."""
    return float(telemetry.HTTP_CUT_OFF.labels(why)._value.get())


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 1)


@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize(
    ("half", "why"),
    [
        (b"", "head"),
        (GET, "head"),
        (POST + b"Content-Length: 5\r\n\r\nab", "body"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "body"),
    ],
    ids=["silence", "head", "body", "chunk"],
)
async def test_half_a_request_is_waited_for_so_long_and_told_so(half: bytes, why: str) -> None:
    before = cut_off(why)
    async with serving() as served:
        assert (await served.ask(half)).startswith(b"HTTP/1.1 408 ")
        assert cut_off(why) == before + 1
        assert b" 200 OK" in await served.ask(GET + b"Connection: close\r\n\r\n")


@pytest.mark.usefixtures("in_haste")
async def test_a_head_that_comes_byte_by_byte_gains_no_time_by_that() -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        trickling = asyncio.create_task(_trickle(writer, GET + b"X-More: " + b"x" * 500))
        assert (await to_the_end(reader)).startswith(b"HTTP/1.1 408 ")
        trickling.cancel()


@pytest.mark.usefixtures("in_haste")
async def test_a_second_half_request_on_the_same_connection_has_the_same_deadline() -> None:
    async with serving() as served:
        answered = await served.ask(GET + b"\r\n" + GET)
        assert answered.startswith(b"HTTP/1.1 200 OK")
        assert b"HTTP/1.1 408 " in answered


@pytest.mark.usefixtures("in_haste")
async def test_an_answer_that_nobody_reads_is_not_kept_for_ever() -> None:
    before = cut_off("unread")
    async with serving() as served:
        _, writer = await served.connect(b"GET /long HTTP/1.1\r\nHost: leap.test\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await _until(lambda: cut_off("unread") > before)
        await _until(lambda: len(served.guests) == 0)


@pytest.mark.usefixtures("in_haste")
async def test_a_body_that_keeps_coming_may_take_longer_than_its_first_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "BODY_BYTES_PER_SECOND", 100)
    async with serving() as served:
        reader, writer = await served.connect(POST + b"Content-Length: 400\r\nConnection: close\r\n\r\n")
        for _ in range(4):
            writer.write(b"x" * 100)  # a second's worth, each
            await asyncio.sleep(0.15)
        assert (await to_the_end(reader)).endswith(b"400")


async def test_a_thousand_half_sent_requests_cost_each_other_their_places_and_nobody_else() -> None:
    before = cut_off("room")
    async with serving(Guests(most=50, trusted="127.0.0.1")) as served:
        for _ in range(10):
            await asyncio.gather(*(served.connect(GET) for _ in range(100)))
            assert b" 200 OK" in await served.ask(GET + b"Connection: close\r\n\r\n")
            assert len(served.guests) <= 50
    assert cut_off("room") >= before + 950


async def test_one_address_takes_only_its_own_places() -> None:
    before = cut_off("address")
    async with serving(Guests(most=50, most_from_one=10, trusted="")) as served:
        await asyncio.gather(*(served.connect(GET) for _ in range(30)))
        await _until(lambda: cut_off("address") == before + 20)
        assert len(served.guests) == 10


async def test_who_is_being_answered_is_not_shown_out() -> None:
    async with serving(Guests(most=4, trusted="127.0.0.1")) as served:
        reader, writer = await served.connect(b"GET /long HTTP/1.1\r\nHost: leap.test\r\nConnection: close\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.gather(*(served.connect(GET) for _ in range(20)))
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await to_the_end(reader)) > 8_000_000


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\nCONTENT-LENGTH: 0\r\n\r\n0\r\n\r\n",
        b"GET /hello HTTP/1.1\nHost: leap.test\n\n",
        GET + b"X-One: 1\n\r\n",
        GET + b"X-One: 1\r\n 2\r\n\r\n",
        GET + b"X-One: 1\r\n\t2\r\n\r\n",
        GET + b"X: 1\r\n" * MAX_HEADERS + b"\r\n",
        GET + b"X-One: " + b"x" * 70_000 + b"\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-One: 1\r\n 2\r\n\r\n",
    ],
    ids=["both", "both in another case", "bare LF", "one bare LF", "folded", "folded by a tab", "many", "long",
         "two lengths", "folded in a trailer"],
)  # fmt: skip
async def test_what_two_readers_could_read_in_two_ways_is_refused_and_ends_the_connection(head: bytes) -> None:
    async with serving() as served:
        answered = await served.ask(head + GET + b"\r\n")
        assert answered.startswith(b"HTTP/1.1 400 ")
        assert answered.count(b"HTTP/1.1") == 1


async def test_an_ordinary_head_has_nothing_wrong_with_it() -> None:
    assert mistake_in_head(POST + b"Content-Length: 5\r\nCookie: a=b\r\n\r\n") == ""
    async with serving() as served:
        for framed in (b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
            assert (await served.ask(POST + b"Connection: close\r\n" + framed)).endswith(b"\r\n\r\n5")


async def test_addresses_of_one_network_of_version_six_are_one_place() -> None:
    near, far = "2001:db8:1:2:3::4", "2001:db8:1:3::4"
    assert connections._counted_as(near) == connections._counted_as("2001:db8:1:2::99") != connections._counted_as(far)


async def _trickle(writer: asyncio.StreamWriter, said: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for byte in said:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is awaited happens in another task, and tells nobody
            await asyncio.sleep(0.01)

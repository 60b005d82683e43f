"""The three roles of a service: whose the tables are, who works with them, and databases in which that was one role."""

import hashlib
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local import provision
from deploy.local.database import lay_out_roles, roles_of
from deploy.local.dumps import dump_schema, restore_schema
from services.runtime.migrate import _CREATE, migrate
from services.runtime.revision import SchemaUnfit
from services.runtime.roles import enter_for_people

MIGRATIONS = Path(__file__).parents[3] / "services"
_ROW = "INSERT INTO teaching_day (district, school_year, day) VALUES ($1, 2026, '2026-10-01')"
_OWNERS = """
SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'scheduling'
UNION SELECT DISTINCT proowner::regrole::text FROM pg_proc AS f
WHERE pronamespace = 'scheduling'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = f.oid AND deptype = 'e')
"""


async def as_before(admin_url: str) -> None:
    """Lay scheduling's role and schema out as releases did whose services owned their tables."""
    admin: Any = await asyncpg.connect(admin_url)
    login = roles_of("scheduling", await admin.fetchval("SELECT current_database()")).login
    await admin.execute(f"CREATE ROLE {login} LOGIN; ALTER ROLE {login} SET search_path = scheduling")
    await admin.execute(f"CREATE SCHEMA scheduling AUTHORIZATION {login}")
    for extension in ("btree_gist", "pg_trgm", "unaccent"):
        await admin.execute(f"CREATE EXTENSION {extension} SCHEMA scheduling")
    await admin.execute(f"SET ROLE {login}; SET search_path = scheduling")
    await admin.execute(_CREATE)
    for file in sorted(MIGRATIONS.glob("runtime/migrations/000*.sql")):
        await _run(admin, f"runtime/{file.name}", file.read_text())
    for file in sorted(MIGRATIONS.glob("scheduling/migrations/000[1-8]*.sql")):
        await _run(admin, f"scheduling/{file.name}", file.read_text())
    await admin.execute(_ROW, "hartford")
    await admin.close()


async def _run(admin: Any, name: str, text: str) -> None:
    await admin.execute(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    await admin.execute("INSERT INTO migration (name, digest) VALUES ($1, $2)", name, digest)


async def test_a_database_whose_service_owned_its_tables_is_taken_over(fresh_database: str) -> None:
    await as_before(fresh_database)
    url = (await provision(fresh_database, ["scheduling"]))["scheduling"]
    before: Any = await asyncpg.connect(url)  # a process of the release before, at work all the time
    await before.execute(_ROW, "danbury")

    connection: Any = await asyncpg.connect(url)
    await migrate(connection, MIGRATIONS / "scheduling" / "migrations")

    admin: Any = await asyncpg.connect(fresh_database)
    owner = roles_of("scheduling", await admin.fetchval("SELECT current_database()")).owner
    assert [row[0] for row in await admin.fetch(_OWNERS)] == [owner]
    # It goes on, and could start again: it asks for its list of migrations to be there.
    await before.execute(_CREATE)
    assert await before.fetchval("SELECT count(*) FROM teaching_day") == 2
    for refused in ("DROP TABLE teaching_day", "ALTER TABLE teaching_day ADD more text", "TRUNCATE contact_disclosure"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await before.execute(refused)
    async with connection.transaction():
        await enter_for_people(connection, "danbury")
        assert [row[0] for row in await connection.fetch("SELECT district FROM teaching_day")] == ["danbury"]
    assert await connection.fetchval("SELECT current_user") == owner.replace("_owner", "")
    for each in (before, connection, admin):
        await each.close()


async def test_a_database_that_nobody_prepared_is_refused_with_what_to_do(fresh_database: str) -> None:
    await as_before(fresh_database)
    admin: Any = await asyncpg.connect(fresh_database)
    login = roles_of("scheduling", await admin.fetchval("SELECT current_database()")).login
    await admin.execute(f"SET ROLE {login}; SET search_path = scheduling; SET \"leap.time_zone\" = 'UTC'")
    with pytest.raises((SchemaUnfit, asyncpg.RaiseError), match="roles of this database"):
        await migrate(admin, MIGRATIONS / "scheduling" / "migrations")
    await admin.close()


async def test_a_restored_schema_has_owners_rules_and_what_is_written_once(fresh_database: str, tmp_path: Path) -> None:
    url = (await provision(fresh_database, ["scheduling"]))["scheduling"]
    connection: Any = await asyncpg.connect(url)
    await migrate(connection, MIGRATIONS / "scheduling" / "migrations")
    await connection.execute(_ROW, "hartford")
    admin: Any = await asyncpg.connect(fresh_database)
    before = await _rules(admin)
    dump_schema(fresh_database, "scheduling", tmp_path / "scheduling.dump")
    await restore_schema(fresh_database, "scheduling", tmp_path / "scheduling.dump")

    assert await _rules(admin) == before
    assert len(before["policies"]) > 50
    await connection.reload_schema_state()
    assert await connection.fetchval("SELECT count(*) FROM teaching_day") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM contact_disclosure")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM disclosed")
    assert await connection.fetchval("SELECT let_go_disclosed('hartford', now(), 500)") == 0
    # Laid out a second time, nothing that was taken is given back.
    await lay_out_roles(admin, "scheduling")
    assert await _rules(admin) == before
    await connection.close()
    await admin.close()


async def _rules(admin: Any) -> dict[str, list[Any]]:
    policies = "SELECT tablename, policyname, roles::text, qual FROM pg_policies WHERE schemaname = 'scheduling'"
    granted = """
        SELECT relname, grantee::regrole::text, privilege_type, relowner::regrole::text, relrowsecurity,
               relforcerowsecurity
        FROM pg_class, aclexplode(relacl)
        WHERE relnamespace = 'scheduling'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1, 2, 3
    """
    functions = """
        SELECT oid::regprocedure::text, proowner::regrole::text, prosecdef, proacl::text FROM pg_proc
        WHERE pronamespace = 'scheduling'::regnamespace ORDER BY 1
    """
    return {
        "functions": list(map(tuple, await admin.fetch(functions))),
        "policies": sorted(map(tuple, await admin.fetch(policies))),
        "granted": list(map(tuple, await admin.fetch(granted))),
        "owners": list(map(tuple, await admin.fetch(_OWNERS))),
    }

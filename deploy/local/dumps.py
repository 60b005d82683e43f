"""One service's schema as a file, and back: by the programs of the wheel's PostgreSQL, on any server of its version."""

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from deploy.local.database import EXTENSIONS, ONLOOKER, lay_out_roles, make_role, roles_of
from deploy.local.parts import PartFailed
from deploy.local.postgres import postgres_programs

_COMMENT = "SELECT obj_description(to_regnamespace($1), 'pg_namespace')"
_HAS_TABLES = """
SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
               WHERE nspname = $1 AND relkind IN ('r', 'p'))
"""

FORMER = "_before_restore"
"""Behind a schema's name: what a restore put aside, until the next one."""
_BEGUN, _DONE = "restore begun ", "restore of "
# Whose schema was put aside by the last restore, and not by one before it: the comments of both say by which.
_PUT_ASIDE_LAST = f"""
WITH known AS (
    SELECT each.name, former.oid IS NOT NULL AS is_kept, obj_description(former.oid, 'pg_namespace') AS of_restore,
           obj_description(standing.oid, 'pg_namespace') AS put_back_by
    FROM unnest($1::text[]) AS each (name)
    LEFT JOIN pg_namespace AS former ON former.nspname = each.name || '{FORMER}'
    LEFT JOIN pg_namespace AS standing ON standing.nspname = each.name
)
SELECT name FROM known
WHERE is_kept AND of_restore IS NOT DISTINCT FROM (SELECT max(greatest(of_restore, put_back_by)) FROM known)
ORDER BY array_position($1::text[], name)
"""


def dump_schema(admin_url: str, schema: str, file: Path) -> None:
    """Write the schema as it is at one moment: rows and positions belong together. Others go on meanwhile.

    The file appears whole or not at all. Raises PartFailed.
    """
    arriving = file.with_suffix(".arriving")
    try:
        # Not who is signed in: a restore would let in again whoever has signed out or was withdrawn since.
        signed_in = f"--exclude-table-data={schema}.session"
        _run(admin_url, "pg_dump", "--format=custom", f"--schema={schema}", signed_in, f"--file={arriving}")
        arriving.chmod(0o600)
        arriving.rename(file)
    finally:
        arriving.unlink(missing_ok=True)


async def restore_schema(admin_url: str, schema: str, file: Path, *, restored_at: str = "") -> None:
    """Put the schema back as the file has it; what stood there is kept aside under another name, and back if it fails.

    Its service may not be connected. `restored_at` is the same for all schemas of one restore. Raises PartFailed.
    """
    restored_at = restored_at or datetime.now(UTC).isoformat()
    admin = await asyncpg.connect(admin_url)
    try:
        is_kept = await _put_aside(admin, schema, restored_at)
        database = await admin.fetchval("SELECT current_database()")
        owner = roles_of(schema, database).owner
        # A file of an earlier release gives the one rights, and one from containers the other.
        for named in (roles_of("auditor", database).login, ONLOOKER):
            await make_role(admin, named)
        try:
            _run(
                # Rights are of roles that every installation has: of whose logins, is no business of the file's.
                admin_url, "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", f"--role={owner}",
                f"--schema={schema}", str(file),
            )  # fmt: skip
        except PartFailed:
            if is_kept:
                await _put_back(admin, schema)
            raise
        await admin.execute(f"COMMENT ON SCHEMA {schema} IS '{_DONE}{restored_at}'")
    finally:
        await admin.close()


async def put_aside_last(admin_url: str, schemas: Sequence[str]) -> list[str]:
    """Name those of the schemas that the last restore put aside; what one before it did is nobody's way back."""
    admin = await asyncpg.connect(admin_url)
    try:
        rows = await admin.fetch(_PUT_ASIDE_LAST, schemas)
    finally:
        await admin.close()
    return [row["name"] for row in rows]


async def go_back(admin_url: str, schema: str) -> None:
    """Let what the last restore put aside stand again. Raises PartFailed where there is none."""
    admin = await asyncpg.connect(admin_url)
    try:
        if not await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema + FORMER):
            raise PartFailed(f"there is no {schema}{FORMER}: nothing was restored, or it has been dropped")
        await _put_back(admin, schema)
    finally:
        await admin.close()


async def _put_aside(admin: "asyncpg.Connection[asyncpg.Record]", schema: str, restored_at: str) -> bool:
    """Make room for what is put back. Says whether what stood there is kept, now or by a try that was cut off."""
    async with admin.transaction():
        begun, kept_by = await admin.fetchval(_COMMENT, schema), await admin.fetchval(_COMMENT, schema + FORMER)
        belongs = begun is not None and kept_by == begun.replace(_BEGUN, _DONE)
        if await admin.fetchval(_HAS_TABLES, schema):
            await admin.execute(f"DROP SCHEMA IF EXISTS {schema}{FORMER} CASCADE")
            await admin.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}{FORMER}")
            belongs = True
        else:
            # Nothing, or what a restore that was cut off had begun: what that one put aside is what must stay.
            await _move_extensions(admin, schema + FORMER, EXTENSIONS.get(schema, ()), only_if_there=True)
            await admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        # What an older restore put aside is not what stood here, where now there is nothing.
        is_kept: bool = belongs and await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema + FORMER)
        if is_kept:
            await admin.execute(f"COMMENT ON SCHEMA {schema}{FORMER} IS '{_DONE}{restored_at}'")
        await lay_out_roles(admin, schema)
        await admin.execute(f"COMMENT ON SCHEMA {schema} IS '{_BEGUN}{restored_at}'")
        await _move_extensions(admin, schema, EXTENSIONS.get(schema, ()))
    return is_kept


async def _put_back(admin: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    async with admin.transaction():
        if not await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema + FORMER):
            return
        await _move_extensions(admin, schema + FORMER, EXTENSIONS.get(schema, ()))
        await admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await admin.execute(f"ALTER SCHEMA {schema}{FORMER} RENAME TO {schema}")
        await admin.execute(f"COMMENT ON SCHEMA {schema} IS NULL")


async def _move_extensions(
    admin: "asyncpg.Connection[asyncpg.Record]", schema: str, extensions: Iterable[str], *, only_if_there: bool = False
) -> None:
    if only_if_there and not await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
        return
    for extension in extensions:
        await admin.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema}")
        await admin.execute(f"ALTER EXTENSION {extension} SET SCHEMA {schema}")


def digest(file: Path) -> str:
    """Give the file's SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _run(admin_url: str, program: str, *words: str) -> None:
    # The password by the environment: everybody on the machine may read what a program was called with.
    parts = urlsplit(admin_url)
    without = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}"))
    finished = subprocess.run(
        [str(postgres_programs() / program), f"--dbname={without}", *words],
        env={**os.environ, "PGPASSWORD": unquote(parts.password or "")},
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if finished.returncode:
        raise PartFailed(f"{program} failed:\n{finished.stderr[-1500:].strip()}")

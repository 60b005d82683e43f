"""One service's schema as a file, and back: by the programs of the wheel's PostgreSQL, on any server of its version."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from deploy.local.database import EXTENSIONS
from deploy.local.parts import PartFailed
from deploy.local.postgres import postgres_programs

_HAS_TABLES = """
SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
               WHERE nspname = $1 AND relkind IN ('r', 'p'))
"""

FORMER = "_before_restore"
"""Behind a schema's name: what a restore put aside, until the next one."""


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


async def restore_schema(admin_url: str, schema: str, file: Path, *, role: str) -> None:
    """Put the schema back as the file has it; what stood there is kept aside under another name, and back if it fails.

    Nobody may be connected as `role`, who owns it. Raises PartFailed.
    """
    admin = await asyncpg.connect(admin_url)
    try:
        await _put_aside(admin, schema, role)
        try:
            _run(
                admin_url, "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", f"--role={role}",
                f"--schema={schema}", str(file),
            )  # fmt: skip
        except PartFailed:
            await _put_back(admin, schema)
            raise
    finally:
        await admin.close()


async def go_back(admin_url: str, schema: str) -> None:
    """Let what the last restore put aside stand again. Raises PartFailed where there is none."""
    admin = await asyncpg.connect(admin_url)
    try:
        if not await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema + FORMER):
            raise PartFailed(f"there is no {schema}{FORMER}: nothing was restored, or it has been dropped")
        await _put_back(admin, schema)
    finally:
        await admin.close()


async def _put_aside(admin: "asyncpg.Connection[asyncpg.Record]", schema: str, role: str) -> None:
    async with admin.transaction():
        if await admin.fetchval(_HAS_TABLES, schema):
            await admin.execute(f"DROP SCHEMA IF EXISTS {schema}{FORMER} CASCADE")
            await admin.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}{FORMER}")
        else:
            # Nothing, or what a restore that was cut off had begun: what that one put aside is what must stay.
            await _move_extensions(admin, schema + FORMER, EXTENSIONS.get(schema, ()), only_if_there=True)
            await admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await admin.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
        await admin.execute(f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC")
        await _move_extensions(admin, schema, EXTENSIONS.get(schema, ()))


async def _put_back(admin: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    async with admin.transaction():
        if not await admin.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema + FORMER):
            return
        await _move_extensions(admin, schema + FORMER, EXTENSIONS.get(schema, ()))
        await admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await admin.execute(f"ALTER SCHEMA {schema}{FORMER} RENAME TO {schema}")


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


def role_of(database_url: str) -> str:
    """Name the role that a service's URL signs in."""
    role = urlsplit(database_url).username
    assert role, "a service's URL names its role"
    return role


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

"""Schema changes: SQL files, applied once each, in the order of their names, forward only."""

import hashlib
from pathlib import Path

from services.runtime.database import Connection

RUNTIME_MIGRATIONS = Path(__file__).parent / "migrations"
EARLIER_FORMS = "earlier.txt"
"""Beside the files, a digest and a name per line: what was edited after databases had run it."""

MIGRATION_SECONDS = 24 * 3600.0
"""How long a client waits for one file, or for another process that migrates: a state's marks take the better part of
an hour. The pool's own patience is that of a batch, and a migration it ended would be begun and ended for ever."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.migration', 0))"
_CREATE = """
CREATE TABLE IF NOT EXISTS migration (
    name text PRIMARY KEY,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class MigrationChanged(Exception):
    """A file that has been applied was edited since. Restore it and put the change into a new file."""


async def migrate(connection: Connection, folder: Path) -> list[str]:
    """Apply the runtime's files and then the folder's that this schema has not seen, all or none of them.

    A file that ran in one of its earlier forms counts as applied: a later file makes up for what is different.
    Returns the names applied. Several processes may start at once: they take turns.
    """
    earlier = earlier_forms(folder)
    applied: list[str] = []
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute(_LOCK, timeout=MIGRATION_SECONDS)
        await connection.execute(_CREATE)
        seen = {row["name"]: row["digest"] for row in await connection.fetch("SELECT name, digest FROM migration")}

        for name, text in _files(folder):
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name not in seen:
                await connection.execute(text, timeout=MIGRATION_SECONDS)
                await connection.execute("INSERT INTO migration (name, digest) VALUES ($1, $2)", name, digest)
                applied.append(name)
            elif seen[name] != digest and (name, seen[name]) not in earlier:
                raise MigrationChanged(f"{name} was edited after it was applied: restore it, and add a new file")
    return applied


def earlier_forms(folder: Path) -> set[tuple[str, str]]:
    """Read which digests beside today's the folder's files may have been applied with, as name and digest."""
    file = folder / EARLIER_FORMS
    lines = file.read_text().splitlines() if file.exists() else []
    told = [line.split() for line in lines if line and not line.startswith("#")]
    return {(f"{folder.parent.name}/{name}", digest) for digest, name in told}


def _files(folder: Path) -> list[tuple[str, str]]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of migrations at {folder}")
    return [
        (f"{owner.parent.name}/{file.name}", file.read_text())
        for owner in dict.fromkeys((RUNTIME_MIGRATIONS, folder))
        for file in sorted(owner.glob("*.sql"))
    ]

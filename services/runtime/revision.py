"""Which files a program has for its schema, which of them a database has run, and whether the two go together.

A file `0016_name.sql` or `0016_pre_name.sql` adds: it runs before the new program, and the program before goes on with
what it made. `0016_post_name.sql` takes away: it runs once no older process is left, and older ones can't go on.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import asyncpg

from services.runtime.database import Connection

RUNTIME_MIGRATIONS = Path(__file__).parent / "migrations"
EARLIER_FORMS = "earlier.txt"
"""Beside the files, a digest and a name per line: what was edited after databases had run it."""
_OUTSIDE = "-- outside a transaction"


class Stage(StrEnum):
    """When a file runs: before the new program, or after the last of the old one."""

    PRE = "pre"
    POST = "post"


class SchemaUnfit(Exception):
    """The schema and this release don't go together; the message says what to do."""


class MigrationChanged(SchemaUnfit):
    """A file that has been applied was edited since. Restore it and put the change into a new file."""


class SchemaTooNew(SchemaUnfit):
    """A newer release took something away that this program needs. Start that release, or restore a backup."""


@dataclass(frozen=True, slots=True)
class File:
    """A migration, by the name that the database remembers: `service/0009_x.sql`."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """Give what tells this form from another one."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def is_outside(self) -> bool:
        """Say if it can't run inside a transaction: an index that is built while the table is written."""
        return self.text.startswith(_OUTSIDE)


@dataclass(frozen=True, slots=True)
class Known:
    """What a program has, in the order in which it runs within a stage, and which other forms may have run."""

    files: Mapping[str, File]
    earlier: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a schema stands to a program's files; each file by its name, in the order in which it is to run."""

    lacking: tuple[str, ...]
    """Files of before the program that the schema has not run: the program must wait for them."""
    later: tuple[str, ...]
    """Files of after the last older process that it has not run yet."""
    newer: tuple[str, ...]
    """What a newer release added: this program goes on."""
    too_new: tuple[str, ...]
    """What a newer release took away: this program can't go on."""
    revision: str
    """The newest file of each owner that the schema has run, as `service/0009 runtime/0003`."""

    def why_it_waits(self) -> str:
        """Say what the schema lacks, or nothing."""
        if not self.lacking:
            return ""
        more = f" and {len(self.lacking) - 1} more" if len(self.lacking) > 1 else ""
        return f"the schema lacks {self.lacking[0]}{more}: the job of migrations brings it"

    def refuse_what_is_too_new(self) -> None:
        """Raise SchemaTooNew where a newer release took something away."""
        if self.too_new:
            raise SchemaTooNew(
                f"the schema has run {self.too_new[0]}, which this release does not know and which takes away: start "
                "the release that brought it, or restore a backup of before"
            )


def stage_of(name: str) -> Stage:
    """Read from a file's name when it runs. The name says it, so that a program that lacks the file knows too."""
    return Stage.POST if re.match(r"\d+_post_", name.rpartition("/")[2]) else Stage.PRE


def number_of(name: str) -> int:
    """Read a file's number, its place among its owner's; 0 where it has none."""
    return int("0" + re.split(r"\D", name.rpartition("/")[2])[0])


def known_in(folder: Path) -> Known:
    """Read the runtime's files and then the folder's, each in the order of their names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of migrations at {folder}")
    files = [
        File(f"{owner.parent.name}/{file.name}", file.read_text())
        for owner in dict.fromkeys((RUNTIME_MIGRATIONS, folder))
        for file in sorted(owner.glob("*.sql"))
    ]
    return Known({file.name: file for file in files}, frozenset(earlier_forms(folder)))


def earlier_forms(folder: Path) -> set[tuple[str, str]]:
    """Read which digests beside today's the folder's files may have been applied with, as name and digest."""
    file = folder / EARLIER_FORMS
    lines = file.read_text().splitlines() if file.exists() else []
    told = [line.split() for line in lines if line and not line.startswith("#")]
    return {(f"{folder.parent.name}/{name}", digest) for digest, name in told}


def revision_of(names: Collection[str]) -> str:
    """Name the newest of each owner's files: `service/0009 runtime/0003`."""
    newest: dict[str, int] = {}
    for name in names:
        owner = name.partition("/")[0]
        newest[owner] = max(newest.get(owner, 0), number_of(name))
    return " ".join(f"{owner}/{number:04}" for owner, number in sorted(newest.items()))


def newest_numbers(revision: str) -> dict[str, int]:
    """Read a revision: each owner's newest number."""
    return {owner: int(number) for owner, _, number in (each.partition("/") for each in revision.split())}


async def standing(connection: Connection, known: Known) -> Standing:
    """Compare what the schema has run with what a program knows.

    Raises MigrationChanged where one of its files ran in a form that nobody lists.
    """
    ran = await _ran(connection)
    for name, file in known.files.items():
        if name in ran and ran[name] != file.digest and (name, ran[name]) not in known.earlier:
            raise MigrationChanged(f"{name} was edited after it was applied: restore it, and add a new file")
    to_run = [name for name in known.files if name not in ran]
    unknown = sorted(ran.keys() - known.files.keys())
    return Standing(
        lacking=tuple(name for name in to_run if stage_of(name) is Stage.PRE),
        later=tuple(name for name in to_run if stage_of(name) is Stage.POST),
        newer=tuple(name for name in unknown if stage_of(name) is Stage.PRE),
        too_new=tuple(name for name in unknown if stage_of(name) is Stage.POST),
        revision=revision_of(ran),
    )


async def _ran(connection: Connection) -> dict[str, str]:
    try:
        return {row["name"]: row["digest"] for row in await connection.fetch("SELECT name, digest FROM migration")}
    except asyncpg.UndefinedTableError:  # a schema that nobody has used yet
        return {}

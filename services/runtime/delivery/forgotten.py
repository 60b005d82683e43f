"""Who is forgotten on request, kept by key beside whatever a service keeps: so that nothing older brings them back.

Two numbers of each, and both only grow: up to which version they are forgotten, and the newest one that said that they
are known again. So words may come in any order, and as often as they like.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.runtime.columns import columns
from services.runtime.database import Connection


class Word(NamedTuple):
    """What is to be remembered of one of them; `again` -1: nobody said that they are known again."""

    kind: str
    subject: UUID
    owner: str
    version: int
    again: int
    figures: str
    forgotten_at: datetime


class Kept(NamedTuple):
    """What holds of one of them by now."""

    kind: str
    subject: UUID
    version: int
    again: int
    figures: str
    forgotten_at: datetime

    @property
    def is_forgotten(self) -> bool:
        """Tell whether nothing newer said that they are known again."""
        return self.version >= self.again


async def keep(connection: Connection, words: Sequence[Word]) -> list[Kept]:
    """Remember these words, and give what holds of each then. What was once to be erased stays so."""
    kept = []
    for word in sorted(words):
        (row,) = await connection.fetch(
            """
            INSERT INTO forgotten AS kept (kind, subject, owner, version, again, figures, forgotten_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (kind, subject) DO UPDATE
            SET version = greatest(kept.version, excluded.version), again = greatest(kept.again, excluded.again),
                figures = CASE WHEN 'erased' IN (kept.figures, excluded.figures) THEN 'erased' ELSE 'kept' END,
                forgotten_at = CASE WHEN excluded.version > kept.version THEN excluded.forgotten_at
                                    WHEN excluded.version < kept.version THEN kept.forgotten_at
                                    ELSE least(kept.forgotten_at, excluded.forgotten_at) END
            RETURNING kind, subject, version, again, figures, forgotten_at
            """,
            *word,
        )
        kept.append(Kept(row[0], UUID(bytes=row[1].bytes), *tuple(row)[2:]))
    return kept


async def read(connection: Connection, kind: str, subjects: Collection[UUID]) -> dict[UUID, Kept]:
    """Read what is remembered of these; nobody of whom nothing is."""
    rows = await connection.fetch(
        """
        SELECT kind, subject, version, again, figures, forgotten_at FROM forgotten
        WHERE kind = $1 AND subject = ANY ($2::uuid[])
        """,
        kind,
        list(subjects),
    )
    found = [Kept(row[0], UUID(bytes=row[1].bytes), *tuple(row)[2:]) for row in rows]
    return {each.subject: each for each in found}


async def end(connection: Connection, owners: Collection[tuple[str, datetime]]) -> None:
    """Remember whose contract is over."""
    await connection.execute(
        "INSERT INTO ended_owner (owner, ended_at) SELECT * FROM unnest($1::text[], $2::timestamptz[]) "
        "ON CONFLICT DO NOTHING",
        *columns(sorted(owners), width=2),
    )


async def ended(connection: Connection) -> set[str]:
    """Name everybody whose contract is over."""
    return {row[0] for row in await connection.fetch("SELECT owner FROM ended_owner")}

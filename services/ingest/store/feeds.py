"""How schools report, as far as it was told: by this the door refuses a full feed's mark of a day to come."""

from collections.abc import Mapping
from typing import NamedTuple

from services.runtime.columns import columns
from services.runtime.database import Connection

EVERY_SCHOOL = ""
"""Stands for the school in what is declared of a whole district."""

DECLARED = 0
"""Stands for the school year in what is declared; a calendar speaks of its own year."""

TellsOf = tuple[str, str, int]
"""District; school, or EVERY_SCHOOL; school year, or DECLARED."""


class Word(NamedTuple):
    """What was told of it, and in which version: the largest stands, whatever comes when."""

    version: int
    feed: str


async def keep_feeds(connection: Connection, told: Mapping[TellsOf, Word]) -> None:
    """Keep how schools report, where it is newer than what is known."""
    # Rows in one order for every writer: no deadlocks.
    ordered = sorted((*of, *word) for of, word in told.items())
    await connection.execute(
        """
        INSERT INTO feed_word AS known (district, school, school_year, version, feed)
        SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[])
        ON CONFLICT (district, school, school_year) DO UPDATE SET version = excluded.version, feed = excluded.feed
        WHERE (excluded.version, excluded.feed) > (known.version, known.feed)
        """,
        *columns(ordered, width=5),
    )


async def read_feeds(connection: Connection, *, district: str) -> dict[TellsOf, Word]:
    """Read how a district's schools report, as far as it told."""
    rows = await connection.fetch(
        "SELECT district, school, school_year, version, feed FROM feed_word WHERE district = $1", district
    )
    return {(row[0], row[1], row[2]): Word(row[3], row[4]) for row in rows}

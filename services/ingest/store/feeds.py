"""How schools report, as their districts last told: by this the door refuses a full feed's mark of a day to come."""

from collections.abc import Mapping

from contracts.events import Feed
from services.runtime.columns import columns
from services.runtime.database import Connection

EVERY_SCHOOL = ""
"""Stands for the school in what is told of a whole district."""

TellsOf = tuple[str, str]
"""District and school, or EVERY_SCHOOL."""


async def keep_feeds(connection: Connection, told: Mapping[TellsOf, Feed]) -> None:
    """Keep how schools report; what was known already is not written again."""
    # Rows in one order for every writer: no deadlocks.
    ordered = sorted((district, school, feed.value) for (district, school), feed in told.items())
    await connection.execute(
        """
        INSERT INTO told_feed AS known (district, school, feed)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
        ON CONFLICT (district, school) DO UPDATE SET feed = excluded.feed WHERE known.feed <> excluded.feed
        """,
        *columns(ordered, width=3),
    )


async def read_feeds(connection: Connection, *, district: str) -> dict[TellsOf, Feed]:
    """Read how a district's schools report, as far as it told."""
    rows = await connection.fetch("SELECT district, school, feed FROM told_feed WHERE district = $1", district)
    return {(row["district"], row["school"]): Feed(row["feed"]) for row in rows}

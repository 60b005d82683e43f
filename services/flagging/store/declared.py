"""How districts declared that their schools report, and what it makes of a school."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from services.flagging.facts import FeedDeclared
from services.flagging.rules.register import School
from services.runtime.columns import columns
from services.runtime.database import Connection

_KEEP = """
INSERT INTO declared_feed AS d (district, school, feed, closing, rosters, version)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[])
ON CONFLICT (district, school) DO UPDATE
SET feed = excluded.feed, closing = excluded.closing, rosters = excluded.rosters, version = excluded.version
WHERE (excluded.version, excluded.feed, excluded.closing, excluded.rosters)
    > (d.version, d.feed, d.closing, d.rosters)
RETURNING district"""
_READ = "SELECT district, school, feed, closing, rosters FROM declared_feed WHERE district = ANY ($1::text[])"
_LOOK_AGAIN = "UPDATE school_year SET checked_on = '-infinity' WHERE district = ANY ($1::text[])"


class Declared(NamedTuple):
    """How a school reports; `closes_by_rule`: its rolls close without a completion, three school days later."""

    feed: str | None
    enrols: bool
    closes_by_rule: bool


NOTHING = Declared(None, False, False)


async def keep(connection: Connection, feeds: Iterable[FeedDeclared]) -> None:
    """Make the newest declaration of each district and school stand; the timer applies it, a school at a time."""
    newest: dict[tuple[str, str], FeedDeclared] = {}
    for each in sorted(feeds, key=lambda each: (each.version, each.feed, each.closing, each.rosters)):
        newest[each.district, each.school or ""] = each
    rows = [(*key, each.feed, each.closing, each.rosters, each.version) for key, each in sorted(newest.items())]
    changed = await connection.fetch(_KEEP, *columns(rows, width=6))
    await look_again(connection, {row["district"] for row in changed})


async def look_again(connection: Connection, districts: Collection[str]) -> None:
    """Let the timer look at every school of these districts: something that it is judged by has changed."""
    if districts:
        await connection.execute(_LOOK_AGAIN, list(districts))


async def read(connection: Connection, schools: Collection[School]) -> dict[School, Declared]:
    """Read what is declared of these schools: their own word, else their district's."""
    rows = await connection.fetch(_READ, sorted({school.key.district for school in schools}))
    said = {(row["district"], row["school"]): row for row in rows}
    found: dict[School, Declared] = {}
    for school in schools:
        row = said.get((school.key.district, school.key.school)) or said.get((school.key.district, ""))
        found[school] = (
            NOTHING if row is None else Declared(row["feed"], not row["rosters"], row["closing"] == "third_school_day")
        )
    return found

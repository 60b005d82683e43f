"""Which landing places of each district's logs were dealt with, as ranges."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from services.flagging.rules.places import Span, by_part
from services.runtime.columns import columns
from services.runtime.database import Connection

Log = tuple[str, str]
"""District, and the name of its landing log."""

_ENTER = """
WITH given AS (
    SELECT district, log, part, places::int8multirange AS places
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS given (district, log, part, places)
), entered AS (
    INSERT INTO landing_place AS p (district, log, part, places)
    SELECT district, log, part, places FROM given ORDER BY district, log, part
    ON CONFLICT (district, log, part) DO UPDATE SET places = p.places + excluded.places
    RETURNING district, log, part, old.places AS before
)
SELECT district, log, before * given.places AS known
FROM entered JOIN given USING (district, log, part) WHERE before && given.places"""


async def enter(connection: Connection, landed: Mapping[Log, Sequence[Span]]) -> Mapping[Log, Sequence[Span]]:
    """Add landing places, and give those that were known: usually none. The districts' lanes are locked."""
    rows = [
        (*log, part, "{" + ",".join([f"[{start},{end})" for start, end in spans]) + "}")
        for log, every in landed.items()
        for part, spans in by_part(every).items()
    ]
    known: defaultdict[Log, list[Span]] = defaultdict(list)
    for district, log, again in await connection.fetch(_ENTER, *columns(rows, width=4)):
        known[district, log] += [(each.lower, each.upper) for each in again]
    return known


async def find(connection: Connection, *, district: str, log: str, place: int) -> bool:
    """Say whether a landing place was dealt with."""
    found: bool = await connection.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM landing_place WHERE district = $1 AND log = $2 AND part = $3 AND places @> $4::bigint)
        """,
        district,
        log,
        next(iter(by_part([(place, place + 1)]))),
        place,
    )
    return found

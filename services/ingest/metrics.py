"""What ingest tells of itself: what landed, what went back and why, and whether all of it is accounted for."""

from services.ingest.store import counts, measured
from services.runtime.seen.metric import counter, snapshot
from services.runtime.web.context import Context

# From the counts that move with the position: exact whatever is killed when.
LANDED = snapshot(
    "counter",
    "leap_landed_total",
    "Landed records and marks of landed rolls dealt with, by what they were",
    ["district", "kind"],
)
# Per district and closed reason: whose feed to mend, and what is wrong with it.
REJECTED = counter("leap_rejected_total", "Landed records sent back to their district", ["district", "reason"])
# A district may write only its own topics, so a foreign one in a record is a mistake worth a look, or an attack.
FOREIGN = counter(
    "leap_foreign_district_total", "Landed records that name another district than their topic's", ["district"]
)
# By offset, each once: read again, after a crash or with a position set back, a record makes no gap and hides none.
GAP = snapshot(
    "gauge", "leap_landed_gap_records", "Records that left the landing log and were not accounted for", ["district"]
)


async def measure(context: Context) -> None:
    """Read the counts and hold them against positions and books, in one snapshot of the database."""
    async with context.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        landed = await counts.list_landed_counts(connection)
        gaps = await measured.list_gaps(connection)
    LANDED.replace({(row["district"], row["kind"]): row["records"] for row in landed})
    for row in gaps:
        FOREIGN.labels(row["district"])  # known at 0, or the first one would not be seen as an increase
    GAP.replace({(row["district"],): row["missing"] + row["uncounted"] for row in gaps})

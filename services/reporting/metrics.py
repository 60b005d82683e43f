"""What reporting tells of itself: whether it knows every flag."""

from services.reporting.store import measured
from services.runtime.seen.metric import snapshot
from services.runtime.web.context import Context

# To be held against flagging's: a report that misses a child misses it for good.
FLAGS = snapshot("gauge", "leap_report_flags", "Students whose flag stands, as the reports know", ["district"])


async def measure(context: Context) -> None:
    """Count the flags."""
    async with context.pool.acquire() as connection:
        rows = await measured.known_flags(connection)
    FLAGS.replace({(row["district"],): row["flags"] for row in rows})

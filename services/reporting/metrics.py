"""What reporting tells of itself: whether it knows every flag."""

from services.reporting.store import figures
from services.runtime.context import Context
from services.runtime.metric import snapshot

# To be held against flagging's: a report that misses a child misses it for good.
FLAGS = snapshot("gauge", "leap_report_flags", "Students whose flag stands, as the reports know", ["district"])


async def measure(context: Context) -> None:
    """This will count the flags."""
    async with context.pool.acquire() as connection:
        rows = await figures.known_flags(connection)
    FLAGS.replace({(row["district"],): row["flags"] for row in rows})

"""What reporting tells of itself: whether it knows every flag."""

from services.reporting.store import measured
from services.runtime.seen.metric import about, snapshot
from services.runtime.web.context import Context

FLAGS = snapshot("gauge", "leap_report_flags", "Students whose flag stands, as the reports know, to tens", ["district"])
# To be held against flagging's: a report that misses a child misses it for good.
WHICH = snapshot(
    "gauge", "leap_report_flags_digest", "Which flags stand as the reports know, as one number", ["district"]
)


async def measure(context: Context) -> None:
    """Count the flags."""
    async with context.pool.acquire() as connection:
        rows = await measured.known_flags(connection)
    FLAGS.replace({(row["district"],): about(row["flags"]) for row in rows})
    WHICH.replace({(row["district"],): row["digest"] for row in rows})

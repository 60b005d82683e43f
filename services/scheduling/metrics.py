"""What scheduling tells of itself: who waits at the desk and how long, and whether it knows every flag."""

from datetime import timedelta

from services.runtime import clock
from services.runtime.seen.metric import about, snapshot
from services.runtime.web.context import Context
from services.scheduling.store import measured

DESK = snapshot("gauge", "leap_desk_requests", "Requests that wait for somebody, to tens", ["district", "stage"])
DESK_AGE = snapshot("gauge", "leap_desk_oldest_seconds", "Age of the oldest request that waits", ["district", "stage"])
FLAGS = snapshot("gauge", "leap_desk_flags", "Students whose flag stands, as the desk knows, to tens", ["district"])
# To be held against flagging's: a flag that never came here is a child nobody visits.
WHICH = snapshot("gauge", "leap_desk_flags_digest", "Which flags stand as the desk knows, as one number", ["district"])
# Disclosures of personal data; a jump is somebody copying an address book.
SHOWN = snapshot("gauge", "leap_contacts_shown_last_hour", "Contact data shown in an hour, to tens", ["district"])


async def measure(context: Context) -> None:
    """Count what waits at the desk."""
    now = clock.now()
    async with context.pool.acquire() as connection:
        desk = await measured.desk_by_stage(connection, as_of=now)
        flags = await measured.known_flags(connection)
        shown = await measured.contacts_shown(connection, since=now - timedelta(hours=1))
    DESK.replace({(row["district"], row["stage"]): about(row["requests"]) for row in desk})
    DESK_AGE.replace({(row["district"], row["stage"]): row["oldest_seconds"] for row in desk})
    FLAGS.replace({(row["district"],): about(row["flags"]) for row in flags})
    WHICH.replace({(row["district"],): row["digest"] for row in flags})
    SHOWN.replace({(row["district"],): about(row["shown"]) for row in shown})

"""Scheduling, as a table: what it reads and what it offers."""

from pathlib import Path

from services.runtime.service import Service
from services.runtime.subscription import Subscription
from services.scheduling import metrics
from services.scheduling.api import routes
from services.scheduling.handlers import decode, on_events

EVENTS = Subscription(
    group="leap-scheduling",
    topics=("absence-flags", "household-contacts", "visit-log"),
    decode=decode,
    handle=on_events,
)

service = Service(
    name="scheduling",
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    subscriptions=(EVENTS,),
    routes=routes,
)

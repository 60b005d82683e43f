"""Reporting, as a table: what it reads and what it offers."""

from pathlib import Path

from services.reporting import metrics
from services.reporting.api import routes
from services.reporting.handlers import decode, on_events
from services.runtime.service import Service
from services.runtime.subscription import Subscription

EVENTS = Subscription(
    group="leap-reporting",
    topics=("absence-flags", "home-visits", "visit-log", "student-months", "school-days"),
    decode=decode,
    handle=on_events,
)

service = Service(
    name="reporting",
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    subscriptions=(EVENTS,),
    routes=routes,
)

"""Visit log, as a table: what it reads and what it offers."""

from pathlib import Path

from services.runtime.service import Service
from services.runtime.subscription import Subscription
from services.visitlog.api import routes
from services.visitlog.handlers.arrivals import decode, on_events

EVENTS = Subscription(
    group="leap-visitlog",
    topics=("home-visits", "household-contacts", "school-calendar", "visitors"),
    decode=decode,
    handle=on_events,
)

service = Service(
    name="visitlog",
    migrations=Path(__file__).parent / "migrations",
    subscriptions=(EVENTS,),
    routes=routes,
)

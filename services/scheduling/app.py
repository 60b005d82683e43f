"""Scheduling, as a table: what it reads, what it does by itself, and what it offers."""

from pathlib import Path

from contracts.access import ROUTES
from contracts.topics import COMPACTED
from services.runtime.delivery import letting_go
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service, Timer
from services.scheduling import metrics
from services.scheduling.api import routes
from services.scheduling.handlers import forgetting
from services.scheduling.handlers.arrivals import decode, on_events
from services.scheduling.handlers.follow_ups import open_follow_ups
from services.scheduling.handlers.pricing import price_waiting
from services.scheduling.handlers.taking_back import OWN
from services.scheduling.pages import desk_pages

EVENTS = Subscription(
    group="leap-scheduling",
    topics=("flags", "absence-flags", "household-contacts", "calendars", "school-calendar", "visit-log", "forgotten"),
    decode=decode,
    handle=on_events,
    compacted=COMPACTED,
    # Requests stay locked while their batch runs, and people wait for them: short batches.
    max_records=1000,
)


service = Service(
    name="scheduling",
    access=ROUTES["scheduling"],
    keeps_apart=True,
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    own_words=OWN,
    subscriptions=(EVENTS,),
    timers=(
        Timer(name="price waiting", every_seconds=300, run=price_waiting),
        Timer(name="open follow-ups", every_seconds=60, run=open_follow_ups),
        Timer(name="keep forgotten", every_seconds=forgetting.EVERY_SECONDS, run=forgetting.keep_forgotten),
        Timer(name="let go what is too old", every_seconds=letting_go.EVERY_SECONDS, run=forgetting.let_go),
    ),
    routes=routes,
    pages=desk_pages,
)

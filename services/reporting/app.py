"""Reporting, as a table: what it reads and what it offers."""

from pathlib import Path

import fastapi

from contracts.access import ROUTES
from contracts.topics import COMPACTED
from services.reporting import metrics
from services.reporting.api import effect, held, tables
from services.reporting.handlers import decode, keep_forgotten, let_go, on_events
from services.reporting.pages import readers
from services.reporting.reports.reading import Reading, publish_due
from services.runtime.delivery import letting_go
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service, Timer
from services.runtime.web.context import Context

EVENTS = Subscription(
    group="leap-reporting",
    topics=(
        "flags",
        "school-months",
        "day-tallies",
        "home-visits",
        "visit-log",
        "visitors",
        "district-policies",
        "forgotten",
        # What was told before the three first, and stays true where they say nothing newer.
        "absence-flags",
        "student-months",
        "school-days",
    ),
    decode=decode,
    handle=on_events,
    compacted=COMPACTED,
)

# What was published stays word for word: no event could bring it back, and a rebuild takes it over as it is.
NOT_FROM_EVENTS = ("release",)

# What two workers did at the same moment, each without seeing the other.
KEEP_FORGOTTEN = Timer(name="keep forgotten", every_seconds=120, run=keep_forgotten, in_copies=True)

LET_GO = Timer(name="let go what is too old", every_seconds=letting_go.EVERY_SECONDS, run=let_go)

# Soon enough for what is published once a month, also where a simulated month passes in two minutes.
PUBLICATION = Timer(name="publication", every_seconds=20, run=publish_due)


def routes(context: Context) -> fastapi.APIRouter:
    """Offer the reports under /v1."""
    reading = Reading(context)
    router = fastapi.APIRouter()
    router.include_router(tables.routes(reading))
    router.include_router(effect.routes(reading))
    router.include_router(held.routes(context))
    return router


service = Service(
    name="reporting",
    access=ROUTES["reporting"],
    keeps_apart=True,
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    subscriptions=(EVENTS,),
    timers=(PUBLICATION, KEEP_FORGOTTEN, LET_GO),
    routes=routes,
    pages=readers.reader_pages,
)

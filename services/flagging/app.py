"""Flagging as a table: topics to handlers, timers, routes."""

from pathlib import Path

from contracts.access import ROUTES
from contracts.topics import COMPACTED
from services.flagging import api, metrics
from services.flagging.handlers import forgetting
from services.flagging.handlers.arrivals import decode, on_facts
from services.flagging.handlers.settling import judge_due, settle
from services.runtime.delivery import letting_go
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service, Timer

FACTS = Subscription(
    group="leap-flagging",
    # One subscription for all: a worker owns the same partition number of each, so a district has one writer. The first
    # three are of before, by student: nobody writes them any more, and they are read for as long as they are kept.
    topics=(
        "attendance",
        "enrollments",
        "school-calendar",
        "rolls",
        "rosters",
        "calendars",
        "district-policies",
        "district-statuses",
        "transfers",
        "forgotten",
    ),
    decode=decode,
    handle=on_facts,
    compacted=COMPACTED,
)

service = Service(
    name="flagging",
    access=ROUTES["flagging"],
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    subscriptions=(FACTS,),
    timers=(
        Timer(name="settle", every_seconds=1.0, run=settle),
        Timer(name="judge", every_seconds=1.0, run=judge_due),
        Timer(name="keep forgotten", every_seconds=120.0, run=forgetting.keep_forgotten, in_copies=True),
        Timer(name="let go what is too old", every_seconds=letting_go.EVERY_SECONDS, run=forgetting.let_go),
    ),
    routes=api.routes,
)

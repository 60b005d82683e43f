"""Flagging as a table: topics to handlers, timers, routes."""

from pathlib import Path

from services.flagging import api, handlers, metrics
from services.runtime.delivery.subscription import Subscription
from services.runtime.service import Service, Timer

FACTS = Subscription(
    group="leap-flagging",
    # One subscription for all three: a worker owns the same partition number of each, so a student has one writer.
    topics=("attendance", "enrollments", "school-calendar"),
    decode=handlers.decode,
    handle=handlers.on_facts,
)

service = Service(
    name="flagging",
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    subscriptions=(FACTS,),
    timers=(
        Timer(name="tallies", every_seconds=1.0, run=handlers.publish_tallies),
        Timer(name="months", every_seconds=10.0, run=handlers.close_months),
        Timer(name="judge", every_seconds=1.0, run=handlers.judge_due),
    ),
    routes=api.routes,
)

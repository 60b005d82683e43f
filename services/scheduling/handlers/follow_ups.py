"""What a day brings without anybody acting: promises that are due, follow-ups of logged visits."""

from datetime import date, datetime
from typing import Any

import asyncpg

from contracts import events
from contracts.calendar import local_day
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context
from services.scheduling.handlers.changes import change, emit, facts_of
from services.scheduling.handlers.pricing import price, price_one
from services.scheduling.rules import visits
from services.scheduling.rules.visits import ClosingReason, PromiseDue, Request, Stage, What
from services.scheduling.store import desk, logs

ROUND = 200
"""Requests looked at in one transaction."""


async def open_follow_ups(context: Context) -> None:
    """Keep the promises whose day has come, then take up what was logged so long ago that it is time."""
    as_of = clock.now()
    seen = ROUND
    while seen == ROUND:
        async with context.begin() as tx:
            seen = await keep_due_promises(tx, as_of=as_of)
    seen = ROUND
    while seen == ROUND:
        async with context.begin() as tx:
            seen = await take_up_follow_ups(tx, as_of=as_of)


async def keep_due_promises(tx: Transaction, *, as_of: datetime) -> int:
    """Open, or put on top, the requests of families who were promised something for today or before.

    Returns how many promises were looked at, a round at most.
    """
    today = local_day(as_of, zone=tx.zone)
    due = await logs.due_promises(tx.connection, today=today, limit=ROUND)
    for promise in due:
        state = await _keep(tx, promise, today=today, as_of=as_of)
        await logs.settle_promise(
            tx.connection, log_id=promise["log_id"], kind=promise["kind"], due=promise["due"], state=state
        )
    return len(due)


async def _keep(tx: Transaction, promise: asyncpg.Record, *, today: date, as_of: datetime) -> str:
    request = await logs.newest_request(tx.connection, promise["household_key"])
    what = visits.on_promise_due(request=request, today=today)
    if request is None or what in (PromiseDue.DROPPED, PromiseDue.KEPT):
        return what.value
    due, kind = promise["due"], promise["kind"]
    if what is PromiseDue.OPENED:
        opened = await logs.open_promised_request(
            tx.connection, like=request, due=due, kind=kind, today=today, as_of=as_of
        )
        await _tell_opened(tx, opened, as_of)
        await price(tx, [opened.request_id], as_of=as_of)
        return "opened"

    queued = request.stage in visits.QUEUED
    anew = {} if queued else _anew(today, as_of)
    saved = await change(
        tx,
        request,
        what=What.FOLLOW_UP_DUE,
        actor=None,
        as_of=as_of,
        detail={"promise_due": due.isoformat(), "kind": kind},
        stage=request.stage if queued else Stage.CONTACTING,
        pinned=True,
        promise_due=due,
        promise_kind=kind,
        contact_again_on=None,
        **anew,
    )
    await price_one(tx, saved, as_of=as_of)
    return "opened"


def _anew(today: date, as_of: datetime) -> dict[str, Any]:
    # A new round with the family: its targets and its tries count from today.
    return {
        "follow_up_on": None,
        "contacted_at": None,
        "tries_from": as_of,
        "aged_from": today,
        "waiting_on_family": (),
        "claimed_by": None,
        "claimed_until": None,
    }


async def _tell_opened(tx: Transaction, opened: Request, as_of: datetime) -> None:
    students = await desk.students(tx.connection, opened.household_key)
    if not students:
        return
    emit(
        tx,
        events.VisitRequested(
            **facts_of(opened, "visit.requested.v1", as_of),
            school=opened.school,
            students=tuple(events.FlaggedStudent.model_validate(student) for student in students),
        ),
    )


async def take_up_follow_ups(tx: Transaction, *, as_of: datetime) -> int:
    """Ask families again whose child is still flagged, and close where the goal is met.

    Returns how many requests were looked at, a round at most.
    """
    today = local_day(as_of, zone=tx.zone)
    due = await logs.follow_ups_due(tx.connection, today=today, limit=ROUND)
    for request, flagged, year_over in due:
        stage = visits.stage_on_follow_up_day(promised=False, flagged=flagged)
        if stage is Stage.CLOSED:
            # A flag that ended with its year says nothing of a goal.
            because = ClosingReason.YEAR_OVER if year_over else ClosingReason.GOAL_MET
            await change(
                tx,
                request,
                what=What.CLOSED,
                actor=None,
                as_of=as_of,
                detail={"because": because.value},
                stage=stage,
                closed_because=because.value,
                closed_at=as_of,
                follow_up_on=None,
                claimed_by=None,
                claimed_until=None,
            )
            continue
        saved = await change(
            tx, request, what=What.FOLLOW_UP_DUE, actor=None, as_of=as_of, stage=stage, **_anew(today, as_of)
        )
        await price_one(tx, saved, as_of=as_of)
    return len(due)

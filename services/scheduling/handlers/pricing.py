"""Points and due days of requests, kept with them so that an index can serve the queue."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg

from contracts.calendar import SchoolDays, local_day
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context
from services.scheduling.rules import ageing, priority
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import Request, Stage
from services.scheduling.store import calendars, changes, policies, pricing
from services.scheduling.store.pricing import Price


async def price(tx: Transaction, request_ids: Sequence[UUID], *, as_of: datetime) -> None:
    """Price these requests anew: after a flag, an answer, a promise, or a new rule."""
    if not request_ids:
        return
    rows = await pricing.inputs_of(tx.connection, request_ids)
    districts = sorted({row["district"] for row in rows})
    calendar_by_district = await calendars.of_districts(tx.connection, districts)
    policy_by_district = await policies.of_districts(tx.connection, districts)
    today = local_day(as_of, zone=tx.zone)

    prices = [
        _price(row, today, calendar_by_district[row["district"]], policy_by_district[row["district"]]) for row in rows
    ]

    await pricing.save_prices(tx.connection, prices)


def _price(row: asyncpg.Record, today: date, calendar: SchoolDays, policy: Policy) -> Price:
    due_on, days_beyond = _waited(
        stage=Stage(row["stage"]),
        contacted=row["contacted"],
        since=row["aged_from"],
        pauses=pricing.pauses_of(row["waiting_on_family"]),
        today=today,
        calendar=calendar,
        policy=policy,
    )
    inputs = priority.Inputs(
        children=tuple(priority.child_of(child) for child in json.loads(row["children"])),
        promise_due=row["promise_due"] if row["pinned"] else None,
        promise_kind=row["promise_kind"] if row["pinned"] else None,
    )
    points_by_child = {str(child.student_key): priority.points_of(child, policy.weights) for child in inputs.children}
    base = priority.household_points(points_by_child.values(), policy.weights)
    return Price(
        request_id=row["request_id"],
        base_points=base,
        waiting_points=priority.waiting_points(days_beyond, policy.weights),
        days_beyond=days_beyond,
        due_on=due_on,
        priority={
            **priority.to_json(inputs),
            "points": {"base": base, "by_child": points_by_child},
            "policy_version": policy.version,
            "priced_on": today.isoformat(),
        },
        rule_version=priority.RULE_VERSION,
        policy_version=policy.version,
    )


def _waited(
    *,
    stage: Stage,
    contacted: bool,
    since: date,
    pauses: Sequence[ageing.Pause],
    today: date,
    calendar: SchoolDays,
    policy: Policy,
) -> tuple[date | None, int]:
    target = ageing.target_days(stage=stage, contacted=contacted, policy=policy)
    if target is None:
        return None, 0
    due_on = ageing.due_day(since=since, target=target, pauses=pauses, calendar=calendar)
    return due_on, ageing.days_beyond(due_on=due_on, today=today, pauses=pauses, calendar=calendar)


async def price_one(tx: Transaction, request: Request, *, as_of: datetime) -> Request:
    """Price a locked request anew and return it as it stands then."""
    await price(tx, [request.request_id], as_of=as_of)
    standing = await changes.find_request(tx.connection, request.request_id)
    assert standing is not None, "the request is locked, so it is there"
    return standing


async def price_waiting(context: Context) -> None:
    """Bring what waiting counts for up to today: the points of the queue move on while nobody does.

    Also requests that an older rule or policy priced. A round at a time, so that no claim waits for long.
    """
    as_of = clock.now()
    while True:
        async with context.begin() as tx:
            stale = await pricing.unpriced(tx.connection, rule_version=priority.RULE_VERSION)
            await price(tx, stale, as_of=as_of)
        if len(stale) < pricing.ROUND:
            break

    async with context.begin() as tx:
        judged = await _judge_waits(tx, today=local_day(as_of, zone=tx.zone))
    changed = pricing.ROUND
    while changed == pricing.ROUND:
        async with context.begin() as tx:
            changed = await pricing.save_waits(tx.connection, judged)


async def _judge_waits(tx: Transaction, *, today: date) -> list[tuple[pricing.Wait, date | None, int, int]]:
    waits = await pricing.waits(tx.connection)
    districts = sorted({wait.district for wait in waits})
    calendar_by_district = await calendars.of_districts(tx.connection, districts)
    policy_by_district = await policies.of_districts(tx.connection, districts)
    judged = []
    for wait in waits:
        policy = policy_by_district[wait.district]
        due_on, days_beyond = _waited(
            stage=Stage.NEW,
            contacted=wait.contacted,
            since=wait.aged_from,
            pauses=wait.pauses,
            today=today,
            calendar=calendar_by_district[wait.district],
            policy=policy,
        )
        judged.append((wait, due_on, days_beyond, priority.waiting_points(days_beyond, policy.weights)))
    return judged

"""Points and due days of requests, kept with them so that an index can serve the queue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

import asyncpg

from contracts.calendar import SchoolDays, local_day
from services.runtime import clock
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context
from services.scheduling.rules import ageing, priority
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import QUEUED, Request, Stage
from services.scheduling.store import calendars, changes, policies, pricing
from services.scheduling.store.pricing import Price, Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What waiting comes to in some districts today; whoever has waited alike is judged once."""

    today: date
    calendar_by_district: Mapping[str, SchoolDays]
    policy_by_district: Mapping[str, Policy]
    judged: dict[tuple[Wait, bool], tuple[date | None, int]] = field(default_factory=dict)

    def judge(self, wait: Wait, *, stage: Stage) -> tuple[date | None, int]:
        """Give the day on which the target is reached, if one stands, and the school days beyond it."""
        key = wait, stage in QUEUED
        if key not in self.judged:
            self.judged[key] = self._judge(wait, stage)
        return self.judged[key]

    def _judge(self, wait: Wait, stage: Stage) -> tuple[date | None, int]:
        calendar, policy = self.calendar_by_district[wait.district], self.policy_by_district[wait.district]
        target = ageing.target_days(stage=stage, contacted=wait.contacted, policy=policy)
        if target is None:
            return None, 0
        due_on = ageing.due_day(since=wait.aged_from, target=target, pauses=wait.pauses, calendar=calendar)
        return due_on, ageing.days_beyond(due_on=due_on, today=self.today, pauses=wait.pauses, calendar=calendar)


async def price(tx: Transaction, request_ids: Sequence[UUID], *, as_of: datetime) -> None:
    """Price these requests anew: after a flag, an answer, a promise, or a new rule."""
    if request_ids:
        await price_locked(tx, await pricing.lock_inputs(tx.connection, request_ids), as_of=as_of)


async def price_locked(tx: Transaction, rows: Sequence[asyncpg.Record], *, as_of: datetime) -> None:
    """Price requests anew that this transaction has locked. Rows: their `pricing.INPUTS`."""
    if not rows:
        return
    children_by_household = await pricing.flagged_children(tx.connection, [row["household_key"] for row in rows])
    waited = await _waits_of(tx, {row["district"] for row in rows}, today=local_day(as_of, zone=tx.zone))

    prices = [_price(row, children_by_household.get(row["household_key"], []), waited) for row in rows]

    await pricing.save_prices(tx.connection, prices)


def _price(row: asyncpg.Record, children: Sequence[priority.Child], waited: Waits) -> Price:
    policy = waited.policy_by_district[row["district"]]
    due_on, days_beyond = waited.judge(
        pricing.Wait(row["district"], row["aged_from"], row["contacted"], pricing.pauses_of(row["waiting_on_family"])),
        stage=Stage(row["stage"]),
    )
    inputs = priority.Inputs(
        children=tuple(children),
        promise_due=row["promise_due"] if row["pinned"] else None,
        promise_kind=row["promise_kind"] if row["pinned"] else None,
    )
    points_by_child = {str(child.student_key): priority.points_of(child, policy.weights) for child in children}
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
            "priced_on": waited.today.isoformat(),
        },
        rule_version=priority.RULE_VERSION,
        policy_version=policy.version,
    )


async def _waits_of(tx: Transaction, districts: Iterable[str], *, today: date) -> Waits:
    named = sorted(districts)
    return Waits(
        today=today,
        calendar_by_district=await calendars.of_districts(tx.connection, named),
        policy_by_district=await policies.of_districts(tx.connection, named, day=today),
    )


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
            stale = await pricing.unpriced(
                tx.connection, rule_version=priority.RULE_VERSION, day=local_day(as_of, zone=tx.zone)
            )
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
    waited = await _waits_of(tx, {wait.district for wait in waits}, today=today)
    judged = []
    for wait in waits:
        due_on, days_beyond = waited.judge(wait, stage=Stage.NEW)
        weights = waited.policy_by_district[wait.district].weights
        judged.append((wait, due_on, days_beyond, priority.waiting_points(days_beyond, weights)))
    return judged

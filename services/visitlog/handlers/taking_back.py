"""What the visit log told and its restored tables do not know, taken back: logs, what they promised, referrals.

Notes, the family's words, amendments and who was shown what are in no event, so they don't come back. A phone or a
person that sends the same log again completes it (`logs.put_log`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from services.runtime.delivery import positions
from services.runtime.delivery.own_words import OwnWords, Topics, events_of
from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction
from services.visitlog.handlers import arrivals
from services.visitlog.handlers.logs import VISIT_LOG
from services.visitlog.rules import form
from services.visitlog.rules.form import OUTCOME_TOLD, PLACE_TOLD, FollowUp, Log, LoggedEffort, Referral, ReferralStatus
from services.visitlog.store import logs, taking_back

GROUP = "leap-visitlog"
AGREED = ("home-visits",)

_OWN: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        events.VisitCompleted
        | events.VisitAttempted
        | events.LogAmended
        | events.FollowUpPromised
        | events.ReferralMade,
        Field(discriminator="event_type"),
    ]
)
_OUTCOME = {as_told: outcome for outcome, as_told in reversed(list(OUTCOME_TOLD.items()))}
_PLACE = {as_told: place for place, as_told in PLACE_TOLD.items()}


@dataclass(slots=True)
class _Told:
    """What was told of one log."""

    at_the_door: events.VisitCompleted | events.VisitAttempted | None = None
    promised: events.FollowUpPromised | None = None
    referrals: dict[UUID, list[events.ReferralMade]] = field(default_factory=dict)


async def unknown(connection: asyncpg.Connection, records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
    """Give the records of logs, and of steps of referrals, that the tables do not know."""
    read = events_of(_OWN, records)
    known = await taking_back.known_logs(connection, {event.log_id for _, event in read})
    steps = await taking_back.known_steps(connection, {event.log_id for _, event in read})

    def is_known(event: Any) -> bool:
        if isinstance(event, events.ReferralMade):
            return (event.referral_id, event.status) in steps
        return event.log_id in known

    return [record for record, event in read if not is_known(event)]


async def take_back(tx: Transaction, topics: Topics) -> dict[str, int]:
    """Take back the logs that were told; the visits that they are of come from the desk's topic first."""
    told: defaultdict[UUID, _Told] = defaultdict(_Told)
    async for records in topics.read(OWN.topics):
        for _, event in events_of(_OWN, await unknown(tx.connection, records)):
            _take(told[event.log_id], event)
    if not told:
        return {"logs": 0}

    since = await positions.stored(tx.connection, GROUP)
    async for records in topics.read(AGREED, since=since):
        await arrivals.on_events(tx, [Delivery(record, arrivals.decode(record)) for record in records])
    new = {log_id: each for log_id, each in told.items() if each.at_the_door is not None}
    for log_id, each in new.items():
        await _write(tx, log_id, each)
    moved = [each for log in told.values() for steps in log.referrals.values() for each in steps]
    await taking_back.add_steps(tx.connection, sorted(moved, key=lambda each: each.occurred_at))
    return {"logs": len(new), "referrals moved on": len(moved)}


def _take(told: _Told, event: Any) -> None:
    match event:
        case events.VisitCompleted() | events.VisitAttempted():
            told.at_the_door = event
        case events.FollowUpPromised():
            told.promised = event
        case events.ReferralMade() if event.referral_id is not None:
            told.referrals.setdefault(event.referral_id, []).append(event)


async def _write(tx: Transaction, log_id: UUID, told: _Told) -> None:
    said = told.at_the_door
    assert said is not None
    in_order = sorted(told.referrals, key=lambda each: _place_of(log_id, each, len(told.referrals)))
    log = Log(
        visit_id=said.visit_id,
        outcome=_OUTCOME[said.outcome],
        started_at=said.started_at,
        ended_at=said.ended_at if isinstance(said, events.VisitCompleted) else None,
        pair=list(said.pair),
        place=_PLACE[said.place] if said.place else None,
        language=said.language if isinstance(said, events.VisitCompleted) else None,
        efforts=tuple(LoggedEffort(**effort.model_dump()) for effort in said.efforts),
        follow_up=FollowUp(due=told.promised.due, kind=told.promised.kind) if told.promised else None,
        referrals=[
            Referral(resource=steps[0].resource, status=ReferralStatus(steps[0].status))
            for steps in (told.referrals[each] for each in in_order)
        ],
    )
    by: dict[str, Any] = {"actor": taking_back.NOBODY, "as_of": said.occurred_at}
    if await logs.insert_log(tx.connection, log_id=log_id, log=log, efforts=said.efforts, **by):
        await logs.insert_referrals(tx.connection, log_id=log_id, referrals=log.referrals, **by)


def _place_of(log_id: UUID, referral_id: UUID, most: int) -> int:
    """Tell which of a log's referrals this one is."""
    return next((n for n in range(most) if form.referral_id_of(log_id, n) == referral_id), most)


OWN = OwnWords(topics=(VISIT_LOG,), unknown=unknown, take_back=take_back)

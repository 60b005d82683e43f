"""A log is written once, added to, and its referrals move on; each is an event that carries codes and numbers only."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from contracts import events
from contracts.calendar import local_day
from contracts.events import Effort, Outcome
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.visitlog.handlers import access
from services.visitlog.rules import form, outcomes
from services.visitlog.rules.form import Log, ReferralStatus
from services.visitlog.rules.policy import check_extra
from services.visitlog.store import logs, office

VISIT_LOG = "visit-log"

_Told = events.VisitCompleted | events.VisitAttempted | events.FollowUpPromised | events.ReferralMade


async def write_log(tx: Transaction, *, log_id: UUID, log: Log, person: Person, as_of: datetime) -> bool:
    """Write a log once: True the first time, False for the same log again.

    Raises LogDiffers (another log under this id), VisitLogged (another id for this visit), VisitUnknown, LogInvalid.
    """
    body = log.in_one_spelling()
    # Before the rules: a repeat of an accepted log is accepted, whatever the clock says by now.
    standing = await logs.find_log(tx.connection, log_id)
    if standing is not None:
        return _same(standing, body, person)
    visit = await access.visit_of(tx.connection, log.visit_id, person, lock=True)
    await _check(tx, log=log, visit=visit, as_of=as_of)
    for other in await logs.logs_of_visit(tx.connection, log.visit_id):
        if other["log_id"] != log_id and outcomes.is_same_door(
            standing_outcome=other["outcome"], standing_started_at=other["started_at"], started_at=log.started_at
        ):
            raise outcomes.VisitLogged(log_id=other["log_id"])

    efforts = form.efforts_of(log)
    inserted = await logs.insert_log(
        tx.connection,
        log_id=log_id,
        visit_id=log.visit_id,
        outcome=log.outcome.value,
        started_at=log.started_at,
        ended_at=log.ended_at,
        pair=log.pair,
        efforts=efforts,
        body=body,
        written_at=min(log.written_at or as_of, as_of),
        actor=person.name,
        as_of=as_of,
    )
    if not inserted:  # another request with this id was faster, and has committed by now
        standing = await logs.find_log(tx.connection, log_id)
        return _same(standing, body, person)
    referrals = [
        (form.referral_id_of(log_id, position), referral.resource, referral.status.value)
        for position, referral in enumerate(log.referrals)
    ]
    await logs.insert_referrals(tx.connection, log_id=log_id, referrals=referrals, actor=person.name, as_of=as_of)
    for event in _events_of(log=log, log_id=log_id, visit=visit, efforts=efforts, as_of=as_of):
        _tell(tx, event)
    return True


async def _check(tx: Transaction, *, log: Log, visit: asyncpg.Record, as_of: datetime) -> None:
    outcomes.check_log(
        outcome=log.outcome.value,
        started_at=log.started_at,
        ended_at=log.ended_at,
        pair=log.pair,
        follow_up_due=log.follow_up.due if log.follow_up else None,
        as_of=as_of,
        zone=tx.zone,
        efforts_of=[effort.visitor_id for effort in log.efforts],
        promises_due=[promise.due for promise in log.promises],
        of_a_visit_only=log.of_a_visit_only(),
    )
    substitutes = sorted(set(log.pair) - set(visit["pair"]))
    outcomes.check_substitutes(
        pair=log.pair,
        agreed_pair=visit["pair"],
        trainings=await logs.find_trainings(tx.connection, substitutes) if substitutes else [],
        district=visit["district"],
        visited_on=local_day(log.started_at, zone=tx.zone),
    )
    if log.extra:
        check_extra(extra=log.extra, versions=await office.list_policies(tx.connection, visit["district"]))


def _same(standing: asyncpg.Record | None, body: str, person: Person) -> bool:
    if standing is None or not access.may_see_log(person, standing):
        raise outcomes.LogUnknown
    # Spelt anew: a log that was written before the form had a field is the same log with that field empty.
    if Log.model_validate_json(standing["body"]).in_one_spelling() != body:
        raise outcomes.LogDiffers(standing=readable_body(standing, person), sent=json.loads(body))
    return False


def readable_body(log: asyncpg.Record, person: Person) -> dict[str, Any]:
    """Read a log's body; the private note is for whoever wrote it and for the coordinator."""
    body = Log.model_validate_json(log["body"]).model_dump(mode="json", exclude={"written_at"})
    if person.name != log["logged_by"] and not access.is_office(person, log["district"]):
        body["private_note"] = None
    return body


def _tell(tx: Transaction, event: events.LogAmended | _Told) -> None:
    # Keyed by household, as its request and visits are.
    tx.emit(topic=VISIT_LOG, key=str(event.household_key), event=event)


def _facts(event_type: str, *, log_id: UUID, of: Any, as_of: datetime) -> dict[str, Any]:
    return {
        "event_id": uuid4(),
        "event_type": event_type,
        "occurred_at": as_of,
        "district": of["district"],
        "household_key": of["household_key"],
        "visit_id": of["visit_id"],
        "log_id": log_id,
    }


def _events_of(
    *, log: Log, log_id: UUID, visit: asyncpg.Record, efforts: tuple[Effort, ...], as_of: datetime
) -> list[_Told]:
    told: list[_Told] = []
    at_the_door: dict[str, Any] = {
        "outcome": log.outcome,
        "started_at": log.started_at,
        "pair": (log.pair[0], log.pair[1]),
        "place": log.place or visit["place"],
        "efforts": efforts,
    }
    if log.outcome is Outcome.TOOK_PLACE:
        at_the_door |= {"ended_at": log.ended_at, "language": log.language or visit["language"]}
        facts = _facts("visit.completed.v1", log_id=log_id, of=visit, as_of=as_of)
        told.append(events.VisitCompleted(**facts, **at_the_door))
    else:
        facts = _facts("visit.attempted.v1", log_id=log_id, of=visit, as_of=as_of)
        told.append(events.VisitAttempted(**facts, **at_the_door))
    if log.follow_up is not None:
        facts = _facts("follow-up.promised.v1", log_id=log_id, of=visit, as_of=as_of)
        told.append(events.FollowUpPromised(**facts, due=log.follow_up.due, kind=log.follow_up.kind))
    for position, referral in enumerate(log.referrals):
        facts = _facts("referral.made.v1", log_id=log_id, of=visit, as_of=as_of)
        made: dict[str, Any] = {"resource": referral.resource, "status": referral.status.value}
        told.append(events.ReferralMade(**facts, **made, referral_id=form.referral_id_of(log_id, position)))
    return told


async def amend_log(
    tx: Transaction, *, log_id: UUID, amendment_id: UUID | None, note: str, person: Person, as_of: datetime
) -> tuple[int, bool]:
    """Add a note to a log: its number, from 1, and whether it is new. The note is in no event.

    Raises LogUnknown.
    """
    log = await access.log_of(tx.connection, log_id, person, lock=True)

    number, is_new = await logs.append_amendment(
        tx.connection, log_id=log_id, amendment_id=amendment_id, note=note, actor=person.name, as_of=as_of
    )
    if is_new:
        facts = _facts("visit-log.amended.v1", log_id=log_id, of=log, as_of=as_of)
        _tell(tx, events.LogAmended(**facts, amendment=number))
    return number, is_new


async def move_referral(
    tx: Transaction, *, log_id: UUID, referral_id: UUID, status: ReferralStatus, person: Person, as_of: datetime
) -> bool:
    """Add a referral's next step; False when it stands there already.

    Raises LogUnknown, or ReferralBackwards.
    """
    log = await access.log_of(tx.connection, log_id, person, lock=True)
    referral = await logs.find_referral(tx.connection, log_id=log_id, referral_id=referral_id)
    if referral is None:
        raise outcomes.LogUnknown
    if not outcomes.check_referral_change(standing=referral["status"], status=status.value):
        return False

    await logs.append_referral_step(
        tx.connection,
        referral_id=referral_id,
        step=referral["step"] + 1,
        status=status.value,
        actor=person.name,
        as_of=as_of,
    )
    facts = _facts("referral.made.v1", log_id=log_id, of=log, as_of=as_of)
    moved: dict[str, Any] = {"resource": referral["resource"], "status": status.value}
    _tell(tx, events.ReferralMade(**facts, **moved, referral_id=referral_id))
    return True

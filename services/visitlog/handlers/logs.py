"""A log is written once, added to, and its referrals move on; each is an event that carries codes and numbers only."""

import json
from typing import Any
from uuid import UUID

import asyncpg

from contracts import events
from contracts.calendar import local_day
from contracts.events import Effort
from contracts.identities import identity
from services.runtime.web.people import Person
from services.visitlog.handlers import access
from services.visitlog.handlers.acts import Act, Done
from services.visitlog.rules import form, outcomes
from services.visitlog.rules.form import OUTCOME_TOLD, PLACE_TOLD, AmendmentCommand, Log, Outcome, ReferralCommand
from services.visitlog.rules.policy import check_extra
from services.visitlog.store import forgetting, logs, office
from services.visitlog.store.taking_back import NOBODY

VISIT_LOG = "visit-log"

_Told = (
    events.VisitCompleted | events.VisitAttempted | events.FollowUpPromised | events.ReferralMade | events.LogAmended
)


async def put_log(act: Act, log: Log, log_id: UUID) -> Done:
    """Write the log: 201 the first time, 200 for the same log again, 409 for another one.

    Raises LogDiffers (another log under this id), VisitLogged (another id for this visit), VisitUnknown, LogInvalid.
    """
    told: dict[str, Any] = {"log_id": log_id, "visit_id": log.visit_id}
    if await forgetting.is_wordless(act.connection, log_id=log_id, visit_id=log.visit_id):
        # A phone that was offline meanwhile: what two people did is taken, and none of what the family said.
        log = log.without_words()
        told |= {"words": "not kept"}
    body = log.in_one_spelling()
    # Before the rules: a repeat of an accepted log is accepted, whatever the clock says by now.
    standing = await logs.find_log(act.connection, log_id)
    if standing is not None:
        if not await _completes(act, standing, log, log_id):
            _check_same(standing, body, act.person)
        return Done(told, is_new=False)
    visit = await access.visit_of(act, log.visit_id, lock=True)
    await _check(act, log=log, visit=visit)
    for other in await logs.logs_of_visit(act.connection, log.visit_id):
        if other["log_id"] != log_id and outcomes.is_same_door(
            standing_outcome=other["outcome"], standing_started_at=other["started_at"], started_at=log.started_at
        ):
            raise outcomes.VisitLogged(log_id=other["log_id"])

    efforts = form.efforts_of(log)
    by: dict[str, Any] = {"actor": act.person.name, "as_of": act.as_of}
    if not await logs.insert_log(act.connection, log_id=log_id, log=log, efforts=efforts, **by):
        # Another request with this id was faster, and has committed by now.
        _check_same(await logs.find_log(act.connection, log_id), body, act.person)
        return Done(told, is_new=False)
    await logs.insert_referrals(act.connection, log_id=log_id, referrals=log.referrals, **by)
    _tell_all(act, log=log, log_id=log_id, visit=visit, efforts=efforts)
    return Done(told)


async def _check(act: Act, *, log: Log, visit: asyncpg.Record) -> None:
    outcomes.check_log(log=log, as_of=act.as_of, zone=act.zone)
    substitutes = sorted(set(log.pair) - set(visit["pair"]))
    outcomes.check_substitutes(
        pair=log.pair,
        agreed_pair=visit["pair"],
        trainings=await logs.find_trainings(act.connection, substitutes) if substitutes else [],
        district=visit["district"],
        visited_on=local_day(log.started_at, zone=act.zone),
    )
    if log.extra:
        policies = await office.list_policies(act.connection, visit["district"], day=act.today)
        check_extra(extra=log.extra, versions=policies)


async def _completes(act: Act, standing: asyncpg.Record, log: Log, log_id: UUID) -> bool:
    """Complete a log of which only codes and numbers were taken back from its event, where all of them hold."""
    if standing["logged_by"] != NOBODY or not access.may_see_log(act.person, standing):
        return False
    kept = Log.model_validate_json(standing["body"])
    if any(getattr(kept, name) != getattr(log, name) for name in ("visit_id", "outcome", "started_at", "pair")):
        return False
    return await logs.complete_log(act.connection, log_id=log_id, log=log, actor=act.person.name)


def _check_same(standing: asyncpg.Record | None, body: str, person: Person) -> None:
    if standing is None or not access.may_see_log(person, standing):
        raise outcomes.LogUnknown
    # Spelt anew: a log that was written before the form had a field is the same log with that field empty.
    if Log.model_validate_json(standing["body"]).in_one_spelling() != body:
        raise outcomes.LogDiffers(standing=readable_body(standing, person), sent=json.loads(body))


def readable_body(log: asyncpg.Record, person: Person) -> dict[str, Any]:
    """Read a log's body; the private note is for whoever wrote it and for the coordinator."""
    body = Log.model_validate_json(log["body"]).model_dump(mode="json", exclude={"written_at"})
    if person.name != log["logged_by"] and not access.is_office(person, log["district"]):
        body["private_note"] = None
    return body


def _tell(act: Act, fact: type[_Told], *, log_id: UUID, of: Any, which: tuple[object, ...] = (), **more: Any) -> None:
    """Tell what a log says; `which` tells it from others of its kind by the same log."""
    facts: dict[str, Any] = {
        "event_id": identity(fact.EVENT_TYPE, log_id, *which),
        "event_type": fact.EVENT_TYPE,
        "occurred_at": act.as_of,
        "log_id": log_id,
        **{name: of[name] for name in ("district", "household_key", "visit_id")},
    }
    # Keyed by household, as its request and visits are.
    act.tx.emit(topic=VISIT_LOG, key=str(of["household_key"]), event=fact(**facts, **more))


def _tell_all(act: Act, *, log: Log, log_id: UUID, visit: asyncpg.Record, efforts: tuple[Effort, ...]) -> None:
    at_the_door: dict[str, Any] = {
        "outcome": OUTCOME_TOLD[log.outcome],
        "started_at": log.started_at,
        "pair": (log.pair[0], log.pair[1]),
        "place": PLACE_TOLD[log.place] if log.place else visit["place"],
        "efforts": efforts,
    }
    if log.outcome is Outcome.TOOK_PLACE:
        at_the_door |= {"ended_at": log.ended_at, "language": log.language or visit["language"]}
        _tell(act, events.VisitCompleted, log_id=log_id, of=visit, **at_the_door)
    else:
        _tell(act, events.VisitAttempted, log_id=log_id, of=visit, **at_the_door)
    if log.follow_up is not None:
        promised = {"due": log.follow_up.due, "kind": log.follow_up.kind}
        _tell(act, events.FollowUpPromised, log_id=log_id, of=visit, which=tuple(promised.values()), **promised)
    for position, referral in enumerate(log.referrals):
        made = {"resource": referral.resource, "status": referral.status.value}
        referral_id = form.referral_id_of(log_id, position)
        which = (referral_id, referral.status.value)
        _tell(act, events.ReferralMade, log_id=log_id, of=visit, which=which, referral_id=referral_id, **made)


async def amend(act: Act, command: AmendmentCommand, log_id: UUID) -> Done:
    """Add to a log; what stood there stays.

    What is added has a number, from 1, and is in no event. Raises LogUnknown.
    """
    log = await access.log_of(act, log_id, lock=True)
    if await forgetting.is_wordless(act.connection, log_id=log_id, visit_id=log["visit_id"]):
        raise outcomes.WordsNotKept

    number, is_new = await logs.append_amendment(
        act.connection,
        log_id=log_id,
        amendment_id=command.amendment_id,
        note=command.note,
        actor=act.person.name,
        as_of=act.as_of,
    )
    if is_new:
        _tell(act, events.LogAmended, log_id=log_id, of=log, which=(number, act.as_of), amendment=number)
    return Done({"log_id": log_id, "amendment": number}, is_new)


async def move_referral(act: Act, command: ReferralCommand, of: tuple[UUID, UUID]) -> Done:
    """Move a referral on: offered, accepted, handed over, connected, closed.

    `of` is its log and itself; it is no news when it stands there already. Raises LogUnknown, or ReferralBackwards.
    """
    log_id, referral_id = of
    log = await access.log_of(act, log_id, lock=True)
    referral = await logs.find_referral(act.connection, log_id=log_id, referral_id=referral_id)
    if referral is None:
        raise outcomes.LogUnknown
    status = command.status.value
    moves = outcomes.check_referral_change(standing=referral["status"], status=status)

    if moves:
        await logs.append_referral_step(
            act.connection,
            referral_id=referral_id,
            step=referral["step"] + 1,
            status=status,
            actor=act.person.name,
            as_of=act.as_of,
        )
        moved = {"resource": referral["resource"], "status": status}
        which = (referral_id, status)
        _tell(act, events.ReferralMade, log_id=log_id, of=log, which=which, referral_id=referral_id, **moved)
    return Done({"referral_id": referral_id, "status": status, "changed": moves}, moves)

"""What scheduling does with events, a batch at a time, and with people's commands, one at a time."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter, ValidationError

from contracts import events
from services.runtime.subscription import Delivery, Undecodable
from services.runtime.transaction import Transaction
from services.scheduling import visits
from services.scheduling.store import batches, desk
from services.scheduling.visits import Answer, Request, Stage, VisitState

HOME_VISITS = "home-visits"

_EVENTS: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        events.FlagRaised
        | events.FlagChanged
        | events.FlagCleared
        | events.HouseholdContactChanged
        | events.VisitCompleted
        | events.VisitAttempted
        | events.LogAmended
        | events.FollowUpPromised
        | events.ReferralMade,
        Field(discriminator="event_type"),
    ]
)


@dataclass(frozen=True, slots=True)
class ContactForgotten:
    """A district took a household's contact data back: a tombstone on the compacted topic."""

    household_key: UUID


def decode(record: ConsumerRecord) -> Any:
    """This will read one event. Raises Undecodable with the fields at fault, never their values."""
    if record.value is None and record.topic == "household-contacts":
        try:
            return ContactForgotten(UUID((record.key or b"").decode()))
        except ValueError:
            raise Undecodable("tombstone_without_household", "the key of a tombstone must be a household key") from None
    if b"\\u0000" in (record.value or b""):
        raise Undecodable("nul_character", "text can't hold a NUL character")
    try:
        return _EVENTS.validate_json(record.value or b"")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in faults)
        raise Undecodable("not_an_event", detail[:300]) from None


def now() -> datetime:
    """This will read the clock; rules and SQL are told the time and never ask."""
    return datetime.now(UTC)


async def on_events(tx: Transaction, deliveries: list[Delivery]) -> None:
    """This will apply one batch of flags, contacts and logs. Requests are locked once, in one order, for all of it."""
    as_of = now()
    flags = [
        d.event for d in deliveries if isinstance(d.event, events.FlagRaised | events.FlagChanged | events.FlagCleared)
    ]
    logs = [d.event for d in deliveries if isinstance(d.event, events.VisitCompleted | events.VisitAttempted)]
    contacts = [d.event for d in deliveries if isinstance(d.event, events.HouseholdContactChanged | ContactForgotten)]

    if flags or logs:
        await batches.lock_open_requests(
            tx.connection,
            households={_household(flag) for flag in flags} | {log.household_key for log in logs},
            students={flag.student_key for flag in flags},
        )
    if flags:
        await _on_flags(tx, flags, as_of)
    if logs:
        await batches.apply_logged_visits(tx.connection, [_logged_visit(log) for log in logs])
    if contacts:
        await _on_contacts(tx, contacts)


def _household(flag: events.FlagRaised | events.FlagChanged | events.FlagCleared) -> UUID:
    return visits.household_of(student_key=flag.student_key, household_key=flag.household_key)


async def _on_flags(
    tx: Transaction, flags: list[events.FlagRaised | events.FlagChanged | events.FlagCleared], as_of: datetime
) -> None:
    changed = await batches.keep_newest_flags(
        tx.connection,
        [
            (
                flag.student_key,
                _household(flag),
                flag.district,
                flag.school,
                flag.grade and flag.grade.value,
                flag.level.value,
                flag.days_absent,
                flag.days_enrolled,
                flag.school_year,
                flag.version,
            )
            for flag in flags
        ],
    )

    risen = {row["household_key"] for row in changed if row["flagged"]}
    fallen = {row["household_key"] for row in changed if not row["flagged"]}
    left = {row["former_household_key"] for row in changed if row["was_flagged"]}
    if risen:
        opened = await batches.open_requests(tx.connection, households=sorted(risen), as_of=as_of)
        for _, rows in groupby(opened, key=lambda row: row["request_id"]):
            _emit(tx, _visit_requested(list(rows), as_of))
    if unflagged := (fallen | left) - risen:
        for row in await batches.withdraw_or_annotate(tx.connection, households=sorted(unflagged), as_of=as_of):
            withdrawn = events.VisitRequestWithdrawn(
                event_id=uuid4(),
                event_type="visit-request.withdrawn.v1",
                occurred_at=as_of,
                district=row["district"],
                household_key=row["household_key"],
                request_id=row["request_id"],
                version=row["version"],
            )
            _emit(tx, withdrawn)


def _visit_requested(rows: list[asyncpg.Record], as_of: datetime) -> events.VisitRequested:
    first = rows[0]
    return events.VisitRequested(
        event_id=uuid4(),
        event_type="visit.requested.v1",
        occurred_at=as_of,
        district=first["district"],
        household_key=first["household_key"],
        request_id=first["request_id"],
        version=first["version"],
        school=first["request_school"],
        students=tuple(
            events.FlaggedStudent(
                student_key=row["student_key"],
                school=row["school"],
                grade=row["grade"],
                level=row["level"],
                days_absent=row["days_absent"],
                days_enrolled=row["days_enrolled"],
            )
            for row in rows
        ),
    )


def _logged_visit(log: events.VisitCompleted | events.VisitAttempted) -> tuple[UUID, str, str]:
    state = VisitState.COMPLETED if isinstance(log, events.VisitCompleted) else VisitState.ATTEMPTED
    declined_today = log.outcome is events.Outcome.DECLINED_TODAY
    return log.visit_id, state.value, visits.stage_after_visit(state=state, declined_today=declined_today).value


async def _on_contacts(tx: Transaction, contacts: list[events.HouseholdContactChanged | ContactForgotten]) -> None:
    # A key's records come in order: of what was said before a tombstone nothing may stay.
    standing: dict[UUID, events.HouseholdContactChanged] = {}
    forgotten: set[UUID] = set()
    for contact in contacts:
        known = standing.get(contact.household_key)
        if isinstance(contact, ContactForgotten):
            standing.pop(contact.household_key, None)
            forgotten.add(contact.household_key)
        elif known is None or contact.source_version > known.source_version:
            standing[contact.household_key] = contact

    if forgotten:
        await batches.forget_contacts(tx.connection, sorted(forgotten))
    await batches.keep_newest_contacts(
        tx.connection,
        [
            (
                contact.household_key,
                contact.district,
                contact.contact_name,
                json.dumps(contact.phones),
                contact.address,
                contact.language,
                contact.interpreter_needed,
                json.dumps([student.model_dump(mode="json") for student in contact.students]),
                contact.source_version,
            )
            for contact in standing.values()
        ],
    )


def _emit(tx: Transaction, event: events.Event) -> None:
    # Keyed by household: a visit's events can't overtake its request's.
    tx.emit(topic=HOME_VISITS, key=str(event.household_key), event=event)  # type: ignore[attr-defined]


def _facts_of(request: Request, event_type: str, as_of: datetime) -> dict[str, Any]:
    return {
        "event_id": uuid4(),
        "event_type": event_type,
        "occurred_at": as_of,
        "district": request.district,
        "household_key": request.household_key,
        "request_id": request.request_id,
        "version": request.version,
    }


async def claim_request(tx: Transaction, *, request_id: UUID, version: int, actor: str, as_of: datetime) -> Request:
    """This will lease a request to the actor for 15 minutes; claiming one's own again extends it.

    Raises RequestUnknown, HeldByAnother, StaleVersion or NotPossible (closed).
    """
    claimed = await desk.claim(
        tx.connection,
        request_id=request_id,
        version=version,
        actor=actor,
        claimed_until=as_of + visits.CLAIM_LEASE,
        as_of=as_of,
    )
    if claimed is not None:
        return claimed

    standing = await desk.find_request(tx.connection, request_id)
    if standing is None:
        raise visits.RequestUnknown
    visits.check_may_change(request=standing, actor=actor, version=version, as_of=as_of)
    raise visits.NotPossible("the request is closed; claim another with POST /v1/requests/next/claim")


async def claim_next_request(tx: Transaction, *, district: str | None, actor: str, as_of: datetime) -> Request | None:
    """This will lease the longest waiting request that nobody holds; None when nothing waits."""
    return await desk.claim_next(
        tx.connection, district=district, actor=actor, claimed_until=as_of + visits.CLAIM_LEASE, as_of=as_of
    )


async def _lock_for_change(tx: Transaction, *, request_id: UUID, version: int, actor: str, as_of: datetime) -> Request:
    request = await desk.lock_request(tx.connection, request_id)
    if request is None:
        raise visits.RequestUnknown
    visits.check_may_change(request=request, actor=actor, version=version, as_of=as_of)
    return request


async def record_answer(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    answer: Answer,
    contact_again_on: date | None,
    actor: str,
    as_of: datetime,
) -> Request:
    """This will record what came of one contact with the family. A decline closes, and cancels what was agreed.

    Raises RequestUnknown, HeldByAnother, StaleVersion or NotPossible.
    """
    request = await _lock_for_change(tx, request_id=request_id, version=version, actor=actor, as_of=as_of)
    stage = visits.stage_after_answer(stage=request.stage, answer=answer)

    saved = await desk.save_stage(tx.connection, request_id=request_id, stage=stage, contact_again_on=contact_again_on)
    await desk.record_contact_attempt(tx.connection, request=saved, answer=answer, actor=actor, as_of=as_of)
    if answer is Answer.AGREED:
        _emit(tx, events.FamilyAgreed(**_facts_of(saved, "family.agreed.v1", as_of)))
    if answer is Answer.DECLINED:
        await _cancel_scheduled_visit(tx, saved, as_of)
        _emit(tx, events.FamilyDeclined(**_facts_of(saved, "family.declined.v1", as_of)))
    return saved


async def _cancel_scheduled_visit(tx: Transaction, request: Request, as_of: datetime) -> bool:
    visit_id = await desk.scheduled_visit(tx.connection, request.request_id)
    if visit_id is None:
        return False
    await desk.set_visit_state(tx.connection, visit_id, VisitState.CANCELLED)
    _emit(tx, events.VisitCancelled(**_facts_of(request, "visit.cancelled.v1", as_of), visit_id=visit_id))
    return True


async def appoint(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    starts_at: datetime,
    place: events.Place,
    pair: tuple[str, str],
    language: str | None,
    actor: str,
    as_of: datetime,
) -> tuple[Request, UUID]:
    """This will agree a visit's time, place and pair, or move the one that lies ahead.

    Returns the request and the visit's id.

    Raises RequestUnknown, HeldByAnother, StaleVersion, or NotPossible: no consent yet, a past time, not two
    different visitors, a visitor unknown or without LEAP 101 on that day.
    """
    request = await _lock_for_change(tx, request_id=request_id, version=version, actor=actor, as_of=as_of)
    visits.check_appointment(stage=request.stage, starts_at=starts_at, pair=pair, as_of=as_of)
    spoken = language or await desk.household_language(tx.connection, request.household_key)

    standing_visit = await desk.scheduled_visit(tx.connection, request_id)
    visit_id = standing_visit or await desk.open_visit(tx.connection, request_id)
    try:
        await desk.append_appointment(
            tx.connection,
            visit_id=visit_id,
            starts_at=starts_at,
            place=place.value,
            language=spoken,
            pair=pair,
            actor=actor,
            as_of=as_of,
        )
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != "leap101_is_current":
            raise
        raise visits.NotPossible(
            "a visitor is not registered or has no LEAP 101 valid on that day; use POST /v1/visitors or name another"
        ) from None
    saved = await desk.save_stage(tx.connection, request_id=request_id, stage=Stage.PAIRED)
    agreed: dict[str, Any] = {
        "visit_id": visit_id,
        "starts_at": starts_at,
        "place": place,
        "language": spoken,
        "pair": pair,
    }
    if standing_visit is None:
        _emit(tx, events.VisitScheduled(**_facts_of(saved, "visit.scheduled.v1", as_of), **agreed))
    else:
        _emit(tx, events.VisitRescheduled(**_facts_of(saved, "visit.rescheduled.v1", as_of), **agreed))
    return saved, visit_id


async def cancel_visit(tx: Transaction, *, request_id: UUID, version: int, actor: str, as_of: datetime) -> Request:
    """This will cancel the visit that lies ahead; the family's consent stands and another can be agreed.

    Raises RequestUnknown, HeldByAnother, StaleVersion or NotPossible (there is none).
    """
    await _lock_for_change(tx, request_id=request_id, version=version, actor=actor, as_of=as_of)

    saved = await desk.save_stage(tx.connection, request_id=request_id, stage=Stage.AGREED)
    if not await _cancel_scheduled_visit(tx, saved, as_of):
        raise visits.NotPossible("no visit lies ahead of this request; there is nothing to cancel")
    return saved

"""What visit log does with events, a batch at a time, and with visitors' logs, one at a time."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from aiokafka import ConsumerRecord
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts import events
from contracts.events import Outcome
from services.runtime.subscription import Delivery, Undecodable
from services.runtime.transaction import Transaction
from services.visitlog import outcomes, store

VISIT_LOG = "visit-log"

_EVENTS: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        events.VisitRequested
        | events.VisitRequestWithdrawn
        | events.FamilyAgreed
        | events.FamilyDeclined
        | events.VisitScheduled
        | events.VisitRescheduled
        | events.VisitCancelled
        | events.HouseholdContactChanged,
        Field(discriminator="event_type"),
    ]
)
_Agreed = events.VisitScheduled | events.VisitRescheduled | events.VisitCancelled

PersonId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


@dataclass(frozen=True, slots=True)
class ContactForgotten:
    """A district took a household's contact data back: a tombstone on the compacted topic."""

    household_key: UUID


class FollowUp(BaseModel):
    """The next visit or call that the visitors promised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    due: date
    kind: Literal["visit", "call"]


class Referral(BaseModel):
    """A connection to a resource, by the district's own code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    status: Literal["offered", "accepted", "handed_over", "connected", "closed"] = "offered"


class Log(BaseModel):
    """The home visitor log, as a phone sends it. A field that isn't known is refused, not dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    visit_id: UUID
    outcome: Outcome
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    pair: Annotated[list[PersonId], Field(min_length=2, max_length=2)]
    follow_up: FollowUp | None = None
    referrals: Annotated[list[Referral], Field(max_length=20)] = []

    def in_one_spelling(self) -> str:
        """This will give equal text for equal logs, however the client spelt times and defaults."""
        utc = {
            "started_at": self.started_at.astimezone(UTC),
            "ended_at": self.ended_at and self.ended_at.astimezone(UTC),
        }
        return json.dumps(self.model_copy(update=utc).model_dump(mode="json"), sort_keys=True)


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
    """This will apply one batch of agreed visits and contacts."""
    agreed = [d.event for d in deliveries if isinstance(d.event, _Agreed)]
    contacts = [d.event for d in deliveries if isinstance(d.event, events.HouseholdContactChanged | ContactForgotten)]

    await store.keep_newest_visits(tx.connection, [_visit_row(event) for event in agreed])
    await _on_contacts(tx, contacts)


def _visit_row(event: _Agreed) -> tuple[Any, ...]:
    common = (event.visit_id, event.request_id, event.household_key, event.district)
    if isinstance(event, events.VisitCancelled):
        return (*common, True, None, None, None, None, None, event.version)
    agreed = (event.starts_at, event.place.value, event.language, *event.pair)
    return (*common, False, *agreed, event.version)


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
        await store.forget_contacts(tx.connection, sorted(forgotten))
    await store.keep_newest_contacts(
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


async def write_log(tx: Transaction, *, log_id: UUID, log: Log, actor: str, as_of: datetime) -> bool:
    """This will write a log once: True the first time, False for the same log again.

    Raises LogDiffers (another log under this id), VisitUnknown or LogInvalid.
    """
    body = log.in_one_spelling()
    # Before the rules: a repeat of an accepted log is accepted, whatever the clock says by now.
    standing = await store.find_log(tx.connection, log_id)
    if standing is not None:
        return _same(standing["body"], body)
    outcomes.check_log(
        outcome=log.outcome.value,
        started_at=log.started_at,
        ended_at=log.ended_at,
        pair=log.pair,
        follow_up_due=log.follow_up.due if log.follow_up else None,
        as_of=as_of,
    )
    visit = await store.find_visit(tx.connection, log.visit_id)
    if visit is None:
        raise outcomes.VisitUnknown

    pair = (log.pair[0], log.pair[1])
    inserted = await store.insert_log(
        tx.connection,
        log_id=log_id,
        visit_id=log.visit_id,
        outcome=log.outcome.value,
        started_at=log.started_at,
        ended_at=log.ended_at,
        pair=pair,
        body=body,
        actor=actor,
        as_of=as_of,
    )
    if not inserted:
        standing = await store.find_log(tx.connection, log_id)
        return _same(standing["body"] if standing else "", body)
    for event in _events_of(
        log=log, log_id=log_id, household_key=visit["household_key"], district=visit["district"], as_of=as_of
    ):
        # Keyed by household, as its request and visits are.
        tx.emit(topic=VISIT_LOG, key=str(visit["household_key"]), event=event)
    return True


def _same(standing: str, body: str) -> bool:
    if standing != body:
        raise outcomes.LogDiffers
    return False


def _events_of(
    *, log: Log, log_id: UUID, household_key: UUID, district: str, as_of: datetime
) -> list[events.VisitCompleted | events.VisitAttempted | events.FollowUpPromised | events.ReferralMade]:
    def facts(event_type: str) -> dict[str, Any]:
        return {
            "event_id": uuid4(),
            "event_type": event_type,
            "occurred_at": as_of,
            "district": district,
            "household_key": household_key,
            "visit_id": log.visit_id,
            "log_id": log_id,
        }

    told: list[events.VisitCompleted | events.VisitAttempted | events.FollowUpPromised | events.ReferralMade] = []
    at_the_door: dict[str, Any] = {
        "outcome": log.outcome,
        "started_at": log.started_at,
        "pair": (log.pair[0], log.pair[1]),
    }
    if log.outcome is Outcome.TOOK_PLACE:
        at_the_door["ended_at"] = log.ended_at
        told.append(events.VisitCompleted(**facts("visit.completed.v1"), **at_the_door))
    else:
        told.append(events.VisitAttempted(**facts("visit.attempted.v1"), **at_the_door))
    if log.follow_up is not None:
        promise: dict[str, Any] = {"due": log.follow_up.due, "kind": log.follow_up.kind}
        told.append(events.FollowUpPromised(**facts("follow-up.promised.v1"), **promise))
    for referral in log.referrals:
        made: dict[str, Any] = {"resource": referral.resource, "status": referral.status}
        told.append(events.ReferralMade(**facts("referral.made.v1"), **made))
    return told


async def amend_log(tx: Transaction, *, log_id: UUID, note: str, actor: str, as_of: datetime) -> int:
    """This will add a note to a log and return its number, from 1. Raises LogUnknown. The note is in no event."""
    log = await store.find_log(tx.connection, log_id, lock=True)
    if log is None:
        raise outcomes.LogUnknown

    number = await store.append_amendment(tx.connection, log_id=log_id, note=note, actor=actor, as_of=as_of)
    amended = events.LogAmended(
        event_id=uuid4(),
        event_type="visit-log.amended.v1",
        occurred_at=as_of,
        district=log["district"],
        household_key=log["household_key"],
        visit_id=log["visit_id"],
        log_id=log_id,
        amendment=number,
    )
    tx.emit(topic=VISIT_LOG, key=str(log["household_key"]), event=amended)
    return number

"""What visit log does with what other services say, a batch at a time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from services.runtime.delivery.subscription import Delivery, Undecodable, read_event
from services.runtime.delivery.transaction import Transaction
from services.visitlog.store import projections

_EVENTS: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        events.VisitRequested
        | events.VisitRequestWithdrawn
        | events.RequestStageChanged
        | events.RequestReopened
        | events.ContactAttempted
        | events.FamilyAgreed
        | events.FamilyDeclined
        | events.VisitScheduled
        | events.VisitRescheduled
        | events.VisitCancelled
        | events.HouseholdContactChanged
        | events.SchoolCalendarChanged
        | events.VisitorChanged,
        Field(discriminator="event_type"),
    ]
)
_Agreed = events.VisitScheduled | events.VisitRescheduled | events.VisitCancelled


@dataclass(frozen=True, slots=True)
class ContactForgotten:
    """A district took a household's contact data back: a tombstone on the compacted topic."""

    household_key: UUID


def decode(record: ConsumerRecord) -> Any:
    """Read one event. Raises Undecodable with the fields at fault, never their values."""
    if record.value is None and record.topic == "household-contacts":
        try:
            return ContactForgotten(UUID((record.key or b"").decode()))
        except ValueError:
            raise Undecodable("tombstone_without_household", "the key of a tombstone must be a household key") from None
    return read_event(_EVENTS, record.value)


async def on_events(tx: Transaction, deliveries: list[Delivery]) -> None:
    """Apply one batch: agreed visits open expected logs; contacts, calendars and visitors are kept."""
    by_kind = [delivery.event for delivery in deliveries]
    agreed = [event for event in by_kind if isinstance(event, _Agreed)]
    requests = [event for event in by_kind if isinstance(event, events.VisitRequested)]
    calendars = [event for event in by_kind if isinstance(event, events.SchoolCalendarChanged)]
    visitors = [event for event in by_kind if isinstance(event, events.VisitorChanged)]
    contacts = [event for event in by_kind if isinstance(event, events.HouseholdContactChanged | ContactForgotten)]

    await projections.keep_newest_visits(tx.connection, [_visit_row(event) for event in agreed])
    await projections.keep_newest_requests(tx.connection, [_request_row(event) for event in requests])
    await _on_calendars(tx, calendars)
    await projections.keep_newest_visitors(tx.connection, [_visitor_row(event) for event in visitors])
    await _on_contacts(tx, contacts)


def _visit_row(event: _Agreed) -> tuple[Any, ...]:
    of_whom = (event.visit_id, event.request_id, event.household_key, event.district)
    if isinstance(event, events.VisitCancelled):
        return (*of_whom, True, None, None, None, None, None, None, None, None, event.version)
    agreed = (event.starts_at, event.place.value, event.language)
    wished = (event.minutes, event.interpreter, event.follow_up)
    return (*of_whom, False, *agreed, *wished, *event.pair, event.version)


def _request_row(event: events.VisitRequested) -> tuple[Any, ...]:
    schools = sorted({event.school, *(student.school for student in event.students)})
    return event.request_id, event.district, json.dumps(schools), event.version


def _visitor_row(event: events.VisitorChanged) -> tuple[Any, ...]:
    training = (event.leap101_valid_from, event.leap101_valid_until)
    languages = json.dumps(event.languages)
    return (event.visitor_id, event.district, event.affiliation, languages, *training, event.active, event.version)


async def _on_calendars(tx: Transaction, calendars: list[events.SchoolCalendarChanged]) -> None:
    newest: dict[tuple[str, str, int], events.SchoolCalendarChanged] = {}
    for calendar in calendars:
        key = (calendar.district, calendar.school, calendar.school_year)
        if key not in newest or calendar.source_version > newest[key].source_version:
            newest[key] = calendar
    await projections.keep_newest_calendars(
        tx.connection,
        [(*key, _as_json(calendar.school_days), calendar.source_version) for key, calendar in newest.items()],
    )


def _as_json(days: Iterable[date]) -> str:
    return json.dumps([day.isoformat() for day in days])


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
        await projections.forget_contacts(tx.connection, sorted(forgotten))
    await projections.keep_newest_contacts(
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

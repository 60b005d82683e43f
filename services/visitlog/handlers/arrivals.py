"""What visit log does with what other services say, a batch at a time."""

import json
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Annotated, Any

from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.topics import HOUSEHOLD_CONTACTS
from services.runtime.delivery.subscription import Delivery, read_event, read_tombstone
from services.runtime.delivery.transaction import Transaction
from services.visitlog.handlers import forgetting
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
        | events.VisitorChanged
        | events.DistrictPolicyDecided
        | events.Forgetting,
        Field(discriminator="event_type"),
    ]
)
_Agreed = events.VisitScheduled | events.VisitRescheduled | events.VisitCancelled


def decode(record: ConsumerRecord) -> Any:
    """Read one event. Raises Undecodable with the fields at fault, never their values."""
    if not record.value and record.topic == HOUSEHOLD_CONTACTS:
        of_key = partial(events.ContactForgotten.of_key, timestamp_ms=record.timestamp)
        return read_tombstone(of_key, record.key)
    return read_event(_EVENTS, record.value)


async def on_events(tx: Transaction, deliveries: list[Delivery]) -> None:
    """Apply one batch: agreed visits open expected logs; contacts, calendars, visitors and policies are kept."""
    by_kind = [delivery.event for delivery in deliveries]
    agreed = [event for event in by_kind if isinstance(event, _Agreed)]
    requests = [event for event in by_kind if isinstance(event, events.VisitRequested)]
    calendars = [event for event in by_kind if isinstance(event, events.SchoolCalendarChanged)]
    visitors = [event for event in by_kind if isinstance(event, events.VisitorChanged)]
    decided = [event for event in by_kind if isinstance(event, events.DistrictPolicyDecided)]
    contacts = [
        event for event in by_kind if isinstance(event, events.HouseholdContactChanged | events.ContactForgotten)
    ]

    await projections.keep_newest_visits(tx.connection, [_visit_row(event) for event in agreed])
    await projections.keep_newest_requests(tx.connection, [_request_row(event) for event in requests])
    await _on_calendars(tx, calendars)
    await projections.keep_newest_visitors(tx.connection, [_visitor_row(event) for event in visitors])
    await projections.keep_policies(
        tx.connection,
        [
            (event.district, event.version, event.effective_from, event.log.model_dump_json(), event.occurred_at)
            for event in decided
        ],
    )
    await projections.keep_retention(
        tx.connection,
        [(event.district, event.version, event.effective_from, event.retention.model_dump_json()) for event in decided],
    )
    await _on_contacts(tx, contacts)
    if gone := [event for event in by_kind if isinstance(event, events.Forgetting)]:
        await forgetting.on_forgetting(tx, gone)


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
        # A track's calendar is of some of the school's students: whether the school was open is not its to say.
        if calendar.track is not None:
            continue
        key = (calendar.district, calendar.school, calendar.school_year)
        if key not in newest or calendar.source_version > newest[key].source_version:
            newest[key] = calendar
    await projections.keep_newest_calendars(
        tx.connection,
        [(*key, _as_json(calendar.school_days), calendar.source_version) for key, calendar in newest.items()],
    )


def _as_json(days: Iterable[date]) -> str:
    return json.dumps([day.isoformat() for day in days])


async def _on_contacts(
    tx: Transaction, contacts: list[events.HouseholdContactChanged | events.ContactForgotten]
) -> None:
    standing, forgotten = events.contacts_after(contacts)

    if forgotten:
        await projections.forget_contacts(tx.connection, forgotten)
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
                contact.occurred_at,
            )
            for contact in standing
        ],
    )
    named = {student.student_key for contact in standing for student in contact.students}
    await forgetting.strip_names(tx, named)

"""What reporting does with events: a batch from five topics becomes one upsert per projection."""

from typing import Annotated, Any

from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter, ValidationError

from contracts import events
from services.reporting import measures, store
from services.runtime.subscription import Delivery, Undecodable
from services.runtime.transaction import Transaction

_Flag = events.FlagRaised | events.FlagChanged | events.FlagCleared
_Appointed = events.VisitScheduled | events.VisitRescheduled | events.VisitCancelled
_Decided = events.VisitRequested | events.VisitRequestWithdrawn | events.FamilyAgreed | events.FamilyDeclined
_Logged = events.VisitCompleted | events.VisitAttempted
_Appended = events.LogAmended | events.FollowUpPromised | events.ReferralMade

_EVENTS: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        _Flag | events.StudentMonthTallied | events.SchoolDayTallied | _Decided | _Appointed | _Logged | _Appended,
        Field(discriminator="event_type"),
    ]
)


def decode(record: ConsumerRecord) -> Any:
    """This will read one event. Raises Undecodable with the fields at fault, never their values."""
    if b"\\u0000" in (record.value or b""):
        raise Undecodable("nul_character", "text can't hold a NUL character")
    try:
        return _EVENTS.validate_json(record.value or b"")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in faults)
        raise Undecodable("not_an_event", detail[:300]) from None


async def on_events(tx: Transaction, deliveries: list[Delivery]) -> None:
    """This will fold one batch into the projections. The order of events, also between topics, doesn't matter."""
    happened = [delivery.event for delivery in deliveries]

    await store.keep_flags(tx.connection, [_flag_row(e) for e in happened if isinstance(e, _Flag)])
    await store.keep_requests(tx.connection, [_request_row(e) for e in happened if isinstance(e, _Decided)])
    await store.keep_logged_visits(
        tx.connection,
        [
            (e.visit_id, e.household_key, e.district, isinstance(e, events.VisitCompleted), e.occurred_at)
            for e in happened
            if isinstance(e, _Logged)
        ],
    )
    await store.keep_student_months(
        tx.connection,
        [
            (
                e.student_key,
                e.district,
                e.school,
                e.month,
                e.grade and e.grade.value,
                e.days_enrolled,
                e.days_absent,
                e.version,
            )
            for e in happened
            if isinstance(e, events.StudentMonthTallied)
        ],
    )
    await store.keep_school_days(
        tx.connection,
        [
            (e.district, e.school, e.school_day, e.part, e.students_counted, e.students_absent, e.version)
            for e in happened
            if isinstance(e, events.SchoolDayTallied)
        ],
    )


def _flag_row(flag: _Flag) -> tuple[Any, ...]:
    return (
        flag.student_key,
        flag.school_year,
        measures.household_of(student_key=flag.student_key, household_key=flag.household_key),
        flag.district,
        flag.school,
        flag.level.value,
        flag.version,
        flag.occurred_at,
    )


def _request_row(event: _Decided) -> tuple[Any, ...]:
    return (
        event.request_id,
        event.household_key,
        event.district,
        event.version if isinstance(event, events.VisitRequested) else None,
        event.version if isinstance(event, events.FamilyAgreed) else None,
        event.version if isinstance(event, events.FamilyDeclined) else None,
        event.version if isinstance(event, events.VisitRequestWithdrawn) else None,
        event.occurred_at,
    )

"""What reporting does with events: a batch from all topics becomes one upsert per projection."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid5

from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.events.forgetting import said_of
from services.reporting import facts
from services.reporting.rules import measures
from services.reporting.store import forgetting, policies, projections, tallies, visits
from services.reporting.store.ageing import take_dead_letters
from services.runtime import clock
from services.runtime.delivery import forgotten as memory
from services.runtime.delivery.letting_go import Rule
from services.runtime.delivery.letting_go import let_go as by_rules
from services.runtime.delivery.subscription import Delivery, read_event
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.context import Context
from services.runtime.web.disclosing import let_go_disclosed

_Flag = events.FlagRaised | events.FlagChanged | events.FlagCleared
_Appointed = events.VisitScheduled | events.VisitRescheduled
_Decided = events.VisitRequested | events.VisitRequestWithdrawn | events.FamilyAgreed | events.FamilyDeclined
_Moved = events.RequestStageChanged | events.RequestReopened | events.ContactAttempted
_Logged = events.VisitCompleted | events.VisitAttempted
_Appended = events.LogAmended | events.FollowUpPromised | events.ReferralMade

_EVENTS: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        _Flag
        | events.SchoolDayTallied
        | _Decided
        | _Moved
        | _Appointed
        | events.VisitCancelled
        | _Logged
        | _Appended
        | events.VisitorChanged
        | events.DistrictPolicyDecided
        | events.Forgetting,
        Field(discriminator="event_type"),
    ]
)


RULES = (
    Rule(kind="disclosures", years=lambda kept: kept.disclosures, take=let_go_disclosed),
    Rule(kind="dead_letters", years=lambda kept: kept.dead_letters, take=take_dead_letters),
)


def decode(record: ConsumerRecord) -> Any:
    """Read one event. Raises Undecodable with the fields at fault, never their values."""
    told = facts.read(record.value) if record.value else None
    return read_event(_EVENTS, record.value) if told is None else told


async def on_events(tx: Transaction, deliveries: list[Delivery]) -> None:
    """Fold one batch into the projections. The order of events, also between topics, doesn't matter."""
    happened = [delivery.event for delivery in deliveries]
    connection = tx.connection

    await projections.keep_flags(connection, [_flag_row(e) for e in happened if isinstance(e, _Flag)])
    await projections.keep_requests(connection, list(_request_rows(happened)))
    await _keep_tallies(tx, happened)
    await _keep_visits(tx, happened)
    await policies.keep_policies(
        connection,
        [
            (
                e.district,
                e.version,
                e.effective_from,
                e.absence.min_enrolled_days,
                e.retention.disclosures_years,
                e.retention.dead_letters_years,
            )
            for e in happened
            if isinstance(e, events.DistrictPolicyDecided)
        ],
    )
    await _on_forgetting(tx, [e for e in happened if isinstance(e, events.Forgetting)])


async def _on_forgetting(tx: Transaction, said: Sequence[events.Forgetting]) -> None:
    """Remember who is forgotten, and let go figures that are to be erased.

    What was published stays word for word: no cell of it is of fewer than six.
    """
    words = [memory.Word(*each) for event in said if (each := said_of(event)) is not None]
    await memory.keep(tx.connection, words)
    ended = [(each.district, each.occurred_at) for each in said if isinstance(each, events.DistrictEnded)]
    if ended:
        await memory.end(tx.connection, ended)
    if words or ended:
        await _sweep(tx)


async def keep_forgotten(context: Context) -> None:
    """Sweep again."""
    async with context.begin() as tx:
        await _sweep(tx)


async def let_go(context: Context) -> None:
    """Let go who read of families, and records that could not be applied, where districts keep them no longer."""
    await by_rules(context.begin, RULES, policies.kept_years, now=clock.now())


async def _sweep(tx: Transaction) -> None:
    await forgetting.erase_figures(tx.connection)
    if ended := await memory.ended(tx.connection):
        await forgetting.erase_districts(tx.connection, ended)


async def _keep_tallies(tx: Transaction, happened: list[Any]) -> None:
    connection = tx.connection
    months = [e for e in happened if isinstance(e, facts.Months)]

    await tallies.keep_student_months(
        connection, [(e.district, e.school, e.month, e.version, *e.columns) for e in months]
    )
    await tallies.keep_school_months(
        connection, [(e.district, e.month, e.school, e.missing_rolls, e.version) for e in months]
    )
    await tallies.keep_flag_figures(
        connection,
        [
            (e.district, e.school, e.school_year, e.as_of, *e.columns)
            for e in happened
            if isinstance(e, facts.FlagFiguresUpdated)
        ],
    )
    await tallies.keep_school_days(
        connection,
        [
            (e.district, e.school, e.school_day, e.students_counted, e.students_absent, e.version)
            for e in happened
            if isinstance(e, facts.SchoolDayTallied)
        ],
    )
    await tallies.keep_parts_of_days(
        connection,
        [
            (e.district, e.school, e.school_day, e.part, e.students_counted, e.students_absent, e.version)
            for e in happened
            if isinstance(e, events.SchoolDayTallied)
        ],
    )


async def _keep_visits(tx: Transaction, happened: list[Any]) -> None:
    connection = tx.connection
    logged = [e for e in happened if isinstance(e, _Logged)]

    await projections.keep_logged_visits(connection, [_visit_row(e) for e in logged])
    await visits.keep_visit_logs(connection, [_log_row(e) for e in logged])
    await visits.keep_appointments(
        connection,
        [_appointment_row(e) for e in happened if isinstance(e, _Appointed | events.VisitCancelled)],
    )
    await visits.keep_contacts(
        connection,
        [
            (e.request_id, e.version, e.household_key, e.district, e.way, e.reached, e.occurred_at)
            for e in happened
            if isinstance(e, events.ContactAttempted)
        ],
    )
    await visits.keep_follow_ups(
        connection,
        [
            (e.log_id, e.kind, e.due, e.household_key, e.district, e.occurred_at)
            for e in happened
            if isinstance(e, events.FollowUpPromised)
        ],
    )
    await visits.keep_referrals(connection, [_referral_row(e) for e in happened if isinstance(e, events.ReferralMade)])
    await visits.keep_visitors(connection, [_visitor_row(e) for e in happened if isinstance(e, events.VisitorChanged)])


def _flag_row(flag: _Flag) -> tuple[Any, ...]:
    return (
        flag.student_key,
        flag.school_year,
        events.household_of(student_key=flag.student_key, household_key=flag.household_key),
        flag.district,
        flag.school,
        flag.grade and flag.grade.value,
        flag.level.value,
        flag.version,
        flag.occurred_at,
        # Not the day up to which a file happened to come: whoever was flagged in a month is compared with each other.
        flag.first_flagged or flag.first_reached or flag.as_of,
    )


_STEP_OF_STAGE = {
    events.Stage.CONTACTING: "contacted",
    events.Stage.AGREED: "agreed",
    events.Stage.PAIRED: "scheduled",
    events.Stage.CONFIRMED: "scheduled",
    events.Stage.VISITED: "visited",
    events.Stage.LOGGED: "logged",
}
_MOMENTS = ("requested", "contacted", "agreed", "scheduled", "visited", "logged", "declined", "withdrawn")


def _request_rows(happened: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
    """What each event tells about a request: that something happened at a version, at a moment, or a new stage."""
    for event in happened:
        match event:
            case events.VisitRequested():
                yield _request_row(event, "requested")
            case events.FamilyAgreed():
                yield _request_row(event, "agreed")
            case events.FamilyDeclined():
                yield _request_row(event, "declined")
            case events.VisitRequestWithdrawn():
                yield _request_row(event, "withdrawn")
            case events.ContactAttempted():
                yield _request_row(event, "contacted")
            case events.VisitScheduled() | events.VisitRescheduled():
                yield _request_row(event, "scheduled")
            case events.RequestStageChanged():
                yield _request_row(event, _STEP_OF_STAGE.get(event.stage, ""), of_stage=True)


def _request_row(event: Any, step: str, *, of_stage: bool = False) -> tuple[Any, ...]:
    def version_if(told: str) -> int | None:
        # A stage alone is no answer: an undone 'agreed' must not outweigh the family's own later word.
        return event.version if told == step and not of_stage else None

    def moment_if(told: str) -> datetime | None:
        return event.occurred_at if told == step else None

    return (
        event.request_id,
        event.household_key,
        event.district,
        *(version_if(told) for told in ("requested", "agreed", "declined", "withdrawn")),
        *(moment_if(told) for told in _MOMENTS),
        event.version if of_stage else None,
        event.stage.value if of_stage else None,
        event.closed_because.value if of_stage and event.closed_because else None,
        event.occurred_at,
    )


def _visit_row(log: _Logged) -> tuple[Any, ...]:
    completed = isinstance(log, events.VisitCompleted)
    return (
        log.visit_id,
        log.household_key,
        log.district,
        completed,
        log.started_at if completed else None,
        log.occurred_at,
    )


def _log_row(log: _Logged) -> tuple[Any, ...]:
    return (
        log.visit_id,
        log.log_id,
        log.outcome.value,
        log.household_key,
        log.district,
        log.started_at,
        log.ended_at if isinstance(log, events.VisitCompleted) else None,
        json.dumps(log.pair),
        log.place and log.place.value,
        log.language if isinstance(log, events.VisitCompleted) else None,
        json.dumps([effort.model_dump() for effort in log.efforts]),
        log.occurred_at,
        log.event_id,
    )


def _appointment_row(event: events.VisitScheduled | events.VisitRescheduled | events.VisitCancelled) -> tuple[Any, ...]:
    whose = (event.visit_id, event.request_id, event.household_key, event.district)
    if isinstance(event, events.VisitCancelled):
        return (*whose, *[None] * 8, event.version, event.occurred_at)
    return (
        *whose,
        event.version,
        event.starts_at,
        event.minutes,
        event.place.value,
        event.language,
        event.interpreter,
        event.follow_up,
        json.dumps(event.pair),
        None,
        event.occurred_at,
    )


def _referral_row(referral: events.ReferralMade) -> tuple[Any, ...]:
    # Without an id of its own, a log's referral to one resource is one referral.
    own = referral.referral_id or uuid5(referral.log_id, referral.resource)
    furthest = measures.REFERRAL_STATUSES.index(referral.status)
    return (own, referral.household_key, referral.district, referral.resource, furthest, referral.occurred_at)


def _visitor_row(visitor: events.VisitorChanged) -> tuple[Any, ...]:
    return (
        visitor.visitor_id,
        visitor.district,
        visitor.affiliation,
        json.dumps(visitor.languages),
        visitor.leap101_valid_from,
        visitor.leap101_valid_until,
        visitor.active,
        visitor.version,
    )

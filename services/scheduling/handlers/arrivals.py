"""What scheduling does with events, a batch at a time: flags, logs, promises, contacts, calendars."""

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.calendar import local_day
from contracts.topics import HOUSEHOLD_CONTACTS
from services.runtime import clock
from services.runtime.delivery.subscription import Delivery, read_event, read_tombstone
from services.runtime.delivery.transaction import Transaction
from services.scheduling.handlers import forgetting, school_years
from services.scheduling.handlers.changes import emit, row_facts, row_stage_changed
from services.scheduling.handlers.figures import Figures, are_figures, decode_figures, figures_of, on_figures
from services.scheduling.handlers.pricing import price
from services.scheduling.rules import visits
from services.scheduling.rules.visits import ClosingReason, VisitState, What
from services.scheduling.store import batches, calendars, changes, logs, policies
from services.scheduling.store.changes import HistoryRow

Flag = school_years.Flag
Log = events.VisitCompleted | events.VisitAttempted

_EVENTS: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        events.FlagRaised
        | events.FlagChanged
        | events.FlagCleared
        | events.FlagFiguresUpdated
        | events.HouseholdContactChanged
        | events.SchoolCalendarChanged
        | events.VisitCompleted
        | events.VisitAttempted
        | events.LogAmended
        | events.FollowUpPromised
        | events.ReferralMade
        | events.Forgetting,
        Field(discriminator="event_type"),
    ]
)


def decode(record: ConsumerRecord) -> Any:
    """Read one event. Raises Undecodable with the fields at fault, never their values."""
    if not record.value and record.topic == HOUSEHOLD_CONTACTS:
        of_key = partial(events.ContactForgotten.of_key, timestamp_ms=record.timestamp)
        return read_tombstone(of_key, record.key)
    if are_figures(record) and (figures := decode_figures(record.value)) is not None:
        return figures
    event = read_event(_EVENTS, record.value)
    return figures_of(event) if isinstance(event, events.FlagFiguresUpdated) else event


async def on_events(tx: Transaction, deliveries: list[Delivery]) -> None:
    """Apply one batch. Requests are locked once, in one order, for all of it."""
    as_of = clock.now()
    flags = [
        d.event for d in deliveries if isinstance(d.event, events.FlagRaised | events.FlagChanged | events.FlagCleared)
    ]
    figures = [d.event for d in deliveries if isinstance(d.event, Figures)]
    logged = [d.event for d in deliveries if isinstance(d.event, events.VisitCompleted | events.VisitAttempted)]
    promises = [d.event for d in deliveries if isinstance(d.event, events.FollowUpPromised)]
    contacts = [
        d.event for d in deliveries if isinstance(d.event, events.HouseholdContactChanged | events.ContactForgotten)
    ]
    schools = [d.event for d in deliveries if isinstance(d.event, events.SchoolCalendarChanged)]
    gone = [d.event for d in deliveries if isinstance(d.event, events.Forgetting)]

    await _on_calendars(tx, schools)
    learned = await school_years.learn(tx, [*flags, *figures])
    if flags or logged:
        await batches.lock_open_requests(
            tx.connection,
            households={household(flag) for flag in flags} | {log.household_key for log in logged},
            students={flag.student_key for flag in flags},
        )
    if flags:
        await _on_flags(tx, flags, learned, as_of)
    await school_years.close_what_is_over(tx, learned.ended, as_of=as_of)
    if figures:
        await on_figures(tx, figures, as_of=as_of)
    await keep_promises(tx, promises)
    if logged:
        await _on_logs(tx, logged, as_of)
    if contacts:
        await _on_contacts(tx, contacts)
    if gone:
        await forgetting.on_forgetting(tx, gone)


async def _on_calendars(tx: Transaction, schools: Sequence[events.SchoolCalendarChanged]) -> None:
    # A track's calendar is of some of the school's students (kindergarten, seniors): it does not say when the school
    # teaches, which is all that the desk counts by.
    rows = [
        (each.district, each.school, each.school_year, each.source_version, _dates(each.school_days))
        for each in schools
        if each.track is None
    ]
    await calendars.keep_newest(tx.connection, rows)


def _dates(days: Iterable[date]) -> str:
    return "{" + ",".join(day.isoformat() for day in days) + "}"


def household(flag: Flag) -> UUID:
    """Name the household that the flag is told of."""
    return events.household_of(student_key=flag.student_key, household_key=flag.household_key)


async def _on_flags(tx: Transaction, flags: Sequence[Flag], learned: school_years.Learned, as_of: datetime) -> None:
    changed = await batches.keep_newest_flags(tx.connection, [flag_row(flag, learned) for flag in flags])

    moved = [row for row in changed if row["was_flagged"] and row["household_key"] != row["former_household_key"]]
    raised = [row for row in changed if row["flagged"] and (not row["was_flagged"] or row in moved)]
    risen = {row["household_key"] for row in raised}
    fallen = {row["household_key"] for row in changed if not row["flagged"] and row["was_flagged"]}
    left = {row["former_household_key"] for row in moved}
    if risen:
        await open_or_join(tx, raised, as_of)
    if unflagged := (fallen | left) - risen:
        await withdraw_or_annotate(tx, sorted(unflagged), as_of)

    touched = {row["household_key"] for row in changed} | left
    await price(tx, await batches.open_request_ids(tx.connection, sorted(touched)), as_of=as_of)


def flag_row(flag: Flag, learned: school_years.Learned) -> tuple[Any, ...]:
    """Write a flag as `batches.keep_newest_flags` keeps it."""
    recent, level = flag.recent, flag.level.value
    is_over = learned.is_over(flag)
    return (
        flag.student_key,
        household(flag),
        flag.district,
        flag.school,
        flag.grade and flag.grade.value,
        events.Level.NONE.value if is_over else level,
        flag.days_absent,
        flag.days_enrolled,
        flag.school_year,
        flag.version,
        flag.as_of,
        _dates(sorted(flag.absent_days)),
        _dates(sorted(flag.corrected_days)),
        recent and recent.last_20_absent,
        recent and recent.last_20_counted,
        recent and recent.before_20_absent,
        recent and recent.before_20_counted,
        recent and recent.spell,
        flag.chronic_last_year,
        flag.new_to_district,
        level if is_over else None,
    )


async def open_or_join(tx: Transaction, raised: Sequence[asyncpg.Record], as_of: datetime) -> None:
    """Open a request for each household of these flags, or let them join the one there is.

    Rows: household_key, student_key, district, school_year.
    """
    today = local_day(as_of, zone=tx.zone)
    joining: dict[UUID, list[str]] = {}
    for row in raised:
        joining.setdefault(row["household_key"], []).append(str(row["student_key"]))
    opening = {row["household_key"] for row in await school_years.may_open(tx, raised, today=today)}
    # A flag that may open none joins the request that there is.
    joined = await batches.households_waiting(tx.connection, sorted(joining.keys() - opening))
    rows = await batches.open_requests(tx.connection, households=sorted(opening | joined), today=today, as_of=as_of)

    history = []
    for _, group in groupby(rows, key=lambda row: row["request_id"]):
        children = list(group)
        first = children[0]
        what = What.FLAG_RAISED if first["was_cleared"] else What.JOINED
        history.append(
            HistoryRow(
                request_id=first["request_id"],
                version=first["version"],
                what=(What.OPENED if first["is_new"] else what).value,
                from_stage=None if first["is_new"] else first["stage"],
                to_stage=first["stage"],
                at=as_of,
                detail={"students": joining[first["household_key"]]},
            )
        )
        if first["is_new"]:
            emit(tx, _visit_requested(children, as_of))
    await changes.append_history(tx.connection, history)


def _visit_requested(rows: Sequence[asyncpg.Record], as_of: datetime) -> events.VisitRequested:
    return events.VisitRequested(
        **row_facts(rows[0], "visit.requested.v1", as_of),
        school=rows[0]["request_school"],
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


async def withdraw_or_annotate(tx: Transaction, households: Sequence[UUID], as_of: datetime) -> None:
    """Withdraw the untouched requests of these households behind which no flag stands, and note it on the others."""
    rows = await batches.withdraw_or_annotate(tx.connection, households=households, as_of=as_of)

    for row in rows:
        if row["stage"] == "closed":
            emit(tx, events.VisitRequestWithdrawn(**row_facts(row, "visit-request.withdrawn.v1", as_of)))
            emit(
                tx, row_stage_changed(row, row["from_stage"], "closed", as_of, because=ClosingReason.NO_LONGER_FLAGGED)
            )
    # The correction that did it stays with the change: which days of which child stood as absent and do no longer.
    history = [
        HistoryRow(
            request_id=row["request_id"],
            version=row["version"],
            what=(What.WITHDRAWN if row["stage"] == "closed" else What.FLAG_CLEARED).value,
            from_stage=row["from_stage"],
            to_stage=row["stage"],
            at=as_of,
            detail={"children": json.loads(row["children"])},
        )
        for row in rows
    ]
    await changes.append_history(tx.connection, history)


async def keep_promises(tx: Transaction, promises: Iterable[events.FollowUpPromised]) -> None:
    """Keep what logs promise; a repeat changes nothing."""
    rows = [(each.log_id, each.kind, each.due, each.visit_id, each.household_key) for each in promises]
    await logs.keep_promises(tx.connection, rows)


async def _on_logs(tx: Transaction, logged: Sequence[Log], as_of: datetime) -> None:
    today = local_day(as_of, zone=tx.zone)
    policy_by_district = await policies.of_districts(tx.connection, sorted({log.district for log in logged}), day=today)
    rows = await logs.apply_logged_visits(
        tx.connection,
        [_logged_visit(log) for log in logged],
        follow_up_on_by_district={
            district: today + timedelta(days=policy.follow_up_days) for district, policy in policy_by_district.items()
        },
        as_of=as_of,
    )

    history = []
    for row in rows:
        steps = [(What.VISIT_ATTEMPTED, row["stage"])]
        if row["state"] == "completed":
            steps = [(What.VISITED, "visited"), (What.LOGGED, row["stage"])]
        stage = row["from_stage"]
        for version, (what, to_stage) in enumerate(steps, start=row["version"] - len(steps) + 1):
            detail = {"visit_id": str(row["visit_id"])}
            history.append(HistoryRow(row["request_id"], version, what.value, stage, to_stage, as_of, detail))
            if stage != to_stage:
                emit(tx, row_stage_changed(row, stage, to_stage, as_of, version=version))
            stage = to_stage
    await changes.append_history(tx.connection, history)
    await price(tx, [row["request_id"] for row in rows], as_of=as_of)


def _logged_visit(log: Log) -> tuple[UUID, str, str]:
    state = VisitState.COMPLETED if isinstance(log, events.VisitCompleted) else VisitState.ATTEMPTED
    declined_today = log.outcome is events.Outcome.DECLINED_TODAY
    return log.visit_id, state.value, visits.stage_after_visit(state=state, declined_today=declined_today).value


async def _on_contacts(
    tx: Transaction, contacts: list[events.HouseholdContactChanged | events.ContactForgotten]
) -> None:
    standing, forgotten = events.contacts_after(contacts)

    if forgotten:
        await batches.forget_contacts(tx.connection, forgotten)
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
                contact.occurred_at,
            )
            for contact in standing
        ],
    )
    named = {student.student_key for contact in standing for student in contact.students}
    await forgetting.strip_names(tx, named)

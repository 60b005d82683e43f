"""How every change of a request is made: locked, allowed, saved with its history, and told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts import events
from contracts.identities import identity
from services.runtime.delivery.transaction import Transaction
from services.scheduling.handlers.acts import Act
from services.scheduling.rules import visits
from services.scheduling.rules.bounds import Versioned
from services.scheduling.rules.visits import BECAUSE_TOLD, ClosingReason, Request, What
from services.scheduling.store import changes

HOME_VISITS = "home-visits"


def emit(tx: Transaction, event: events.Event) -> None:
    """Publish an event about a household after the commit."""
    # Keyed by household: a visit's events can't overtake its request's.
    tx.emit(topic=HOME_VISITS, key=str(event.household_key), event=event)  # type: ignore[attr-defined]


def facts_of(request: Request, event_type: str, as_of: datetime) -> dict[str, Any]:
    """Give what every event about a request says."""
    return {
        "event_id": identity(event_type, request.request_id, request.version),
        "event_type": event_type,
        "occurred_at": as_of,
        "district": request.district,
        "household_key": request.household_key,
        "request_id": request.request_id,
        "version": request.version,
    }


async def lock_for_reading(act: Act[UUID, Versioned]) -> Request:
    """Lock the request that the person wants to work on.

    Raises RequestUnknown, also for one of a district that is not theirs, and NotAllowed.
    """
    request = await changes.lock_request(act.tx.connection, act.subject)
    if request is None or not act.person.may_see(request.district):
        raise visits.RequestUnknown
    if not visits.may_act(act.person.role):
        raise visits.NotAllowed
    return request


async def lock_for_change(act: Act[UUID, Versioned]) -> Request:
    """Lock the request that the person may change now, at the version they read.

    Raises RequestUnknown, NotAllowed, HeldByAnother or StaleVersion.
    """
    request = await lock_for_reading(act)
    visits.check_may_change(
        request=request, actor=act.person.name, version=act.sent.version, as_of=act.as_of, zone=act.tx.zone
    )
    return request


async def change_by(
    act: Act[UUID, Versioned], request: Request, what: What, detail: Mapping[str, Any] | None = None, **columns: Any
) -> Request:
    """Change a locked request as `change` does, by the person who acts."""
    return await change(act.tx, request, what=what, actor=act.person.name, as_of=act.as_of, detail=detail, **columns)


async def change(
    tx: Transaction,
    request: Request,
    *,
    what: What,
    actor: str | None,
    as_of: datetime,
    detail: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Request:
    """Change a locked request: its columns, its version, a row of its history, and the event of its stage.

    `detail` holds codes, ids and dates: never a name, an address, a phone or free text.
    """
    saved = await changes.save_change(
        tx.connection,
        request_id=request.request_id,
        what=what,
        actor=actor,
        as_of=as_of,
        detail=detail or {},
        columns=columns,
    )
    if saved.stage is not request.stage:
        tell_stage(tx, saved, previous=request.stage.value, as_of=as_of)
    return saved


def tell_stage(tx: Transaction, saved: Request, *, previous: str, as_of: datetime) -> None:
    """Tell that a request went to another stage."""
    emit(
        tx,
        events.RequestStageChanged(
            **facts_of(saved, "visit-request.stage-changed.v1", as_of),
            stage=events.Stage(saved.stage.value),
            previous_stage=events.Stage(previous),
            closed_because=BECAUSE_TOLD[ClosingReason(saved.closed_because)] if saved.closed_because else None,
        ),
    )


def row_facts(row: asyncpg.Record, event_type: str, as_of: datetime, version: int | None = None) -> dict[str, Any]:
    """Give what every event about a request says, of one that a statement changed with many others."""
    at_version = row["version"] if version is None else version
    return {
        "event_id": identity(event_type, row["request_id"], at_version),
        "event_type": event_type,
        "occurred_at": as_of,
        "district": row["district"],
        "household_key": row["household_key"],
        "request_id": row["request_id"],
        "version": at_version,
    }


def row_stage_changed(
    row: asyncpg.Record,
    previous: str,
    stage: str,
    as_of: datetime,
    *,
    version: int | None = None,
    because: ClosingReason | None = None,
) -> events.RequestStageChanged:
    """Say that such a request went to another stage."""
    return events.RequestStageChanged(
        **row_facts(row, "visit-request.stage-changed.v1", as_of, version),
        stage=events.Stage(stage),
        previous_stage=events.Stage(previous),
        closed_because=None if because is None else BECAUSE_TOLD[because],
    )

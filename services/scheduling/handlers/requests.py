"""What people do with requests: claim, release, take over, record a contact, close, reopen, undo.

Pages and API share these; each runs in one transaction that the caller opens. Every command raises RequestUnknown,
NotAllowed, HeldByAnother, StaleVersion or NotPossible, and leaves nothing behind when it does.
"""

from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from contracts import events
from contracts.calendar import local_day
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.handlers.appointments import (
    cancel_scheduled_visit,
    cancel_visit,
    restore_previous_appointment,
    unconfirm_visit,
)
from services.scheduling.handlers.changes import change, emit, facts_of, lock_for_change, lock_for_reading, tell_stage
from services.scheduling.handlers.pricing import price_one
from services.scheduling.rules import ageing, visits
from services.scheduling.rules.visits import (
    Answer,
    ClosingReason,
    NotPossible,
    Request,
    Stage,
    TakeOverReason,
    Way,
    What,
)
from services.scheduling.rules.wording import N_
from services.scheduling.store import changes, desk, policies


async def claim(tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime) -> Request:
    """Lease a request to the person for 15 minutes; claiming one's own again extends it.

    One statement decides between two people; the loser is told who was faster.
    """
    _check_role(person)
    claimed = await desk.claim(
        tx.connection,
        request_id=request_id,
        version=version,
        districts=None if person.sees_everything else sorted(person.scopes),
        actor=person.name,
        claimed_until=as_of + visits.CLAIM_LEASE,
        as_of=as_of,
    )
    if claimed is not None:
        return _told(tx, *claimed, as_of=as_of)

    standing = await lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    visits.check_open(standing)
    # It was held when the claim was tried and is free by now: the lock waited for that.
    return await claim(tx, request_id=request_id, version=version, person=person, as_of=as_of)


async def claim_next(tx: Transaction, *, district: str, person: Person, as_of: datetime) -> Request | None:
    """Lease the request of highest priority that nobody holds; None when nothing waits."""
    _check_role(person)
    if not person.may_see(district):
        raise visits.RequestUnknown
    claimed = await desk.claim_next(
        tx.connection,
        district=district,
        actor=person.name,
        claimed_until=as_of + visits.CLAIM_LEASE,
        today=local_day(as_of, zone=tx.zone),
        as_of=as_of,
    )
    return _told(tx, *claimed, as_of=as_of) if claimed else None


def _told(tx: Transaction, claimed: Request, previous: str, *, as_of: datetime) -> Request:
    if claimed.stage.value != previous:
        tell_stage(tx, claimed, previous=previous, as_of=as_of)
    return claimed


def _check_role(person: Person) -> None:
    if not visits.may_act(person.role):
        raise visits.NotAllowed


async def take_over(
    tx: Transaction, *, request_id: UUID, version: int, reason: TakeOverReason, person: Person, as_of: datetime
) -> Request:
    """Lease a request that somebody else holds, for a stated reason that its history keeps."""
    request = await lock_for_reading(tx, request_id=request_id, person=person)
    if request.version != version:
        raise visits.StaleVersion(request=request, yours=version)
    visits.check_open(request)
    if not request.is_held(as_of) or request.claimed_by == person.name:
        raise NotPossible("not_held", N_("nobody else holds this request; claim it"))
    return await change(
        tx,
        request,
        what=What.TAKEN_OVER,
        actor=person.name,
        as_of=as_of,
        detail={"reason": reason.value, "from": request.claimed_by},
        claimed_by=person.name,
        claimed_until=as_of + visits.CLAIM_LEASE,
    )


async def release(tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime) -> Request:
    """End one's own lease. A request nobody acted on is new again."""
    request = await lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    if request.claimed_by != person.name:
        raise NotPossible("not_claimed_by_you", N_("you don't hold this request; there is nothing to release"))
    return await change(
        tx,
        request,
        what=What.RELEASED,
        actor=person.name,
        as_of=as_of,
        stage=Stage.NEW if request.stage is Stage.CLAIMED else request.stage,
        claimed_by=None,
        claimed_until=None,
    )


async def record_attempt(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    way: Way,
    answer: Answer,
    contact_again_on: date | None = None,
    person: Person,
    as_of: datetime,
) -> Request:
    """Record one contact with the family and what came of it.

    A decline or a move closes the request and cancels what was agreed; any answer takes a due promise off the top.
    """
    today = local_day(as_of, zone=tx.zone)
    request = await lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    visits.check_open(request)
    visits.check_contact_again(answer=answer, contact_again_on=contact_again_on, today=today)
    stage = visits.stage_after_answer(stage=request.stage, answer=answer)
    columns = _after_answer(request, answer, stage, contact_again_on, today)
    if answer is Answer.DECLINED:
        policy = await policies.current(tx.connection, request.district)
        columns["respected_until"] = today + timedelta(days=policy.decline_days)

    cancels = stage is Stage.CLOSED and request.stage in visits.AHEAD
    saved = await change(
        tx,
        request,
        what=What.CONTACTED,
        actor=person.name,
        as_of=as_of,
        detail={"way": way.value, "answer": answer.value, "cancelled": cancels},
        contacted_at=request.contacted_at or as_of,
        **columns,
        **(_closed(answer, as_of) if stage is Stage.CLOSED else {"stage": stage}),
    )
    await desk.record_contact_attempt(
        tx.connection,
        request=saved,
        way=way,
        answer=answer,
        contact_again_on=contact_again_on,
        actor=person.name,
        as_of=as_of,
    )
    if cancels:
        await cancel_scheduled_visit(tx, saved, as_of)
    _tell_contact(tx, saved, way, answer, as_of)
    return await price_one(tx, saved, as_of=as_of)


def _after_answer(
    request: Request, answer: Answer, stage: Stage, contact_again_on: date | None, today: date
) -> dict[str, Any]:
    if answer is Answer.NOT_REACHED:
        return {}
    pauses = ageing.without_future(request.waiting_on_family, today=today)
    if contact_again_on is not None and stage is Stage.CONTACTING:
        pauses = ageing.with_pause(pauses, begins=today, ends=contact_again_on)
    wish = {Answer.COMMUNITY: "community", Answer.PHONE: "phone", Answer.AGREED: "home"}.get(answer, request.wish)
    return {
        "waiting_on_family": pauses,
        "contact_again_on": contact_again_on if stage is Stage.CONTACTING else None,
        "wish": wish,
        "pinned": False,
        "promise_due": None,
        "promise_kind": None,
    }


def _closed(answer: Answer, as_of: datetime) -> dict[str, Any]:
    because = ClosingReason.DECLINED if answer is Answer.DECLINED else ClosingReason.MOVED
    return _closing(because, as_of)


def _closing(because: ClosingReason, as_of: datetime) -> dict[str, Any]:
    return {
        "stage": Stage.CLOSED,
        "closed_because": because.value,
        "closed_at": as_of,
        "claimed_by": None,
        "claimed_until": None,
        "follow_up_on": None,
    }


def _tell_contact(tx: Transaction, saved: Request, way: Way, answer: Answer, as_of: datetime) -> None:
    emit(
        tx,
        events.ContactAttempted(
            **facts_of(saved, "contact.attempted.v1", as_of),
            way=way.value,
            reached=answer is not Answer.NOT_REACHED,
        ),
    )
    if answer in (Answer.AGREED, Answer.COMMUNITY):
        emit(tx, events.FamilyAgreed(**facts_of(saved, "family.agreed.v1", as_of)))
    if answer is Answer.DECLINED:
        emit(tx, events.FamilyDeclined(**facts_of(saved, "family.declined.v1", as_of)))


async def close(
    tx: Transaction, *, request_id: UUID, version: int, because: ClosingReason, person: Person, as_of: datetime
) -> Request:
    """Close a request for a reason that holds. "Not reached" needs tries enough, at varied hours."""
    request = await lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    policy = await policies.current(tx.connection, request.district)
    visits.check_may_close(
        request=request,
        because=because,
        tries=await desk.tries_in_vain(tx.connection, request),
        tries_needed=policy.tries,
        flags_stand=await desk.flags_stand(tx.connection, request.household_key),
        zone=tx.zone,
    )

    saved = await change(
        tx,
        request,
        what=What.CLOSED,
        actor=person.name,
        as_of=as_of,
        detail={"because": because.value, "cancelled": request.stage in visits.AHEAD},
        **_closing(because, as_of),
    )
    await cancel_scheduled_visit(tx, saved, as_of)
    return await price_one(tx, saved, as_of=as_of)


async def reopen(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    wished_by: Literal["family", "coordinator"],
    person: Person,
    as_of: datetime,
) -> Request:
    """Let a closed request wait again, a decline included: the family, or a coordinator, wishes it."""
    request = await lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    visits.check_may_reopen(request=request, wished_by=wished_by, role=person.role)
    await _check_only_open(tx, request)

    saved = await change(
        tx,
        request,
        what=What.REOPENED,
        actor=person.name,
        as_of=as_of,
        detail={"wished_by": wished_by},
        stage=Stage.CONTACTING,
        closed_because=None,
        closed_at=None,
        contact_again_on=None,
        contacted_at=None,
        respected_until=None,
        tries_from=as_of,
        aged_from=local_day(as_of, zone=tx.zone),
        waiting_on_family=(),
    )
    emit(tx, events.RequestReopened(**facts_of(saved, "visit-request.reopened.v1", as_of), wished_by=wished_by))
    return await price_one(tx, saved, as_of=as_of)


async def _check_only_open(tx: Transaction, request: Request) -> None:
    if await desk.other_open_request(tx.connection, request):
        raise NotPossible("open_request_exists", N_("the household has another open request by now; work on that one"))


async def undo(tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime) -> Request:
    """Take one's last change back by a change of its own.

    A contact with a family stays in the record: what goes is the answer that was entered wrongly.
    """
    request = await lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    last = await changes.last_change(tx.connection, request)
    if last is None or last["before"] is None:
        raise NotPossible("nothing_to_undo", N_("the last change is not yours to undo; look at the history"))
    what = What(last["what"])
    if what in (What.APPOINTED, What.RESCHEDULED, What.CONFIRMED) and last["actor"] == person.name:
        return await _undo_appointment(tx, what, request_id=request_id, version=version, person=person, as_of=as_of)
    policy = await policies.current(tx.connection, request.district)
    visits.check_may_undo(
        what=what, actor=last["actor"], person=person.name, at=last["at"], undo_minutes=policy.undo_minutes, as_of=as_of
    )
    columns = changes.columns_before(last["before"])
    columns["stage"] = visits.stage_after_undo(
        former=Stage(columns["stage"]), answer_cancelled_visit=bool(last["detail"].get("cancelled"))
    )
    if request.stage is Stage.CLOSED and columns["stage"] is not Stage.CLOSED:
        await _check_only_open(tx, request)

    if what is What.CONTACTED:
        await desk.withdraw_answer(tx.connection, request=request, as_of=as_of)
        # The family was contacted, whatever it said.
        columns["contacted_at"] = request.contacted_at
        today = local_day(as_of, zone=tx.zone)
        columns["waiting_on_family"] = ageing.without_future(request.waiting_on_family, today=today)
    if what is What.RELEASED:
        columns |= {"claimed_by": person.name, "claimed_until": as_of + visits.CLAIM_LEASE}
    if what is What.CLAIMED or (what is What.TAKEN_OVER and not _still_leased(columns, as_of)):
        columns |= {"claimed_by": None, "claimed_until": None}
    saved = await change(
        tx,
        request,
        what=What.UNDONE,
        actor=person.name,
        as_of=as_of,
        detail={"undone": what.value, "version": request.version},
        **columns,
    )
    return await price_one(tx, saved, as_of=as_of)


async def _undo_appointment(
    tx: Transaction, what: What, *, request_id: UUID, version: int, person: Person, as_of: datetime
) -> Request:
    if what is What.APPOINTED:
        return await cancel_visit(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    if what is What.CONFIRMED:
        return await unconfirm_visit(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    restored = await restore_previous_appointment(
        tx, request_id=request_id, version=version, person=person, as_of=as_of
    )
    return restored.request


def _still_leased(columns: dict[str, Any], as_of: datetime) -> bool:
    return columns["claimed_until"] is not None and columns["claimed_until"] > as_of


async def disclose_contact(
    tx: Transaction, *, request_id: UUID, person: Person, as_of: datetime
) -> dict[str, Any] | None:
    """Show a family's contact data to somebody who works on it, and record that it was; None: not known."""
    request = await changes.find_request(tx.connection, request_id)
    if request is None or not person.may_see(request.district):
        raise visits.RequestUnknown
    _check_role(person)
    return await desk.disclose_contact(tx.connection, request=request, actor=person.name, as_of=as_of)

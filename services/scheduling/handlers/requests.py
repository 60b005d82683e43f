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
from services.runtime.web.disclosing import disclose
from services.runtime.web.people import Person
from services.scheduling.handlers import disclosing
from services.scheduling.handlers.acts import Act
from services.scheduling.handlers.appointments import (
    cancel_scheduled_visit,
    cancel_visit,
    restore_previous_appointment,
    unconfirm_visit,
)
from services.scheduling.handlers.changes import (
    change_by,
    emit,
    facts_of,
    lock_for_change,
    lock_for_reading,
    tell_stage,
)
from services.scheduling.handlers.pricing import price_one
from services.scheduling.rules import ageing, visits
from services.scheduling.rules.bounds import Day, Versioned
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


class TakeOver(Versioned):
    """Why the request is taken from its holder."""

    reason: TakeOverReason


class RecordAttempt(Versioned):
    """What came of one contact with the family. A decline needs no reason, so none can be sent."""

    way: Way = Way.CALL
    answer: Answer
    contact_again_on: Day | None = None


class Close(Versioned):
    """Why nothing more is to be done. A decline is an answer, not a reason to close."""

    because: ClosingReason


class Reopen(Versioned):
    """Whose wish it is."""

    wished_by: Literal["family", "coordinator"]


async def claim(act: Act[UUID, Versioned]) -> Request:
    """Lease a request to the person for 15 minutes; claiming one's own again extends it.

    One statement decides between two people; the loser is told who was faster.
    """
    _check_role(act.person)
    claimed = await desk.claim(
        act.tx.connection,
        request_id=act.subject,
        version=act.sent.version,
        districts=None if act.person.sees_everything else sorted(act.person.scopes),
        actor=act.person.name,
        claimed_until=act.as_of + visits.CLAIM_LEASE,
        as_of=act.as_of,
    )
    if claimed is not None:
        return _told(act.tx, *claimed, as_of=act.as_of)

    visits.check_open(await lock_for_change(act))
    # It was held when the claim was tried and is free by now: the lock waited for that.
    return await claim(act)


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


async def take_over(act: Act[UUID, TakeOver]) -> Request:
    """Lease a request that somebody else holds, for a stated reason that its history keeps."""
    request = await lock_for_reading(act)
    if request.version != act.sent.version:
        raise visits.StaleVersion(request=request, yours=act.sent.version)
    visits.check_open(request)
    if not request.is_held(act.as_of) or request.claimed_by == act.person.name:
        raise NotPossible("not_held", N_("nobody else holds this request; claim it"))
    return await change_by(
        act,
        request,
        What.TAKEN_OVER,
        {"reason": act.sent.reason.value, "from": request.claimed_by},
        claimed_by=act.person.name,
        claimed_until=act.as_of + visits.CLAIM_LEASE,
    )


async def release(act: Act[UUID, Versioned]) -> Request:
    """End one's own lease. A request nobody acted on is new again."""
    request = await lock_for_change(act)
    if request.claimed_by != act.person.name:
        raise NotPossible("not_claimed_by_you", N_("you don't hold this request; there is nothing to release"))
    stage = Stage.NEW if request.stage is Stage.CLAIMED else request.stage
    return await change_by(act, request, What.RELEASED, stage=stage, claimed_by=None, claimed_until=None)


async def record_attempt(act: Act[UUID, RecordAttempt]) -> Request:
    """Record one contact with the family and what came of it.

    A decline or a move closes the request and cancels what was agreed; any answer takes a due promise off the top.
    """
    said, as_of, today = act.sent, act.as_of, local_day(act.as_of, zone=act.tx.zone)
    request = await lock_for_change(act)
    visits.check_open(request)
    visits.check_contact_again(answer=said.answer, contact_again_on=said.contact_again_on, today=today)
    stage = visits.stage_after_answer(stage=request.stage, answer=said.answer)
    columns = _after_answer(request, said, stage, today)
    if said.answer is Answer.DECLINED:
        policy = await policies.current(act.tx.connection, request.district, day=today)
        columns["respected_until"] = today + timedelta(days=policy.decline_days)

    cancels = stage is Stage.CLOSED and request.stage in visits.AHEAD
    saved = await change_by(
        act,
        request,
        What.CONTACTED,
        {"way": said.way.value, "answer": said.answer.value, "cancelled": cancels},
        contacted_at=request.contacted_at or as_of,
        **columns,
        **(_closed(said.answer, as_of) if stage is Stage.CLOSED else {"stage": stage}),
    )
    await desk.record_contact_attempt(
        act.tx.connection,
        request=saved,
        way=said.way,
        answer=said.answer,
        contact_again_on=said.contact_again_on,
        actor=act.person.name,
        as_of=as_of,
    )
    if cancels:
        await cancel_scheduled_visit(act.tx, saved, as_of)
    _tell_contact(act.tx, saved, said, as_of)
    return await price_one(act.tx, saved, as_of=as_of)


def _after_answer(request: Request, said: RecordAttempt, stage: Stage, today: date) -> dict[str, Any]:
    if said.answer is Answer.NOT_REACHED:
        return {}
    pauses = ageing.without_future(request.waiting_on_family, today=today)
    again = said.contact_again_on if stage is Stage.CONTACTING else None
    if again is not None:
        pauses = ageing.with_pause(pauses, begins=today, ends=again)
    wish = {Answer.COMMUNITY: "community", Answer.PHONE: "phone", Answer.AGREED: "home"}.get(said.answer, request.wish)
    return {
        "waiting_on_family": pauses,
        "contact_again_on": again,
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


def _tell_contact(tx: Transaction, saved: Request, said: RecordAttempt, as_of: datetime) -> None:
    reached = said.answer is not Answer.NOT_REACHED
    facts = facts_of(saved, "contact.attempted.v1", as_of)
    emit(tx, events.ContactAttempted(**facts, way=said.way.value, reached=reached))
    if said.answer in (Answer.AGREED, Answer.COMMUNITY):
        emit(tx, events.FamilyAgreed(**facts_of(saved, "family.agreed.v1", as_of)))
    if said.answer is Answer.DECLINED:
        emit(tx, events.FamilyDeclined(**facts_of(saved, "family.declined.v1", as_of)))


async def close(act: Act[UUID, Close]) -> Request:
    """Close a request for a reason that holds. "Not reached" needs tries enough, at varied hours."""
    request = await lock_for_change(act)
    connection, because = act.tx.connection, act.sent.because
    policy = await policies.current(connection, request.district, day=act.today)
    visits.check_may_close(
        request=request,
        because=because,
        tries=await desk.tries_in_vain(connection, request),
        tries_needed=policy.tries,
        flags_stand=await desk.flags_stand(connection, request.household_key),
        zone=act.tx.zone,
    )

    detail = {"because": because.value, "cancelled": request.stage in visits.AHEAD}
    saved = await change_by(act, request, What.CLOSED, detail, **_closing(because, act.as_of))
    await cancel_scheduled_visit(act.tx, saved, act.as_of)
    return await price_one(act.tx, saved, as_of=act.as_of)


async def reopen(act: Act[UUID, Reopen]) -> Request:
    """Let a closed request wait again, a decline included: the family, or a coordinator, wishes it."""
    tx, as_of, wished_by = act.tx, act.as_of, act.sent.wished_by
    request = await lock_for_change(act)
    visits.check_may_reopen(request=request, wished_by=wished_by, role=act.person.role)
    await _check_only_open(tx, request)

    saved = await change_by(
        act,
        request,
        What.REOPENED,
        {"wished_by": wished_by},
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


async def undo(act: Act[UUID, Versioned]) -> Request:
    """Take one's last change back by a change of its own.

    A contact with a family stays in the record: what goes is the answer that was entered wrongly.
    """
    connection, as_of, person = act.tx.connection, act.as_of, act.person
    request = await lock_for_change(act)
    last = await changes.last_change(connection, request)
    if last is None or last["before"] is None:
        raise NotPossible("nothing_to_undo", N_("the last change is not yours to undo; look at the history"))
    what = What(last["what"])
    if what in (What.APPOINTED, What.RESCHEDULED, What.CONFIRMED) and last["actor"] == person.name:
        return await _undo_appointment(act, what)
    policy = await policies.current(connection, request.district, day=act.today)
    visits.check_may_undo(
        what=what, actor=last["actor"], person=person.name, at=last["at"], undo_minutes=policy.undo_minutes, as_of=as_of
    )
    columns = changes.columns_before(last["before"])
    columns["stage"] = visits.stage_after_undo(
        former=Stage(columns["stage"]), answer_cancelled_visit=bool(last["detail"].get("cancelled"))
    )
    if request.stage is Stage.CLOSED and columns["stage"] is not Stage.CLOSED:
        await _check_only_open(act.tx, request)

    if what is What.CONTACTED:
        await desk.withdraw_answer(connection, request=request, as_of=as_of)
        # The family was contacted, whatever it said.
        columns["contacted_at"] = request.contacted_at
        today = local_day(as_of, zone=act.tx.zone)
        columns["waiting_on_family"] = ageing.without_future(request.waiting_on_family, today=today)
    if what is What.RELEASED:
        columns |= {"claimed_by": person.name, "claimed_until": as_of + visits.CLAIM_LEASE}
    if what is What.CLAIMED or (what is What.TAKEN_OVER and not _still_leased(columns, as_of)):
        columns |= {"claimed_by": None, "claimed_until": None}
    detail = {"undone": what.value, "version": request.version}
    saved = await change_by(act, request, What.UNDONE, detail, **columns)
    return await price_one(act.tx, saved, as_of=as_of)


async def _undo_appointment(act: Act[UUID, Versioned], what: What) -> Request:
    if what is What.APPOINTED:
        return await cancel_visit(act)
    if what is What.CONFIRMED:
        return await unconfirm_visit(act)
    return (await restore_previous_appointment(act)).request


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
    contact = await desk.contact_of(tx.connection, request.household_key)
    if contact is not None:
        shown = disclosing.household_of(request, disclosing.children_of(contact))
        await disclose(tx.connection, person, shown, disclosing.CONTACT, as_of=as_of)
    return contact

"""What people do with visits: agree, move, cancel, confirm. The request is locked first, then its pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts import events
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.handlers import changes
from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import AppointmentRefused, Meeting, because
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import Request, Stage, What
from services.scheduling.store import appointments, policies, visitors
from services.scheduling.store.appointments import Appointment

CONSENTED = frozenset({Stage.AGREED, Stage.PAIRED, Stage.CONFIRMED, Stage.VISITED, Stage.LOGGED})
"""The stages in which the family wishes a visit: the first, or the next."""

DAY = timedelta(days=1)
LONGEST_PLACE_TEXT = 200
MOST_OFFERED_TIMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What stands agreed after a command."""

    request: Request
    visit_id: UUID
    revision: int
    starts_at: datetime
    ends_at: datetime
    language: str
    interpreter: bool
    pair: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    starts_at: datetime
    minutes: int
    place: events.Place
    place_text: str | None
    language: str
    interpreter: bool | None
    pair: tuple[str, str]


async def appoint(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    starts_at: datetime,
    place: events.Place,
    pair: Sequence[str],
    person: Person,
    as_of: datetime,
    minutes: int | None = None,
    language: str | None = None,
    interpreter: bool | None = None,
    place_text: str | None = None,
) -> Agreed:
    """Agree a visit's time, place and pair, or move the one that lies ahead.

    Left out: the district's usual length, the household's language, an interpreter if neither of the pair speaks it.

    Raises what changes.lock_for_change raises, and AppointmentRefused with every rule that is broken.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    policy = await policies.current(tx.connection, request.district)
    wish = _Wish(
        starts_at=starts_at,
        minutes=minutes if minutes is not None else policy.visit_minutes,
        place=place,
        place_text=place_text,
        language=language or await appointments.household_language(tx.connection, request.household_key),
        interpreter=interpreter,
        pair=_two(pair),
    )
    standing = await appointments.scheduled_appointment(tx.connection, request_id)
    return await _agree(tx, request, wish, standing=standing, person=person, as_of=as_of)


async def reschedule(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    person: Person,
    as_of: datetime,
    starts_at: datetime | None = None,
    place: events.Place | None = None,
    pair: Sequence[str] | None = None,
    minutes: int | None = None,
    language: str | None = None,
    interpreter: bool | None = None,
    place_text: str | None = None,
) -> Agreed:
    """Change of the visit that lies ahead what is named; the rest stays, and so does the former appointment.

    Raises what changes.lock_for_change raises, and AppointmentRefused with every rule that is broken.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    standing = await appointments.scheduled_appointment(tx.connection, request_id)
    if standing is None:
        raise AppointmentRefused([because("none_scheduled")])

    former = _as_it_was(standing)
    wish = _Wish(
        starts_at=starts_at or former.starts_at,
        minutes=minutes if minutes is not None else former.minutes,
        place=place or former.place,
        place_text=place_text or (former.place_text if place in (None, former.place) else None),
        language=language or former.language,
        # Another pair or language decides anew whether an interpreter is needed.
        interpreter=interpreter if interpreter is not None or pair or language else former.interpreter,
        pair=_two(pair) if pair is not None else former.pair,
    )
    if wish == former:
        raise AppointmentRefused([because("unchanged")])
    return await _agree(tx, request, wish, standing=standing, person=person, as_of=as_of)


async def restore_previous_appointment(
    tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime
) -> Agreed:
    """Undo a reschedule by a new revision that says what the one before said; every rule is asked again.

    Raises what changes.lock_for_change raises, and AppointmentRefused, also where the visit was never moved.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    standing = await appointments.scheduled_appointment(tx.connection, request_id)
    before = standing and await appointments.revision_before(tx.connection, standing.visit_id)
    if before is None:
        raise AppointmentRefused([because("none_before")])
    return await _agree(tx, request, _as_it_was(before), standing=standing, person=person, as_of=as_of)


async def cancel_visit(tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime) -> Request:
    """Cancel the visit that lies ahead; the family's consent stands and another can be agreed.

    Raises what changes.lock_for_change raises, and AppointmentRefused where there is none.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    standing = await appointments.scheduled_appointment(tx.connection, request_id)
    if standing is None:
        raise AppointmentRefused([because("none_scheduled")])

    saved = await changes.change(
        tx,
        request,
        what=What.CANCELLED,
        actor=person.name,
        as_of=as_of,
        stage=Stage.AGREED,
        detail={"visit_id": str(standing.visit_id)},
    )
    await cancel_scheduled_visit(tx, saved, as_of)
    return saved


async def cancel_scheduled_visit(tx: Transaction, request: Request, as_of: datetime) -> bool:
    """Cancel the visit that lies ahead of a locked request, if any: its pair is free again.

    Returns whether there was one. The request's stage is the caller's to change.
    """
    visit_id = await appointments.scheduled_visit(tx.connection, request.request_id)
    if visit_id is None:
        return False
    await appointments.cancel_visit(tx.connection, visit_id)
    facts = changes.facts_of(request, "visit.cancelled.v1", as_of)
    changes.emit(tx, events.VisitCancelled(**facts, visit_id=visit_id))
    return True


async def confirm_visit(tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime) -> Request:
    """Note that family and pair know of the visit that lies ahead.

    Raises what changes.lock_for_change raises, and AppointmentRefused where there is none, or it is confirmed.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    if request.stage is not Stage.PAIRED:
        raise AppointmentRefused([because("confirmed" if request.stage is Stage.CONFIRMED else "none_scheduled")])
    return await changes.change(tx, request, what=What.CONFIRMED, actor=person.name, as_of=as_of, stage=Stage.CONFIRMED)


async def unconfirm_visit(
    tx: Transaction, *, request_id: UUID, version: int, person: Person, as_of: datetime
) -> Request:
    """Take a confirmation back.

    Raises what changes.lock_for_change raises, and AppointmentRefused where nothing is confirmed.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    if request.stage is not Stage.CONFIRMED:
        raise AppointmentRefused([because("not_confirmed")])
    return await changes.change(tx, request, what=What.UNCONFIRMED, actor=person.name, as_of=as_of, stage=Stage.PAIRED)


async def offer_times(
    tx: Transaction,
    *,
    request_id: UUID,
    version: int,
    times: Sequence[tuple[datetime, datetime]],
    person: Person,
    as_of: datetime,
) -> Request:
    """Keep when the family could, instead of what was kept before; none of it is promised.

    Raises what changes.lock_for_change raises, and AppointmentRefused for windows that make no sense.
    """
    request = await changes.lock_for_change(tx, request_id=request_id, version=version, person=person, as_of=as_of)
    begins = [begins_at for begins_at, _ in times]
    sensible = all(
        as_of - DAY < begins_at < ends_at <= as_of + pairing.FURTHEST and as_of < ends_at
        for begins_at, ends_at in times
    )
    if not sensible or len(times) > MOST_OFFERED_TIMES or len(set(begins)) != len(begins):
        raise AppointmentRefused([because("offered")])

    await appointments.replace_offered_times(tx.connection, request_id, times)
    return await changes.change(
        tx, request, what=What.OFFERED, actor=person.name, as_of=as_of, detail={"windows": len(times)}
    )


async def _agree(
    tx: Transaction, request: Request, wish: _Wish, *, standing: Appointment | None, person: Person, as_of: datetime
) -> Agreed:
    policy = await policies.current(tx.connection, request.district)
    _check(request, wish)
    moving = standing.visit_id if standing else None
    interpreter = await _check_pair(tx, request, wish, policy=policy, moving=moving, as_of=as_of)

    visit_id = moving or await appointments.open_visit(tx.connection, request.request_id)
    follow_up = await appointments.visited_before(tx.connection, request.household_key)
    revision = await appointments.append_appointment(
        tx.connection,
        visit_id=visit_id,
        starts_at=wish.starts_at,
        minutes=wish.minutes,
        travel_minutes=policy.travel_minutes,
        place=wish.place.value,
        place_text=wish.place_text,
        language=wish.language,
        interpreter=interpreter,
        follow_up=follow_up,
        pair=wish.pair,
        actor=person.name,
        as_of=as_of,
    )
    saved = await changes.change(
        tx,
        request,
        what=What.RESCHEDULED if standing else What.APPOINTED,
        actor=person.name,
        as_of=as_of,
        stage=Stage.PAIRED,
        detail={"visit_id": str(visit_id), "revision": revision},
    )
    agreed = Agreed(
        request=saved,
        visit_id=visit_id,
        revision=revision,
        starts_at=wish.starts_at,
        ends_at=wish.starts_at + timedelta(minutes=wish.minutes),
        language=wish.language,
        interpreter=interpreter,
        pair=wish.pair,
    )
    _tell(tx, agreed, wish, follow_up=follow_up, moved=standing is not None, as_of=as_of)
    return agreed


async def _check_pair(
    tx: Transaction, request: Request, wish: _Wish, *, policy: Policy, moving: UUID | None, as_of: datetime
) -> bool:
    """Lock the pair and ask every hard rule of it. Returns whether an interpreter comes along."""
    if hindrances := pairing.hindrances_of_time(
        starts_at=wish.starts_at, minutes=wish.minutes, policy=policy, as_of=as_of, zone=tx.zone
    ):
        raise AppointmentRefused(hindrances)
    meeting = Meeting(
        household_key=request.household_key,
        district=request.district,
        schools=await appointments.schools_of(tx.connection, request.household_key) | {request.school},
        starts_at=wish.starts_at,
        minutes=wish.minutes,
        language=wish.language,
        zone=tx.zone,
        interpreter=wish.interpreter,
    )
    # From here on nobody else books or changes these two: what is read now holds until the commit.
    known = await visitors.lock_visitors(tx.connection, wish.pair)
    begins_at, ends_at = pairing.week_around(wish.starts_at, zone=tx.zone)
    bookings = await visitors.bookings_between(
        tx.connection, visitor_ids=wish.pair, begins_at=begins_at - DAY, ends_at=ends_at + DAY
    )
    if hindrances := pairing.hindrances_of_pair(
        pair=wish.pair, visitors=known, meeting=meeting, bookings=bookings, policy=policy, moving=moving
    ):
        raise AppointmentRefused(hindrances)
    return pairing.needs_interpreter(pair=known.values(), meeting=meeting)


def _tell(tx: Transaction, agreed: Agreed, wish: _Wish, *, follow_up: bool, moved: bool, as_of: datetime) -> None:
    # Without the place's text: where a family is met stays with those who go.
    told: dict[str, Any] = {
        "visit_id": agreed.visit_id,
        "starts_at": wish.starts_at,
        "place": wish.place,
        "language": wish.language,
        "pair": wish.pair,
        "minutes": wish.minutes,
        "interpreter": agreed.interpreter,
        "follow_up": follow_up,
    }
    if moved:
        facts = changes.facts_of(agreed.request, "visit.rescheduled.v1", as_of)
        changes.emit(tx, events.VisitRescheduled(**facts, **told))
    else:
        facts = changes.facts_of(agreed.request, "visit.scheduled.v1", as_of)
        changes.emit(tx, events.VisitScheduled(**facts, **told))


def _check(request: Request, wish: _Wish) -> None:
    if request.stage not in CONSENTED:
        raise AppointmentRefused([because("consent")])
    if wish.place_text is not None and (
        wish.place is not events.Place.COMMUNITY or not 1 <= len(wish.place_text) <= LONGEST_PLACE_TEXT
    ):
        raise AppointmentRefused([because("place_text")])


def _as_it_was(appointment: Appointment) -> _Wish:
    return _Wish(
        starts_at=appointment.starts_at,
        minutes=appointment.minutes,
        place=events.Place(appointment.place),
        place_text=appointment.place_text,
        language=appointment.language,
        interpreter=appointment.interpreter,
        pair=appointment.pair,
    )


def _two(pair: Sequence[str]) -> tuple[str, str]:
    if len(pair) != 2:
        raise AppointmentRefused([because("not_a_pair")])
    return pair[0], pair[1]

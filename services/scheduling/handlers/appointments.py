"""What people do with visits: agree, move, cancel, confirm. The request is locked first, then its pair."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts import events
from contracts.identities import version_after
from services.runtime.delivery.transaction import Transaction
from services.scheduling.handlers import changes
from services.scheduling.handlers.acts import Act
from services.scheduling.rules import pairing
from services.scheduling.rules.bounds import LanguageCode, Minutes, Pair, Part, PlaceText, Versioned
from services.scheduling.rules.pairing import AppointmentRefused, Meeting, because
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.visits import Request, Stage, What
from services.scheduling.store import appointments, policies, visitors
from services.scheduling.store.appointments import Appointment, Terms

CONSENTED = frozenset({Stage.AGREED, Stage.PAIRED, Stage.CONFIRMED, Stage.VISITED, Stage.LOGGED})
"""The stages in which the family wishes a visit: the first, or the next."""

DAY = timedelta(days=1)
MOST_OFFERED_TIMES = 20


class Appoint(Versioned):
    """The time, place and pair agreed with the family. Language: the household's own where none is sent."""

    starts_at: AwareDatetime
    place: events.Place
    pair: Pair
    minutes: Minutes | None = None
    language: LanguageCode | None = None
    interpreter: bool | None = None
    place_text: PlaceText | None = None


class Reschedule(Versioned):
    """What changes of the visit that lies ahead; what is left out stays."""

    starts_at: AwareDatetime | None = None
    place: events.Place | None = None
    pair: Pair | None = None
    minutes: Minutes | None = None
    language: LanguageCode | None = None
    interpreter: bool | None = None
    place_text: PlaceText | None = None


class TimeOffered(Part):
    """A time in which the family could."""

    begins_at: AwareDatetime
    ends_at: AwareDatetime


class OfferTimes(Versioned):
    """When the family could, instead of what was said before."""

    times: Annotated[tuple[TimeOffered, ...], Field(max_length=MOST_OFFERED_TIMES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What stands agreed after a command."""

    request: Request
    visit_id: UUID
    revision: int
    terms: Terms
    """The interpreter is decided by now."""

    @property
    def ends_at(self) -> datetime:
        """Name the end of the visit."""
        return self.terms.starts_at + timedelta(minutes=self.terms.minutes)


async def appoint(act: Act[UUID, Appoint]) -> Agreed:
    """Agree a visit's time, place and pair, or move the one that lies ahead.

    Left out: the district's usual length, the household's language, an interpreter if neither of the pair speaks it.

    Raises what changes.lock_for_change raises, and AppointmentRefused with every rule that is broken.
    """
    connection, said = act.tx.connection, act.sent
    request = await changes.lock_for_change(act)
    policy = await policies.current(connection, request.district, day=act.today)
    terms = Terms(
        starts_at=said.starts_at,
        minutes=said.minutes if said.minutes is not None else policy.visit_minutes,
        place=said.place,
        place_text=said.place_text,
        language=said.language or await appointments.household_language(connection, request.household_key),
        interpreter=said.interpreter,
        pair=_two(said.pair),
    )
    standing = await appointments.scheduled_appointment(connection, act.subject)
    return await _agree(act, request, terms, standing)


async def reschedule(act: Act[UUID, Reschedule]) -> Agreed:
    """Change of the visit that lies ahead what is named; the rest stays, and so does the former appointment.

    Raises what changes.lock_for_change raises, and AppointmentRefused with every rule that is broken.
    """
    said = act.sent
    request = await changes.lock_for_change(act)
    standing = await _scheduled(act)
    former = standing.terms()
    # Another pair or language decides anew whether an interpreter is needed.
    interpreter = None if said.pair or said.language else former.interpreter
    terms = Terms(
        starts_at=said.starts_at or former.starts_at,
        minutes=said.minutes if said.minutes is not None else former.minutes,
        place=said.place or former.place,
        place_text=said.place_text or (former.place_text if said.place in (None, former.place) else None),
        language=said.language or former.language,
        interpreter=said.interpreter if said.interpreter is not None else interpreter,
        pair=_two(said.pair) if said.pair is not None else former.pair,
    )
    if terms == former:
        raise AppointmentRefused([because("unchanged")])
    return await _agree(act, request, terms, standing)


async def restore_previous_appointment(act: Act[UUID, Versioned]) -> Agreed:
    """Undo a reschedule by a new revision that says what the one before said; every rule is asked again.

    Raises what changes.lock_for_change raises, and AppointmentRefused, also where the visit was never moved.
    """
    request = await changes.lock_for_change(act)
    standing = await appointments.scheduled_appointment(act.tx.connection, act.subject)
    before = standing and await appointments.revision_before(act.tx.connection, standing.visit_id)
    if before is None:
        raise AppointmentRefused([because("none_before")])
    return await _agree(act, request, before.terms(), standing)


async def cancel_visit(act: Act[UUID, Versioned]) -> Request:
    """Cancel the visit that lies ahead; the family's consent stands and another can be agreed.

    Raises what changes.lock_for_change raises, and AppointmentRefused where there is none.
    """
    request = await changes.lock_for_change(act)
    standing = await _scheduled(act)
    detail = {"visit_id": str(standing.visit_id)}

    saved = await changes.change_by(act, request, What.CANCELLED, detail, stage=Stage.AGREED)
    await cancel_scheduled_visit(act.tx, saved, act.as_of)
    return saved


async def _scheduled(act: Act[UUID, Versioned]) -> Appointment:
    standing = await appointments.scheduled_appointment(act.tx.connection, act.subject)
    if standing is None:
        raise AppointmentRefused([because("none_scheduled")])
    return standing


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


async def confirm_visit(act: Act[UUID, Versioned]) -> Request:
    """Note that family and pair know of the visit that lies ahead.

    Raises what changes.lock_for_change raises, and AppointmentRefused where there is none, or it is confirmed.
    """
    request = await changes.lock_for_change(act)
    if request.stage is not Stage.PAIRED:
        raise AppointmentRefused([because("confirmed" if request.stage is Stage.CONFIRMED else "none_scheduled")])
    return await changes.change_by(act, request, What.CONFIRMED, stage=Stage.CONFIRMED)


async def unconfirm_visit(act: Act[UUID, Versioned]) -> Request:
    """Take a confirmation back.

    Raises what changes.lock_for_change raises, and AppointmentRefused where nothing is confirmed.
    """
    request = await changes.lock_for_change(act)
    if request.stage is not Stage.CONFIRMED:
        raise AppointmentRefused([because("not_confirmed")])
    return await changes.change_by(act, request, What.UNCONFIRMED, stage=Stage.PAIRED)


async def offer_times(act: Act[UUID, OfferTimes]) -> Request:
    """Keep when the family could, instead of what was kept before; none of it is promised.

    Raises what changes.lock_for_change raises, and AppointmentRefused for windows that make no sense.
    """
    request = await changes.lock_for_change(act)
    times = [(window.begins_at, window.ends_at) for window in act.sent.times]
    sensible = all(
        act.as_of - DAY < begins_at < ends_at <= act.as_of + pairing.FURTHEST and act.as_of < ends_at
        for begins_at, ends_at in times
    )
    if not sensible or len({begins_at for begins_at, _ in times}) != len(times):
        raise AppointmentRefused([because("offered")])

    await appointments.replace_offered_times(act.tx.connection, act.subject, times)
    return await changes.change_by(act, request, What.OFFERED, {"windows": len(times)})


async def _agree(act: Act[UUID, Versioned], request: Request, terms: Terms, standing: Appointment | None) -> Agreed:
    connection = act.tx.connection
    policy = await policies.current(connection, request.district, day=act.today)
    _check(request, terms)
    moving = standing.visit_id if standing else None
    interpreter = await _check_pair(act.tx, request, terms, policy=policy, moving=moving, as_of=act.as_of)
    terms = replace(terms, interpreter=interpreter)

    version = version_after(request.version, as_of=act.as_of)
    visit_id = moving or await appointments.open_visit(connection, request_id=request.request_id, version=version)
    follow_up = await appointments.visited_before(connection, request.household_key)
    revision = await appointments.append_appointment(
        connection,
        visit_id,
        terms,
        travel_minutes=policy.travel_minutes,
        follow_up=follow_up,
        actor=act.person.name,
        as_of=act.as_of,
    )
    saved = await changes.change_by(
        act,
        request,
        What.RESCHEDULED if standing else What.APPOINTED,
        {"visit_id": str(visit_id), "revision": revision},
        stage=Stage.PAIRED,
    )
    agreed = Agreed(request=saved, visit_id=visit_id, revision=revision, terms=terms)
    _tell(act.tx, agreed, follow_up=follow_up, moved=standing is not None, as_of=act.as_of)
    return agreed


async def _check_pair(
    tx: Transaction, request: Request, terms: Terms, *, policy: Policy, moving: UUID | None, as_of: datetime
) -> bool:
    """Lock the pair and ask every hard rule of it. Returns whether an interpreter comes along."""
    if hindrances := pairing.hindrances_of_time(
        starts_at=terms.starts_at, minutes=terms.minutes, policy=policy, as_of=as_of, zone=tx.zone
    ):
        raise AppointmentRefused(hindrances)
    meeting = Meeting(
        household_key=request.household_key,
        district=request.district,
        schools=await appointments.schools_of(tx.connection, request.household_key) | {request.school},
        starts_at=terms.starts_at,
        minutes=terms.minutes,
        language=terms.language,
        interpreter=terms.interpreter,
        zone=tx.zone,
    )
    # From here on nobody else books or changes these two: what is read now holds until the commit.
    known = await visitors.lock_visitors(tx.connection, terms.pair)
    begins_at, ends_at = pairing.week_around(terms.starts_at, zone=tx.zone)
    bookings = await visitors.bookings_between(
        tx.connection, visitor_ids=terms.pair, begins_at=begins_at - DAY, ends_at=ends_at + DAY
    )
    if hindrances := pairing.hindrances_of_pair(
        pair=terms.pair, visitors=known, meeting=meeting, bookings=bookings, policy=policy, moving=moving
    ):
        raise AppointmentRefused(hindrances)
    return pairing.needs_interpreter(pair=known.values(), meeting=meeting)


def _tell(tx: Transaction, agreed: Agreed, *, follow_up: bool, moved: bool, as_of: datetime) -> None:
    terms = agreed.terms
    # Without the place's text: where a family is met stays with those who go.
    told: dict[str, Any] = {
        "visit_id": agreed.visit_id,
        "starts_at": terms.starts_at,
        "place": terms.place,
        "language": terms.language,
        "pair": terms.pair,
        "minutes": terms.minutes,
        "interpreter": terms.interpreter,
        "follow_up": follow_up,
    }
    if moved:
        facts = changes.facts_of(agreed.request, "visit.rescheduled.v1", as_of)
        changes.emit(tx, events.VisitRescheduled(**facts, **told))
    else:
        facts = changes.facts_of(agreed.request, "visit.scheduled.v1", as_of)
        changes.emit(tx, events.VisitScheduled(**facts, **told))


def _check(request: Request, terms: Terms) -> None:
    if request.stage not in CONSENTED:
        raise AppointmentRefused([because("consent")])
    if terms.place_text is not None and terms.place is not events.Place.COMMUNITY:
        raise AppointmentRefused([because("place_text")])


def _two(pair: Sequence[str]) -> tuple[str, str]:
    first, second = pair
    return first, second

"""What people do with visitors: register, change, say when they can, keep apart from a household."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal, cast
from uuid import UUID, uuid4

from contracts import events
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.rules import pairing
from services.scheduling.rules.pairing import Away, Booking, Meeting, Reason, Visitor, Window
from services.scheduling.rules.visits import NotAllowed, NotPossible, Refusal, may_act
from services.scheduling.rules.wording import N_
from services.scheduling.store import policies, visitors

VISITORS = "visitors"
MOST_DETAILS = 100
"""Windows, absences or exclusions of one visitor."""


class VisitorUnknown(Refusal):
    """There is no visitor with this id in the districts of whoever asks."""

    code = "visitor_unknown"

    def __init__(self) -> None:
        super().__init__(N_("there is no visitor with this id in your districts; look at the list of visitors"))


class VisitorChanged(Refusal):
    """The visitor is registered already, or another change came first. `visitor` is how they stand by now."""

    code = "visitor_changed"

    def __init__(self, *, visitor: Visitor | None, yours: int) -> None:
        self.visitor = visitor
        self.yours = yours
        super().__init__(
            N_("the visitor is at version %(current)s by now, you read %(yours)s; look again, then decide"),
            current=visitor.version if visitor else 0,
            yours=yours,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the desk says of a visitor. None: as it was; for a new visitor no hours stated, and the district's cap."""

    visitor_id: str
    district: str
    affiliation: str
    school: str | None
    languages: tuple[str, ...]
    leap101_valid_from: date
    leap101_valid_until: date
    active: bool = True
    windows: tuple[Window, ...] | None = None
    away: tuple[Away, ...] | None = None
    weekly_cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """An agreed visit that breaks a rule since its visitor changed. It never moves by itself: somebody decides."""

    visit_id: UUID
    starts_at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The visitor as they stand now, and the agreed visits that somebody has to look at."""

    visitor: Visitor
    affected: tuple[Affected, ...] = ()


async def save_visitor(tx: Transaction, *, facts: Facts, version: int, person: Person, as_of: datetime) -> Saved:
    """Register a visitor (version 0), or write new facts over those of this version.

    Raises NotAllowed, VisitorUnknown, VisitorChanged or NotPossible.
    """
    _check_desk(person, facts.district)
    if version == 0:
        policy = await policies.current(tx.connection, facts.district)
        visitor = _with_facts(facts, weekly_cap=policy.weekly_cap)
        _check(visitor)
        if not await visitors.insert_visitor(tx.connection, visitor):
            standing = await visitors.find_visitor(tx.connection, facts.visitor_id)
            # Another district's visitor stays unknown: the id is taken, and that is all.
            seen = standing if standing and person.may_see(standing.district) else None
            raise VisitorChanged(visitor=seen, yours=0)
        _tell(tx, visitor, as_of)
        return Saved(visitor=visitor)

    standing = await _lock(tx, visitor_id=facts.visitor_id, version=version, person=person)
    visitor = _with_facts(facts, weekly_cap=standing.weekly_cap, standing=standing)
    _check(visitor)
    return await _save(tx, visitor, as_of)


def _with_facts(facts: Facts, *, weekly_cap: int, standing: Visitor | None = None) -> Visitor:
    windows = standing.windows if standing else ()
    away = standing.away if standing else ()
    return Visitor(
        visitor_id=facts.visitor_id,
        district=facts.district,
        affiliation=facts.affiliation,
        school=facts.school,
        languages=facts.languages,
        leap101_valid_from=facts.leap101_valid_from,
        leap101_valid_until=facts.leap101_valid_until,
        windows=windows if facts.windows is None else facts.windows,
        away=away if facts.away is None else facts.away,
        weekly_cap=weekly_cap if facts.weekly_cap is None else facts.weekly_cap,
        excluded_households=standing.excluded_households if standing else frozenset(),
        active=facts.active,
        version=standing.version if standing else 1,
    )


async def save_availability(
    tx: Transaction,
    *,
    visitor_id: str,
    version: int,
    windows: Sequence[Window],
    away: Sequence[Away],
    person: Person,
    as_of: datetime,
) -> Saved:
    """Keep when a visitor can, instead of what was kept before; visitors may do so for themselves.

    Raises NotAllowed, VisitorUnknown, VisitorChanged or NotPossible.
    """
    standing = await _lock(tx, visitor_id=visitor_id, version=version, person=person)
    if person.name != visitor_id:
        _check_desk(person, standing.district)
    visitor = replace(standing, windows=tuple(windows), away=tuple(away))
    _check(visitor)
    return await _save(tx, visitor, as_of)


async def exclude(
    tx: Transaction,
    *,
    visitor_id: str,
    version: int,
    household_key: UUID,
    excluded: bool,
    person: Person,
    as_of: datetime,
) -> Saved:
    """Keep a visitor from a household, or end that. No reason is asked and none is kept.

    Raises NotAllowed, VisitorUnknown or VisitorChanged.
    """
    standing = await _lock(tx, visitor_id=visitor_id, version=version, person=person)
    _check_desk(person, standing.district)
    change = standing.excluded_households.union if excluded else standing.excluded_households.difference
    visitor = replace(standing, excluded_households=change({household_key}))
    _check(visitor)
    return await _save(tx, visitor, as_of)


async def find_visitor(tx: Transaction, *, visitor_id: str, person: Person) -> Visitor:
    """Read a visitor of the person's districts. Raises VisitorUnknown."""
    visitor = await visitors.find_visitor(tx.connection, visitor_id)
    if visitor is None or not person.may_see(visitor.district):
        raise VisitorUnknown
    return visitor


async def _lock(tx: Transaction, *, visitor_id: str, version: int, person: Person) -> Visitor:
    standing = (await visitors.lock_visitors(tx.connection, [visitor_id])).get(visitor_id)
    if standing is None or not person.may_see(standing.district):
        raise VisitorUnknown
    if standing.version != version:
        raise VisitorChanged(visitor=standing, yours=version)
    return standing


def _check_desk(person: Person, district: str) -> None:
    if not person.may_see(district):
        raise VisitorUnknown
    if not may_act(person.role):
        raise NotAllowed


def _check(visitor: Visitor) -> None:
    if visitor.leap101_valid_from > visitor.leap101_valid_until:
        raise NotPossible("leap101_dates", N_("LEAP 101 must not end before it begins; correct its dates"))
    if visitor.affiliation == "school" and visitor.school is None:
        raise NotPossible("school_missing", N_("a member of the school comes from one; name it"))
    if not visitor.languages:
        raise NotPossible("language_missing", N_("name at least one language"))
    if any(not 1 <= w.weekday <= 7 or w.begins >= w.ends for w in visitor.windows):
        raise NotPossible("window_order", N_("a window of hours ends after it begins; correct it"))
    starts = [(w.weekday, w.begins) for w in visitor.windows]
    first_days = [away.first_day for away in visitor.away]
    if len(set(starts)) < len(starts) or len(set(first_days)) < len(first_days):
        raise NotPossible("window_twice", N_("two entries begin at the same time; make one of them"))
    if any(away.first_day > away.last_day for away in visitor.away):
        raise NotPossible("away_order", N_("days away end after they begin; correct them"))
    if max(len(visitor.windows), len(visitor.away), len(visitor.excluded_households)) > MOST_DETAILS:
        raise NotPossible("too_many", N_("that is more than %(most)s entries; remove some"), most=MOST_DETAILS)


async def _save(tx: Transaction, visitor: Visitor, as_of: datetime) -> Saved:
    version = await visitors.update_visitor(tx.connection, visitor)
    saved = replace(visitor, version=version)
    _tell(tx, saved, as_of)
    return Saved(visitor=saved, affected=await _affected(tx, saved, as_of))


async def _affected(tx: Transaction, visitor: Visitor, as_of: datetime) -> tuple[Affected, ...]:
    who = visitor.visitor_id
    ahead = await visitors.bookings_between(
        tx.connection, visitor_ids=[who], begins_at=as_of - timedelta(days=7), ends_at=as_of + pairing.FURTHEST
    )
    bookings = ahead.get(who, [])
    policy = await policies.current(tx.connection, visitor.district)
    affected = []
    for booking in bookings:
        if booking.starts_at <= as_of:
            continue
        against = pairing.hindrances(
            visitor=visitor,
            meeting=_meeting_of(booking, visitor.district, tx.zone),
            bookings=bookings,
            policy=policy,
            moving=booking.visit_id,
        )
        if against:
            affected.append(Affected(visit_id=booking.visit_id, starts_at=booking.starts_at, reason=against[0]))
    return tuple(affected)


def _meeting_of(booking: Booking, district: str, zone: tzinfo) -> Meeting:
    return Meeting(
        household_key=booking.household_key,
        district=district,
        schools=frozenset({booking.school}),
        starts_at=booking.starts_at,
        minutes=round((booking.ends_at - booking.starts_at).total_seconds() / 60),
        language="en",
        zone=zone,
    )


def _tell(tx: Transaction, visitor: Visitor, as_of: datetime) -> None:
    # Codes only: whose name a code stands for is known to those who sign people in.
    event = events.VisitorChanged(
        event_id=uuid4(),
        event_type="visitor.changed.v1",
        occurred_at=as_of,
        district=visitor.district,
        visitor_id=visitor.visitor_id,
        affiliation=cast(Literal["school", "district", "agency"], visitor.affiliation),
        languages=visitor.languages,
        leap101_valid_from=visitor.leap101_valid_from,
        leap101_valid_until=visitor.leap101_valid_until,
        active=visitor.active,
        version=visitor.version,
    )
    tx.emit(topic=VISITORS, key=visitor.visitor_id, event=event)

"""What people do with visitors: register, change, say when they can, keep apart from a household."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import asyncpg
from pydantic import Field

from contracts import events
from contracts.calendar import local_day
from contracts.events.envelope import District
from contracts.identities import identity, version_after
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.handlers.acts import Act
from services.scheduling.rules import pairing
from services.scheduling.rules.bounds import Day, LanguageCode, SchoolCode, Versioned, VersionIfAny, VisitorId
from services.scheduling.rules.pairing import Away, Booking, Meeting, Reason, Visitor, Window
from services.scheduling.rules.visits import NotAllowed, NotPossible, Refusal, may_act
from services.scheduling.rules.wording import N_
from services.scheduling.store import policies, visitors

VISITORS = "visitors"
MOST_DETAILS = 100
"""Windows, absences or exclusions of one visitor."""

LONGEST_ID = 64
ENGLISH = ["en"]
Windows = Annotated[tuple[Window, ...], Field(max_length=MOST_DETAILS)]
DaysAway = Annotated[tuple[Away, ...], Field(max_length=MOST_DETAILS)]


class SaveAvailability(Versioned):
    """When a visitor can, instead of what was said before. No windows: all visiting hours."""

    windows: Windows = ()
    away: DaysAway = ()


class SaveVisitor(Versioned):
    """A person trained to visit. Version 0 registers; a change sends the version it replaces, and all the facts.

    Left out: hours and days away as they were, for a new visitor none stated; the weekly cap too, or the district's.
    """

    visitor_id: VisitorId
    district: District
    affiliation: Literal["school", "district", "agency"] = "district"
    school: SchoolCode | None = None
    languages: Annotated[list[LanguageCode], Field(min_length=1, max_length=20)] = ENGLISH
    leap101_valid_from: Day
    leap101_valid_until: Day
    windows: Windows | None = None
    away: DaysAway | None = None
    weekly_cap: Annotated[int, Field(ge=0, le=60)] | None = None
    active: bool = True
    version: VersionIfAny = 0


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


async def save_visitor(act: Act[None, SaveVisitor]) -> Saved:
    """Register a visitor (version 0), or write new facts over those of this version.

    Where another district has the id, the visitor's is the same behind the code of their own district
    (`danbury.marisol`): each of the two may be called what their district calls them, and all that follows from them,
    bookings, events, logs and pay, names one of the two.

    Raises NotAllowed, VisitorUnknown, VisitorChanged or NotPossible.
    """
    connection, said = act.tx.connection, act.sent
    _check_desk(act.person, said.district)
    if said.version == 0:
        policy = await policies.current(connection, said.district, day=act.today)
        usual_cap = policy.weekly_cap
        visitor = Visitor(**{"weekly_cap": usual_cap, **_facts(said), "version": version_after(0, as_of=act.as_of)})
        _check(visitor)
        visitor = await _register(connection, visitor)
        _tell(act.tx, visitor, act.as_of)
        return Saved(visitor=visitor)

    visitor_id = await visitors.own_id(connection, said.visitor_id, [said.district])
    standing = await _lock(act, visitor_id, said.version)
    return await _save(act, replace(standing, **_facts(said) | {"visitor_id": standing.visitor_id}))


async def _register(connection: asyncpg.Connection, visitor: Visitor) -> Visitor:
    if await visitors.insert_visitor(connection, visitor):
        return visitor
    standing = await visitors.find_visitor(connection, visitor.visitor_id)
    if standing is not None and standing.district == visitor.district:
        raise VisitorChanged(visitor=standing, yours=0)
    own = replace(visitor, visitor_id=f"{visitor.district}.{visitor.visitor_id}")
    if len(own.visitor_id) > LONGEST_ID:
        raise NotPossible("id_too_long", N_("this id is too long; choose a shorter one"))
    if await visitors.insert_visitor(connection, own):
        return own
    standing = await visitors.find_visitor(connection, own.visitor_id)
    # Somebody else's visitor stays unknown, also one that was called like one of this district's on purpose.
    raise VisitorChanged(visitor=standing if standing and standing.district == own.district else None, yours=0)


def _facts(said: SaveVisitor) -> dict[str, Any]:
    """Give what is said of the visitor. Hours, days away and cap stay as they were where nothing is."""
    as_it_was = {name for name in ("windows", "away", "weekly_cap") if getattr(said, name) is None}
    facts = {name: value for name, value in said if name not in as_it_was}
    return {**facts, "languages": tuple(dict.fromkeys(said.languages))}


async def save_availability(act: Act[str, SaveAvailability]) -> Saved:
    """Keep when a visitor can, instead of what was kept before; visitors may do so for themselves.

    Raises NotAllowed, VisitorUnknown, VisitorChanged or NotPossible.
    """
    standing = await _lock(act, act.subject, act.sent.version)
    if act.person.name != standing.visitor_id:
        _check_desk(act.person, standing.district)
    return await _save(act, replace(standing, windows=act.sent.windows, away=act.sent.away))


async def exclude(act: Act[str, Versioned], *, household_key: UUID, excluded: bool) -> Saved:
    """Keep a visitor from a household, or end that. No reason is asked and none is kept.

    Raises NotAllowed, VisitorUnknown or VisitorChanged.
    """
    standing = await _lock(act, act.subject, act.sent.version)
    _check_desk(act.person, standing.district)
    change = standing.excluded_households.union if excluded else standing.excluded_households.difference
    return await _save(act, replace(standing, excluded_households=change({household_key})))


async def find_visitor(tx: Transaction, *, visitor_id: str, person: Person) -> Visitor:
    """Read a visitor of the person's districts. Raises VisitorUnknown."""
    visitor = await visitors.find_visitor(tx.connection, await _own_id(tx.connection, visitor_id, person))
    if visitor is None or not person.may_see(visitor.district):
        raise VisitorUnknown
    return visitor


async def _own_id(connection: asyncpg.Connection, visitor_id: str, person: Person) -> str:
    # Whoever sees every district says which of two is meant.
    return (
        visitor_id if person.sees_everything else await visitors.own_id(connection, visitor_id, sorted(person.scopes))
    )


async def _lock(act: Act[Any, Any], visitor_id: str, version: int) -> Visitor:
    visitor_id = await _own_id(act.tx.connection, visitor_id, act.person)
    standing = (await visitors.lock_visitors(act.tx.connection, [visitor_id])).get(visitor_id)
    if standing is None or not act.person.may_see(standing.district):
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
    if any(w.begins >= w.ends for w in visitor.windows):
        raise NotPossible("window_order", N_("a window of hours ends after it begins; correct it"))
    starts = [(w.weekday, w.begins) for w in visitor.windows]
    first_days = [away.first_day for away in visitor.away]
    if len(set(starts)) < len(starts) or len(set(first_days)) < len(first_days):
        raise NotPossible("window_twice", N_("two entries begin at the same time; make one of them"))
    if any(away.first_day > away.last_day for away in visitor.away):
        raise NotPossible("away_order", N_("days away end after they begin; correct them"))
    if len(visitor.excluded_households) > MOST_DETAILS:
        raise NotPossible("too_many", N_("that is more than %(most)s entries; remove some"), most=MOST_DETAILS)


async def _save(act: Act[Any, Any], visitor: Visitor) -> Saved:
    _check(visitor)
    version = await visitors.update_visitor(act.tx.connection, visitor, as_of=act.as_of)
    saved = replace(visitor, version=version)
    _tell(act.tx, saved, act.as_of)
    return Saved(visitor=saved, affected=await _affected(act.tx, saved, act.as_of))


async def _affected(tx: Transaction, visitor: Visitor, as_of: datetime) -> tuple[Affected, ...]:
    who = visitor.visitor_id
    ahead = await visitors.bookings_between(
        tx.connection, visitor_ids=[who], begins_at=as_of - timedelta(days=7), ends_at=as_of + pairing.FURTHEST
    )
    bookings = ahead.get(who, [])
    policy = await policies.current(tx.connection, visitor.district, day=local_day(as_of, zone=tx.zone))
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
        event_id=identity(VISITORS, visitor.visitor_id, visitor.version),
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

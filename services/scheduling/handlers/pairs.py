"""Who could go, and what they take along: proposals for one request, the day sheet, the confirmation."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.calendar import local_day, monday_of, start_of_day
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.disclosing import Reading, disclose
from services.runtime.web.people import Person
from services.scheduling.handlers import disclosing
from services.scheduling.handlers.acts import Act
from services.scheduling.rules import pairing, proposals
from services.scheduling.rules.bounds import LanguageCode, Minutes
from services.scheduling.rules.pairing import Bookings, Meeting, Visitor
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.proposals import Proposals, WhoCould
from services.scheduling.rules.visits import NotAllowed, RequestUnknown, may_act
from services.scheduling.rules.week import Week
from services.scheduling.store import appointments, changes, day_sheet, policies, visitors, weeks
from services.scheduling.store.day_sheet import SheetVisit


class ProposePairs(BaseModel):
    """In which window a visit is wanted, and how; what is left out is the district's, or the household's, own."""

    model_config = ConfigDict(frozen=True)

    begins_at: AwareDatetime
    ends_at: AwareDatetime
    minutes: Minutes | None = None
    language: LanguageCode | None = None
    interpreter: bool | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 5


async def propose_pairs(act: Act[UUID, ProposePairs]) -> Proposals:
    """Propose pairs that could visit in the window, best first, with their reasons. Nothing is booked.

    Raises RequestUnknown.
    """
    connection, zone, wish, as_of = act.tx.connection, act.tx.zone, act.sent, act.as_of
    request = await changes.find_request(connection, act.subject)
    if request is None or not act.person.may_see(request.district):
        raise RequestUnknown
    policy = await policies.current(connection, request.district, day=act.today)
    meeting = Meeting(
        household_key=request.household_key,
        district=request.district,
        schools=await appointments.schools_of(connection, request.household_key) | {request.school},
        starts_at=wish.begins_at,
        minutes=wish.minutes if wish.minutes is not None else policy.visit_minutes,
        language=wish.language or await appointments.household_language(connection, request.household_key),
        interpreter=wish.interpreter,
        zone=zone,
    )
    if wrong := proposals.hindrance_of_window(
        begins_at=wish.begins_at, ends_at=wish.ends_at, minutes=meeting.minutes, as_of=as_of
    ):
        return Proposals(pairs=(), hindered=(), why_none=wrong)
    candidates = await visitors.list_visitors(connection, district=request.district, active_only=True)
    first, _ = pairing.week_around(wish.begins_at, zone=zone)
    _, last = pairing.week_around(wish.ends_at, zone=zone)
    who = WhoCould(
        visitors=candidates,
        bookings=await _bookings(connection, candidates, first, last),
        visits_before=await visitors.visits_to_household(connection, request.household_key),
        moving=await appointments.scheduled_visit(connection, act.subject),
    )
    return proposals.propose_pairs(
        meeting=meeting, ends_at=wish.ends_at, who=who, policy=policy, as_of=as_of, limit=wish.limit
    )


async def _bookings(
    connection: asyncpg.Connection, candidates: Sequence[Visitor], begins_at: datetime, ends_at: datetime
) -> Bookings:
    """Read what these visitors have booked in the weeks, and the day before and after: a night may lie between."""
    return await visitors.bookings_between(
        connection,
        visitor_ids=[visitor.visitor_id for visitor in candidates],
        begins_at=begins_at - timedelta(days=1),
        ends_at=ends_at + timedelta(days=1),
    )


async def find_week(
    tx: Transaction, *, district: str, day: date, person: Person, as_of: datetime
) -> tuple[Week, Policy]:
    """Read what the week of `day` is planned from, for week.propose: it takes seconds and no transaction.

    Raises RequestUnknown for a foreign district, or NotAllowed.
    """
    if not person.may_see(district):
        raise RequestUnknown
    if not may_act(person.role):
        raise NotAllowed
    policy = await policies.current(tx.connection, district, day=local_day(as_of, zone=tx.zone))
    monday = monday_of(day)
    begins_at, ends_at = pairing.week_around(start_of_day(monday, zone=tx.zone), zone=tx.zone)
    wanted = await weeks.wanted_visits(
        tx.connection, district=district, begins_at=begins_at, ends_at=ends_at, minutes=policy.visit_minutes
    )
    candidates = await visitors.list_visitors(tx.connection, district=district, active_only=True)
    week = Week(
        monday=monday,
        district=district,
        visitors=tuple(candidates),
        wanted=tuple(wanted),
        bookings=await _bookings(tx.connection, candidates, begins_at, ends_at),
        as_of=as_of,
        zone=tx.zone,
    )
    return week, policy


async def find_day_sheet(
    tx: Transaction, *, district: str, day: date, person: Person, as_of: datetime, visitor_id: str | None = None
) -> list[SheetVisit]:
    """Read the visits of a local day with how to reach the families, and record that it was shown.

    Schedulers see the district's, visitors their own. Raises NotAllowed, or RequestUnknown for a foreign district.
    """
    if not person.may_see(district):
        raise RequestUnknown
    if not may_act(person.role) and not (person.role == "visitor" and person.name == visitor_id):
        raise NotAllowed
    sheet = await day_sheet.visits_between(
        tx.connection,
        district=district,
        visitor_id=visitor_id,
        begins_at=start_of_day(day, zone=tx.zone),
        ends_at=start_of_day(day + timedelta(days=1), zone=tx.zone),
    )

    await _record(tx, sheet, person, disclosing.DAY_SHEET, as_of=as_of)
    return sheet


async def find_confirmation(tx: Transaction, *, visit_id: UUID, person: Person, as_of: datetime) -> SheetVisit:
    """Read one visit for the confirmation that the family gets, and record that it was shown.

    Raises RequestUnknown, or NotAllowed for a visitor who does not go.
    """
    visit = await day_sheet.find_visit(tx.connection, visit_id)
    if visit is None or not person.may_see(visit.district):
        raise RequestUnknown
    if not may_act(person.role) and not (person.role == "visitor" and person.name in visit.pair):
        raise NotAllowed

    await _record(tx, [visit], person, disclosing.CONFIRMATION, as_of=as_of)
    return visit


async def _record(
    tx: Transaction, visits: list[SheetVisit], person: Person, reading: Reading, *, as_of: datetime
) -> None:
    of = [
        shown
        for visit in visits
        if visit.contact is not None
        for shown in disclosing.household_of(visit, disclosing.children_of(visit.contact))
    ]
    await disclose(tx.connection, person, of, reading, as_of=as_of)

"""Who could go, and what they take along: proposals for one request, the day sheet, the confirmation."""

from datetime import date, datetime, timedelta
from uuid import UUID

from contracts.calendar import monday_of, start_of_day
from services.runtime.delivery.transaction import Transaction
from services.runtime.web.people import Person
from services.scheduling.rules import pairing, proposals
from services.scheduling.rules.pairing import Meeting
from services.scheduling.rules.policy import Policy
from services.scheduling.rules.proposals import Proposals
from services.scheduling.rules.visits import NotAllowed, RequestUnknown, may_act
from services.scheduling.rules.week import Week
from services.scheduling.store import appointments, changes, day_sheet, policies, visitors, weeks
from services.scheduling.store.day_sheet import SheetVisit


async def propose_pairs(
    tx: Transaction,
    *,
    request_id: UUID,
    begins_at: datetime,
    ends_at: datetime,
    person: Person,
    as_of: datetime,
    minutes: int | None = None,
    language: str | None = None,
    interpreter: bool | None = None,
    limit: int = 5,
) -> Proposals:
    """Propose pairs that could visit in the window, best first, with their reasons. Nothing is booked.

    Raises RequestUnknown.
    """
    connection = tx.connection
    request = await changes.find_request(connection, request_id)
    if request is None or not person.may_see(request.district):
        raise RequestUnknown
    policy = await policies.current(connection, request.district)
    usual = minutes if minutes is not None else policy.visit_minutes
    wrong = proposals.hindrance_of_window(begins_at=begins_at, ends_at=ends_at, minutes=usual, as_of=as_of)
    if wrong is not None:
        return Proposals(pairs=(), hindered=(), why_none=wrong)
    meeting = Meeting(
        household_key=request.household_key,
        district=request.district,
        schools=await appointments.schools_of(connection, request.household_key) | {request.school},
        starts_at=begins_at,
        minutes=usual,
        language=language or await appointments.household_language(connection, request.household_key),
        zone=tx.zone,
        interpreter=interpreter,
    )
    candidates = await visitors.list_visitors(connection, district=request.district, active_only=True)
    first, _ = pairing.week_around(begins_at, zone=tx.zone)
    _, last = pairing.week_around(ends_at, zone=tx.zone)
    bookings = await visitors.bookings_between(
        connection,
        visitor_ids=[visitor.visitor_id for visitor in candidates],
        begins_at=first - timedelta(days=1),
        ends_at=last + timedelta(days=1),
    )
    return proposals.propose_pairs(
        meeting=meeting,
        ends_at=ends_at,
        visitors=candidates,
        bookings=bookings,
        visits_before=await visitors.visits_to_household(connection, request.household_key),
        policy=policy,
        as_of=as_of,
        limit=limit,
        moving=await appointments.scheduled_visit(connection, request_id),
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
    policy = await policies.current(tx.connection, district)
    monday = monday_of(day)
    begins_at, ends_at = pairing.week_around(start_of_day(monday, zone=tx.zone), zone=tx.zone)
    wanted = await weeks.wanted_visits(
        tx.connection, district=district, begins_at=begins_at, ends_at=ends_at, minutes=policy.visit_minutes
    )
    candidates = await visitors.list_visitors(tx.connection, district=district, active_only=True)
    bookings = await visitors.bookings_between(
        tx.connection,
        visitor_ids=[visitor.visitor_id for visitor in candidates],
        begins_at=begins_at - timedelta(days=1),
        ends_at=ends_at + timedelta(days=1),
    )
    week = Week(
        monday=monday,
        district=district,
        visitors=tuple(candidates),
        wanted=tuple(wanted),
        bookings=bookings,
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

    await _record(tx, sheet, person, why="day_sheet", as_of=as_of)
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

    await _record(tx, [visit], person, why="confirmation", as_of=as_of)
    return visit


async def _record(tx: Transaction, visits: list[SheetVisit], person: Person, *, why: str, as_of: datetime) -> None:
    shown = [visit.request_id for visit in visits if visit.contact is not None]
    await day_sheet.record_disclosures(tx.connection, request_ids=shown, shown_to=person.name, why=why, as_of=as_of)

"""Logged in time: the visit log, which reminds, and the reports, which count, answer alike for every evening.

The third opinion counts without either: it goes through the hours one by one and looks at a wall calendar.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from contracts import events
from services.reporting.app import service as reporting
from services.reporting.reports.gather import gather
from services.reporting.rules.spans import span_until_now
from services.reporting.store import queries
from services.runtime.web.people import Person
from services.visitlog.app import service as visitlog
from services.visitlog.handlers.acts import Act
from services.visitlog.handlers.office import list_expected
from services.visitlog.rules.outcomes import Due
from services.visitlog.store.visits import Listed
from tests.component.visit_events import of_visit
from tests.conftest import ServiceDatabase
from tests.delivering import deliver, record, transactions
from tests.zones import ELSEWHERE, HERE

HOUR = timedelta(hours=1)
CARL = Person(name="carl", display_name="Carl Example", role="coordinator", scopes=frozenset(), language="en")
# Around the nights on which the clocks change, there and here, and the week of the visit that was judged twice.
AROUND = (date(2025, 9, 28), date(2025, 11, 2), date(2026, 1, 5), date(2026, 3, 8), date(2026, 4, 5))


class Visit(NamedTuple):
    """One agreed visit, in a district of its own so that its answer can be told from the others', and its log."""

    number: int
    starts_at: datetime
    logged_at: datetime

    @property
    def district(self) -> str:
        return f"d{self.number}"

    def told(self, model: type[events.Event], **fields: Any) -> events.Event:
        """The visit as an event."""
        of = {"visit_id": UUID(int=0x0D << 120 | self.number), "household_key": UUID(int=0x0B << 120 | self.number)}
        return of_visit(model, event_id=uuid4(), district=self.district, **of, **fields)


# Monday 5 January 18:45 to 19:30, logged on Tuesday 13 January at nine: the sixth business day.
JUDGED_TWICE = Visit(
    0,
    datetime(2026, 1, 5, 18, 45, tzinfo=HERE).astimezone(UTC),
    datetime(2026, 1, 13, 9, 0, tzinfo=HERE).astimezone(UTC),
)


def evenings(zone: ZoneInfo) -> Iterator[Visit]:
    """Visits of late afternoons and evenings, logged up to a fortnight later at any hour, most in the second week."""
    chance = random.Random(5)
    for number in range(1, 121):
        day = AROUND[number % len(AROUND)] + timedelta(days=chance.randint(-9, 9))
        starts_at = datetime.combine(day, time(chance.randint(16, 20), chance.choice([0, 15, 45])), zone)
        later = day + timedelta(days=chance.choice([0, 3, 6, 7, 7, 8, 8, 9, 13]))
        logged_at = datetime.combine(later, time(chance.choice([0, 8, 18, 21, 23]), 30), zone)
        if later == day:
            logged_at = starts_at + HOUR
        yield Visit(number, starts_at.astimezone(UTC), logged_at.astimezone(UTC))


def is_late(visit: Visit, zone: ZoneInfo, *, business_days: int = 5) -> bool:
    """Tell whether so many whole business days lie between the visit's date and the log's, by the hours in between."""
    written = [visit.starts_at + n * HOUR for n in range(int((visit.logged_at - visit.starts_at) / HOUR) + 1)]
    dates = {f"{moment.astimezone(zone):%Y-%m-%d %a}" for moment in [*written, visit.logged_at]}
    whole = sorted(dates)[1:-1]
    return sum(not each.endswith(("Sat", "Sun")) for each in whole) >= business_days


async def agreed_in(pool: Any, service: Any, visits: list[Visit], zone: ZoneInfo) -> None:
    """Tell a service of the agreed visits."""
    told = [visit.told(events.VisitScheduled, starts_at=visit.starts_at, minutes=45) for visit in visits]
    records = [record("home-visits", 0, n, event.model_dump_json()) for n, event in enumerate(told)]
    await deliver(pool, service.subscriptions[0], records, zone=zone)


async def reminded(pool: Any, visit: Visit, zone: ZoneInfo, as_of: datetime) -> Due:
    """What the visit log says of a visit without a log."""
    async with transactions(pool, zone=zone)() as tx:
        listed = Listed(
            districts=[visit.district],
            visitor_id=None,
            due=list(Due),
            starts_from=visit.starts_at - HOUR,
            starts_before=visit.starts_at + HOUR,
            limit=2,
        )
        (row,) = await list_expected(Act(tx, CARL, as_of), listed)
    return Due(row["due"])


async def counted(pool: Any, zone: ZoneInfo, as_of: datetime) -> dict[str, str]:
    """What the reports say of each district's one visit."""
    async with pool.acquire() as connection:
        figures = await gather(connection, span_until_now(as_of, zone), None, zone=zone)
    columns = ("in_time", "late", "waiting", "overdue")
    return {line["district"]: next(name for name in columns if line[name]) for line in figures.logs}


@pytest.mark.parametrize("zone", [HERE, ELSEWHERE], ids=str)
async def test_late_in_the_reports_is_what_was_overdue_in_the_visit_log(
    service_database: ServiceDatabase, zone: ZoneInfo
) -> None:
    visits = [*evenings(zone), *([JUDGED_TWICE] if zone is HERE else [])]
    ours = await service_database("visitlog", zone=zone)
    theirs = await service_database("reporting", zone=zone)
    await agreed_in(ours, visitlog, visits, zone)
    await agreed_in(theirs, reporting, visits, zone)

    # A while before anybody logs anything, both say the same of what is missing.
    for as_of in (datetime(2025, 11, 7, 23, 30, tzinfo=zone), datetime(2026, 3, 14, 0, 30, tzinfo=zone)):
        over = [each for each in visits if each.starts_at + HOUR < as_of.astimezone(UTC)]
        missing = await counted(theirs, zone, as_of)
        assert {missing[each.district] for each in over} == {"waiting", "overdue"}
        for each in over:
            expected = is_late(each._replace(logged_at=as_of.astimezone(UTC)), zone)
            assert (missing[each.district] == "overdue") is expected, each
            assert (await reminded(ours, each, zone, as_of) is Due.OVERDUE) is expected, each

    logged = [
        visit.told(
            events.VisitCompleted,
            occurred_at=visit.logged_at,
            started_at=visit.starts_at,
            ended_at=visit.starts_at + timedelta(minutes=45),
            log_id=uuid4(),
        )
        for visit in visits
    ]
    records = [record("visit-log", 0, n, event.model_dump_json()) for n, event in enumerate(logged)]
    await deliver(theirs, reporting.subscriptions[0], records, zone=zone)
    answers = await counted(theirs, zone, datetime(2026, 6, 1, 12, 0, tzinfo=zone))

    assert len(answers) == len(visits)
    late = {visit.number for visit in visits if is_late(visit, zone)}
    assert 30 < len(late) < len(visits) - 30
    for visit in visits:
        assert (answers[visit.district] == "late") is (visit.number in late), visit
        just_before = await reminded(ours, visit, zone, visit.logged_at - timedelta(minutes=1))
        assert (just_before is Due.OVERDUE) is is_late(
            visit._replace(logged_at=visit.logged_at - timedelta(minutes=1)), zone
        ), visit
    if zone is HERE:
        assert answers[JUDGED_TWICE.district] == "late"
        assert await reminded(ours, JUDGED_TWICE, zone, JUDGED_TWICE.logged_at) is Due.OVERDUE
        assert await reminded(ours, JUDGED_TWICE, zone, JUDGED_TWICE.logged_at - timedelta(days=1)) is Due.EXPECTED


@pytest.mark.parametrize(("days_later", "kept"), [(7, 1), (8, 0)])
async def test_a_promise_is_kept_until_the_evening_of_the_seventh_day(
    service_database: ServiceDatabase, days_later: int, kept: int
) -> None:
    pool = await service_database("reporting")
    due = date(2026, 1, 5)
    visited_at = datetime.combine(due + timedelta(days=days_later), time(19, 45), HERE)
    facts = {"log_id": uuid4(), "started_at": visited_at - timedelta(days=30)}
    told = [
        of_visit(events.FollowUpPromised, occurred_at=visited_at - timedelta(days=30), due=due, kind="visit", **facts),
        of_visit(events.VisitCompleted, occurred_at=visited_at + HOUR, started_at=visited_at, visit_id=uuid4(),
                 ended_at=visited_at + HOUR, log_id=uuid4()),
    ]  # fmt: skip
    records = [record("visit-log", 0, n, event.model_dump_json()) for n, event in enumerate(told)]
    await deliver(pool, reporting.subscriptions[0], records)
    async with pool.acquire() as connection:
        (line,) = await queries.promises(
            connection,
            since=date(2025, 7, 1),
            until=date(2026, 7, 1),
            until_at=datetime(2026, 6, 1, tzinfo=UTC),
            zone=HERE.key,
        )
    assert (line["promised"], line["kept"]) == (1, kept)

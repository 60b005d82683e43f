"""Projections that any order of the same events, however often told, makes the same."""

import itertools
import random
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord

from contracts import events
from tests.component.reporting.conftest import ReportingWorld as World
from tests.component.reporting.tallied import Month, figures, months, whole_day
from tests.component.visit_events import DISTRICT, MORNING, flag, household, of_visit, student
from tests.delivering import record

Told = tuple[str, events.Event]
NEWER = 1_793_388_005_000_000
TABLES = (
    "flag", "request", "visit", "visit_log", "appointment", "contact", "follow_up", "referral", "visitor",
    "student_month", "school_month", "school_day", "day_tally", "flag_figures",
)  # fmt: skip


def month(student_number: int, *, version: int, days_absent: int, **fields: Any) -> events.StudentMonthTallied:
    return events.StudentMonthTallied.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "student-month.tallied.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "school": "H01",
            "student_key": student(student_number),
            "month": date(2026, 9, 1),
            "days_enrolled": 20,
            "days_absent": days_absent,
            "version": version,
        }
        | fields
    )


def school_day(part: int, *, version: int, absent: int) -> events.SchoolDayTallied:
    return events.SchoolDayTallied.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "school-day.tallied.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "school": "H01",
            "school_day": date(2026, 9, 1),
            "part": part,
            "students_counted": 10,
            "students_absent": absent,
            "version": version,
        }
    )


def of_household(number: int, model: type[events.Event], **fields: Any) -> Told:
    keys = {
        "household_key": household(number),
        "request_id": UUID(int=0x0C << 120 | number),
        "visit_id": UUID(int=0x0D << 120 | number),
    }
    logs = (events.VisitCompleted, events.VisitAttempted, events.FollowUpPromised, events.ReferralMade)
    topic = "visit-log" if model in logs else "home-visits"
    later = MORNING + timedelta(hours=fields.get("version", 9))
    return topic, of_visit(model, **keys, occurred_at=later, **fields)


def stage(number: int, version: int, former: str, now: str, **fields: Any) -> Told:
    return of_household(number, events.RequestStageChanged, version=version, previous_stage=former, stage=now, **fields)


def visitor(name: str, *, version: int, **fields: Any) -> events.VisitorChanged:
    return events.VisitorChanged.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "visitor.changed.v1",
            "occurred_at": MORNING,
            "district": DISTRICT,
            "visitor_id": name,
            "affiliation": "school",
            "languages": ["en", "es"],
            "leap101_valid_from": date(2026, 1, 1),
            "leap101_valid_until": date(2027, 1, 1),
            "version": version,
        }
        | fields
    )


def a_season() -> list[Told]:
    """Five households: visited, declined after agreeing, withdrawn, tried in vain, and one merely flagged."""
    return [
        *(("absence-flags", flag(n, household_number=n)) for n in (1, 2, 3, 4, 5)),
        ("absence-flags", flag(3, household_number=3, version=2, level="none")),
        ("absence-flags", flag(6, household_number=1)),
        *(of_household(n, events.VisitRequested, version=1) for n in (1, 2, 3, 4)),
        of_household(3, events.VisitRequestWithdrawn, version=2),
        *(of_household(n, events.FamilyAgreed, version=3) for n in (1, 2, 4)),
        of_household(2, events.FamilyDeclined, version=4),
        *(of_household(1, events.ContactAttempted, version=n, way="call", reached=n == 3) for n in (2, 3)),
        of_household(1, events.VisitScheduled, version=4),
        of_household(1, events.VisitRescheduled, version=5, pair=["ana", "cleo"], interpreter=True),
        of_household(4, events.VisitCancelled, version=6),
        of_household(4, events.VisitScheduled, version=5),
        *(stage(1, n, *of) for n, of in enumerate(itertools.pairwise(("new", "contacting", "agreed", "paired")), 2)),
        stage(2, 4, "agreed", "closed", closed_because="declined"),
        of_household(2, events.RequestReopened, version=5, wished_by="family"),
        stage(2, 5, "closed", "new"),
        of_household(1, events.VisitAttempted),
        of_household(1, events.VisitCompleted, efforts=[{"visitor_id": "ana", "minutes": 50, "mileage_tenths": 31}]),
        of_household(4, events.VisitAttempted),
        of_household(1, events.FollowUpPromised, due=date(2026, 10, 20), kind="visit"),
        *(
            of_household(1, events.ReferralMade, resource="food", status=status, referral_id=UUID(int=7))
            for status in ("offered", "connected", "accepted")
        ),
        of_household(1, events.ReferralMade, resource="health", status="offered"),
        *(("visitors", visitor("ana", version=n, active=n == 1)) for n in (1, 2)),
        ("student-months", month(1, version=1, days_absent=3)),
        ("student-months", month(1, version=2, days_absent=2)),
        ("school-days", school_day(0, version=1, absent=4)),
        ("school-days", school_day(0, version=2, absent=1)),
        ("school-days", school_day(7, version=1, absent=2)),
        *a_season_by_district(),
    ]


def a_season_by_district() -> list[Told]:
    """The same and more on the topics by district: versions there are times, greater than any counted one."""
    return [
        ("flags", flag(2, household_number=2, version=NEWER, level="at_risk")),
        ("flags", flag(7, household_number=7, version=NEWER)),
        ("flags", figures((2, 7), version=NEWER + 1, school="H02", level="at_risk")),
        ("flags", figures((7,), version=NEWER + 2, school="H02", level="chronically_absent")),
        ("school-months", months(Month(1, absent=3), Month(2, person=2), version=NEWER, missing_rolls=1)),
        ("school-months", months(Month(2, absent=1, person=3), version=NEWER + 1, missing_rolls=0)),
        ("day-tallies", whole_day(version=NEWER, absent=4)),
        ("day-tallies", whole_day(version=NEWER + 1, absent=3)),
    ]


def as_records(told: list[Told], offsets: dict[str, "itertools.count[int]"]) -> list[ConsumerRecord]:
    return [record(topic, 0, next(offsets[topic]), event.model_dump_json()) for topic, event in told]


async def tables(world: World) -> dict[str, list[str]]:
    return {
        table: [row[0] for row in await world.pool.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1")]
        for table in TABLES
    }


async def test_the_funnel_counts_households_at_each_step(world: World) -> None:
    await world.deliver_records([world.record(topic, event) for topic, event in a_season()])
    funnel = await world.told("/v1/funnel")

    assert funnel["districts"] == [
        {
            "district": "hartford",
            "flagged": 6,
            "requested": 4,
            "contacted": 3,
            "agreed": 3,
            "scheduled": 2,
            "visited": 1,
            "logged": 1,
            "visited_again": 0,
            "declined": 1,
        }
    ]
    assert funnel["unit"] == "households"
    assert funnel["as_of"] == (MORNING + timedelta(hours=9)).isoformat().replace("+00:00", "Z")
    assert await world.told("/v1/counts", "ops") == {
        "students_flagged_now": 6,
        "students_ever_flagged": 7,
        "requests": 4,
        "requests_withdrawn": 1,
        "visits_completed": 1,
        "visits_attempted": 1,
        "student_months": 2,
        "school_days": 1,
        "student_days_counted": 40,
        "student_days_absent": 3,
    }


@pytest.mark.parametrize("seed", range(6))
async def test_shuffled_repeated_and_split_events_give_the_same_projections(world: World, seed: int) -> None:
    season = a_season()
    await world.deliver_records([world.record(topic, event) for topic, event in season])
    in_order = await tables(world)
    await world.pool.execute(f"TRUNCATE {', '.join(TABLES)}, position")

    shuffled = season * 3
    chance = random.Random(seed)
    chance.shuffle(shuffled)
    offsets = {topic: itertools.count() for topic, _ in season}
    records = as_records(shuffled, offsets)
    while records:
        size = chance.randint(1, 12)
        await world.deliver_records(records[:size])
        records = records[size:]
    assert await tables(world) == in_order


async def test_a_student_who_moves_house_counts_once(world: World) -> None:
    await world.deliver("absence-flags", flag(1, household_number=None))
    await world.deliver("absence-flags", flag(1, household_number=7, version=2, level="at_risk"))
    (line,) = (await world.told("/v1/funnel"))["districts"]
    assert line["flagged"] == 1


async def test_before_anything_happened_the_reports_are_empty(world: World) -> None:
    funnel = await world.told("/v1/funnel")
    assert (funnel["districts"], funnel["as_of"]) == ([], None)
    assert (await world.told("/v1/counts", "ops"))["student_days_counted"] == 0


async def test_poison_between_good_events_is_put_aside(world: World) -> None:
    await world.deliver("absence-flags", flag(1), b"{", flag(2, household_number=2))
    assert (await world.told("/v1/counts", "ops"))["students_flagged_now"] == 2
    assert await world.pool.fetchval("SELECT count(*) FROM dead_letter") == 1

"""A district's own numbers: of this moment, whole, counted from what happened."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import events
from contracts.calendar import local_day
from services.runtime import clock
from tests.component.reporting.conftest import ReportingWorld
from tests.component.visit_events import DISTRICT, flag, household, of_visit, student
from tests.zones import HERE


def now() -> datetime:
    return clock.now().replace(microsecond=0)


def school_year() -> int:
    today = now().date()
    return today.year if today.month >= 7 else today.year - 1


def first_month() -> date:
    return date(school_year(), 7, 1)


def month(number: int, *, enrolled: int, absent: int, **fields: Any) -> events.StudentMonthTallied:
    return events.StudentMonthTallied.model_validate(
        {
            "event_id": uuid4(),
            "event_type": "student-month.tallied.v1",
            "occurred_at": now(),
            "district": DISTRICT,
            "school": "H01",
            "student_key": student(number),
            "grade": "3",
            "month": first_month(),
            "days_enrolled": enrolled,
            "days_absent": absent,
            "version": 1,
        }
        | fields
    )


def of(number: int, model: type[events.Event], at: datetime, **fields: Any) -> events.Event:
    keys = {
        "household_key": household(number),
        "request_id": UUID(int=0x0C << 120 | number),
        "visit_id": UUID(int=0x0D << 120 | number),
        "log_id": UUID(int=0x0E << 120 | number),
    }
    return of_visit(model, **{**keys, "occurred_at": at, **fields})


async def only_line(world: ReportingWorld, table: str) -> dict[str, Any]:
    (line,) = (await world.told(f"/v1/districts/hartford/{table}"))["lines"]
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize(("absent", "chronic"), [(17, 0), (18, 1), (19, 1)])
async def test_a_student_is_chronically_absent_from_a_tenth_of_the_days_on(
    world: ReportingWorld, absent: int, chronic: int
) -> None:
    await world.deliver("student-months", month(1, enrolled=180, absent=absent))
    line = await only_line(world, "chronic")
    assert (line["students"], line["chronic"]) == (1, chronic)


async def test_pre_k_the_newly_enrolled_and_the_gradeless_are_not_counted(world: ReportingWorld) -> None:
    await world.deliver(
        "student-months",
        month(1, enrolled=20, absent=9, grade="PK"),
        month(2, enrolled=9, absent=9),
        month(3, enrolled=10, absent=1, grade="9"),
        month(4, enrolled=20, absent=1, grade=None),
    )
    assert await only_line(world, "chronic-by-band") == {
        "district": "hartford", "band": "9-12", "students": 1, "chronic": 1, "chronic_rate": 100.0,
    }  # fmt: skip


async def test_a_student_counts_once_with_all_schools_of_the_district_at_the_latest(world: ReportingWorld) -> None:
    later = first_month().replace(month=8)
    await world.deliver(
        "student-months",
        month(1, enrolled=20, absent=4),
        month(1, enrolled=20, absent=0, month=later, school="H02"),
    )
    assert await only_line(world, "chronic-by-school") == {
        "district": "hartford", "school": "H02", "students": 1, "chronic": 1, "chronic_rate": 100.0,
    }  # fmt: skip
    months = (await world.told("/v1/districts/hartford/chronic-by-month"))["lines"]
    assert [line["month"] for line in months] == [first_month().isoformat(), later.isoformat()]
    assert (await world.told("/v1/districts/hartford/schools/H02/chronic-by-month"))["lines"]


async def test_a_log_is_in_time_late_waiting_or_overdue(world: ReportingWorld) -> None:
    long_ago, lately = now() - timedelta(days=20), now() - timedelta(days=1)
    for number, starts_at in ((1, long_ago), (2, long_ago), (3, long_ago), (4, lately), (5, long_ago)):
        await world.deliver(
            "home-visits", of(number, events.VisitScheduled, starts_at - timedelta(days=2), starts_at=starts_at)
        )
    await world.deliver("home-visits", of(5, events.VisitCancelled, long_ago, version=2))
    await world.deliver(
        "visit-log",
        of(1, events.VisitCompleted, long_ago + timedelta(hours=3), started_at=long_ago, ended_at=long_ago),
        of(2, events.VisitAttempted, long_ago + timedelta(days=15), started_at=long_ago),
    )
    assert await only_line(world, "logs") == {
        "district": "hartford", "due": 4, "in_time": 1, "late": 1, "waiting": 1, "overdue": 1, "in_time_share": 25.0,
    }  # fmt: skip


async def test_a_promise_is_kept_by_a_visit_or_a_call_that_reached_the_family(world: ReportingWorld) -> None:
    promised, due = now() - timedelta(days=20), (now() - timedelta(days=10)).date()
    promise = {"due": due, "started_at": promised}
    await world.deliver(
        "visit-log",
        *(of(n, events.FollowUpPromised, promised, kind=kind, **promise)
          for n, kind in ((1, "visit"), (2, "visit"), (3, "call"), (4, "call"))),
        of(1, events.VisitCompleted, now() - timedelta(days=9), started_at=now() - timedelta(days=9)),
        of(2, events.VisitCompleted, promised, started_at=promised - timedelta(hours=1)),
    )  # fmt: skip
    await world.deliver(
        "home-visits",
        of(3, events.ContactAttempted, now() - timedelta(days=9), way="call", reached=True),
        of(4, events.ContactAttempted, now() - timedelta(days=9), way="call", reached=False),
    )
    line = await only_line(world, "follow-ups")
    assert line == {"district": "hartford", "promised": 4, "kept": 2, "kept_share": 50.0}


async def test_days_are_counted_from_the_first_flag_to_the_first_visit(world: ReportingWorld) -> None:
    for number, days in ((1, 4), (2, 10), (3, 20)):
        flagged_at = now() - timedelta(days=40)
        visited_at = flagged_at + timedelta(days=days)
        await world.deliver("absence-flags", flag(number, household_number=number, occurred_at=flagged_at))
        await world.deliver("visit-log", of(number, events.VisitCompleted, visited_at, started_at=visited_at))
    assert (await only_line(world, "first-visit"))["half_waited"] == 10.0
    assert (await only_line(world, "visits"))["visits_per_100_flagged"] == 100.0


async def test_the_queue_shows_open_requests_by_stage_and_age(world: ReportingWorld) -> None:
    for number, days in ((1, 3), (2, 5), (3, 7)):
        await world.deliver("home-visits", of(number, events.VisitRequested, now() - timedelta(days=days)))
    await world.deliver(
        "home-visits",
        of(3, events.RequestStageChanged, now() - timedelta(days=1), version=2, stage="closed",
           previous_stage="new", closed_because="moved"),
    )  # fmt: skip
    line = await only_line(world, "queue")
    assert (line["stage"], line["open_requests"], line["median_days"], line["longest_days"]) == ("new", 2, 4.0, 5.0)


async def test_trained_are_those_whose_leap_101_is_valid_today(world: ReportingWorld) -> None:
    today = local_day(now(), zone=HERE)

    def visitor(name: str, until: date, **fields: Any) -> events.VisitorChanged:
        return events.VisitorChanged.model_validate(
            {
                "event_id": uuid4(), "event_type": "visitor.changed.v1", "occurred_at": now(), "district": DISTRICT,
                "visitor_id": name, "affiliation": "agency", "languages": ["en", "pl"], "version": 1,
                "leap101_valid_from": today - timedelta(days=300), "leap101_valid_until": until,
            } | fields
        )  # fmt: skip

    await world.deliver(
        "visitors",
        visitor("ana", today),
        visitor("ben", today - timedelta(days=1)),
        visitor("cleo", today + timedelta(days=90), active=False),
    )
    assert (await only_line(world, "visitors"))["trained"] == 1
    languages = (await world.told("/v1/districts/hartford/languages"))["lines"]
    assert languages == [{"language": "en", "speakers": 1}, {"language": "pl", "speakers": 1}]


async def test_a_school_sees_its_own_families(world: ReportingWorld) -> None:
    await world.deliver("absence-flags", flag(1, occurred_at=now(), school_year=school_year()))
    await world.deliver("absence-flags", flag(2, household_number=2, school="H02", school_year=school_year()))
    await world.deliver("visit-log", of(1, events.VisitCompleted, now(), started_at=now() - timedelta(hours=2)))
    lines = (await world.told("/v1/districts/hartford/schools/H01/school"))["lines"]
    assert {line["what"]: line["count"] for line in lines} == {
        "flagged_families": 1, "visits": 1, "visited_families": 1, "declined_families": 0, "students_improved": 0,
    }  # fmt: skip
    page = await world.page("/districts/hartford/schools/H01")
    assert page.status_code == 200
    assert "School H01, Hartford" in page.text


async def test_every_page_and_chart_of_a_district_opens_in_both_languages(world: ReportingWorld) -> None:
    await world.deliver("absence-flags", flag(1, occurred_at=now(), school_year=school_year()))
    await world.deliver("student-months", month(1, enrolled=20, absent=9))
    for language, word in (("en", "From flag to visit"), ("es", "Del aviso a la visita")):
        world.http.cookies.set("language", language)
        page = await world.page("/districts/hartford")
        assert word in page.text
        for chart in ("funnel", "chronic-by-month", "chronic-by-band", "flagged-by-grade"):
            answer = await world.ask(f"/charts/districts/hartford/{chart}.svg?width=narrow")
            assert answer.headers["content-type"] == "image/svg+xml", chart
            assert 'role="img"' in answer.text
            assert "style=" not in answer.text

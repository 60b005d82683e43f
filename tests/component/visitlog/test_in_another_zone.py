"""A visit log on the other side of midnight: a visit's day and hour are those of its own clock."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from contracts import events
from contracts.calendar import local_day, school_year_of
from services.runtime import clock
from tests import builders
from tests.component.visit_events import of_visit
from tests.component.visitlog.conftest import VisitLog
from tests.component.visitlog.test_office import RATE, visit_id
from tests.conftest import ServiceDatabase
from tests.zones import ELSEWHERE, HERE


async def test_a_visits_day_and_hour_are_those_of_its_own_clock(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    world = VisitLog(await service_database("visitlog", zone=ELSEWHERE), tmp_path, zone=ELSEWHERE)
    day = local_day(clock.now(), zone=ELSEWHERE) - timedelta(days=2)
    # Three in the afternoon there is the evening of the day before in Connecticut.
    starts_at = datetime.combine(day, time(15), ELSEWHERE)
    assert local_day(starts_at, zone=HERE) == day - timedelta(days=1)
    agreed = of_visit(events.VisitScheduled, visit_id=visit_id(1), pair=["marisol", "omar"], starts_at=starts_at)
    await world.deliver("home-visits", agreed)
    year = school_year_of(day)
    calendar = builders.calendar([day]).model_copy(update={"school_year": year})
    await world.deliver("school-calendar", calendar)

    form = (await (await world.signed_in("marisol")).get(f"/visits/{visit_id(1)}/log")).text
    assert f'value="{day}"' in form
    assert 'value="15:00"' in form

    async def log(due: date) -> Any:
        body = {
            "visit_id": str(visit_id(1)),
            "outcome": "took_place",
            "started_at": starts_at.isoformat(),
            "ended_at": (starts_at + timedelta(minutes=40)).isoformat(),
            "pair": ["marisol", "omar"],
            "follow_up": {"kind": "call", "due": str(due)},
        }
        return await world.http.put(f"/v1/visit-logs/{uuid4()}", json=body)

    assert (await log(day - timedelta(days=1))).status_code == 422  # a promise of the day before the visit
    assert (await log(day)).status_code == 201

    carl = world.as_("carl")
    assert (await carl.post("/v1/pay-rates", json=RATE)).status_code == 201
    _, *lines = (await carl.get("/v1/payroll.csv", params={"from": str(day), "until": str(day)})).text.splitlines()
    assert {line.split(",")[2] for line in lines} == {str(day)}
    findings = (await carl.get("/v1/integrity")).json()["findings"]
    assert [each for each in findings if each["check"] == "no_school_that_day"] == []

"""Figures that are to be erased go from the reports, also where events about them are read again."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from contracts import events
from services.reporting.app import EVENTS
from services.reporting.handlers import keep_forgotten, let_go
from tests.component.reporting.conftest import ReportingWorld
from tests.component.reporting.test_policies import decided
from tests.component.visit_events import DISTRICT, flag, household, student
from tests.delivering import deliver, record


def gone(figures: str) -> list[events.Event]:
    usual: dict[str, Any] = {
        "occurred_at": datetime(2026, 11, 30, tzinfo=UTC), "district": DISTRICT, "version": 1, "figures": figures,
    }  # fmt: skip
    return [
        events.HouseholdForgotten(
            event_id=uuid4(), event_type="household.forgotten.v1", household_key=household(1), **usual
        ),
        events.StudentForgotten(event_id=uuid4(), event_type="student.forgotten.v1", student_key=student(1), **usual),
    ]


async def standing(pool: Any) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM flag WHERE student_key = $1", student(1)))


async def test_figures_are_kept_or_erased_as_was_said(world: ReportingWorld) -> None:
    pool = world.pool
    await world.deliver("absence-flags", flag(1), flag(2, household_number=2))
    await world.deliver("forgotten", *gone("kept"))
    assert await standing(pool) == 1

    await world.deliver("forgotten", *gone("erased"))
    assert await standing(pool) == 0
    assert await pool.fetchval("SELECT count(*) FROM flag") == 1, "the neighbour's stays"
    await world.deliver("absence-flags", flag(1, version=2, level="at_risk"))
    await keep_forgotten(world.context)
    assert await standing(pool) == 0


async def test_what_was_set_aside_goes_after_the_years_that_its_district_decided(world: ReportingWorld) -> None:
    await world.deliver("district-policies", decided(1, 10, date(2020, 8, 1), retention={"dead_letters_years": 2}))
    this_year = datetime.now(UTC)
    came = [this_year.replace(month=3, day=1, year=this_year.year - years).timestamp() * 1000 for years in (3, 1)]
    letters = [
        record("flags", 0, offset, f'{{"event_type":"nonsense","district":"{DISTRICT}"}}', timestamp_ms=int(ms))
        for offset, ms in enumerate(came)
    ]
    await deliver(world.pool, EVENTS, letters)
    await let_go(world.context)
    assert await world.pool.fetchval("SELECT array_agg(record_offset) FROM dead_letter") == [1]

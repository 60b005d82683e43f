"""Figures that are to be erased go from the reports, also where events about them are read again."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from contracts import events
from services.reporting.handlers import keep_forgotten
from tests.component.reporting.conftest import ReportingWorld
from tests.component.visit_events import DISTRICT, flag, household, student


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

"""A family is forgotten at the desk, figures kept or erased; and what is too old goes by the district's own rule."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from contracts import events
from services.runtime.delivery.transaction import begin
from services.scheduling.handlers import forgetting
from tests.component.visit_events import DISTRICT, MORNING, World, contact, flag, household, student
from tests.delivering import RecordingPublisher
from tests.zones import HERE


def gone(**fields: Any) -> events.HouseholdForgotten:
    return events.HouseholdForgotten.model_validate(
        {
            "event_id": uuid4(), "event_type": "household.forgotten.v1", "occurred_at": datetime.now(UTC),
            "district": DISTRICT, "household_key": household(1), "version": 1,
        }
        | fields
    )  # fmt: skip


async def counts(world: World) -> dict[str, int]:
    tables = ("household_contact", "request", "request_history", "flagged_student")
    return {table: await world.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


@pytest.mark.parametrize(("figures", "history"), [("kept", 2), ("erased", 1)])
async def test_a_family_is_gone_and_the_neighbour_stays(world: World, figures: str, history: int) -> None:
    await world.deliver("absence-flags", flag(1), flag(2, household_number=2))
    await world.deliver("household-contacts", contact(), contact(2, students=[]))
    await world.deliver("forgotten", gone(figures=figures))
    await world.deliver("household-contacts", contact())
    assert await counts(world) == {
        "household_contact": 1, "request": 2, "request_history": history, "flagged_student": 2,
    }  # fmt: skip


async def test_a_flag_of_an_erased_child_goes_once_it_is_cleared(world: World) -> None:
    wish = events.StudentForgotten(
        event_id=uuid4(), event_type="student.forgotten.v1", occurred_at=datetime.now(UTC), district=DISTRICT,
        student_key=student(1), version=1, figures="erased",
    )  # fmt: skip
    await world.deliver("absence-flags", flag(1))
    await world.deliver("forgotten", wish)
    assert (await counts(world))["flagged_student"] == 1, "until its flag is cleared"
    await world.deliver("absence-flags", flag(1, version=2, level="none"))
    await world.deliver("forgotten", wish)
    assert (await counts(world))["flagged_student"] == 0
    assert await world.pool.fetchval("SELECT stage FROM request") == "closed"


async def test_what_is_too_old_goes_by_the_districts_own_rule(world: World) -> None:
    await world.deliver("household-contacts", contact(), contact(2, students=[]))
    await world.pool.execute(
        """INSERT INTO policy (district, version, effective_from, body, changed_by, changed_at)
           VALUES ($1, 1, '2020-01-01', '{"retention": {"contacts_years": 2}}', 'carl', now())""",
        DISTRICT,
    )
    await world.pool.execute(
        "UPDATE household_contact SET told_at = $2 WHERE household_key = $1",
        household(1),
        MORNING.replace(year=MORNING.year - 3),
    )
    publisher: Any = RecordingPublisher()

    class Context:
        def begin(self) -> Any:
            return begin(world.pool, publisher, zone=HERE)

    context: Any = Context()
    await forgetting.let_go(context)
    await forgetting.let_go(context)
    assert await world.pool.fetchval("SELECT array_agg(household_key) FROM household_contact") == [household(2)]
    assert [tuple(row) for row in await world.pool.fetch("SELECT owner, kind, years, rows FROM let_go")] == [
        (DISTRICT, "contacts", 2, 1)
    ]

"""A family is forgotten: its logs lose their words, also those that a phone sends afterwards; words grow too old."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from contracts import events
from services.runtime.delivery.transaction import begin
from services.visitlog.handlers import forgetting
from tests.component.visit_events import DISTRICT, MORNING, contact, household, student
from tests.component.visitlog.conftest import VisitLog as World
from tests.component.visitlog.test_logs import STARTED, a_log, of_visit
from tests.delivering import RecordingPublisher
from tests.zones import HERE

WORDS: dict[str, Any] = {
    "voice": {"hopes": "Quenzabel hopes"}, "private_note": "Quenzabel", "small_step": {"what": "Quenzabel"},
    "left_note": "Quenzabel", "promises": [{"what": "Quenzabel", "due": f"{STARTED + timedelta(days=30):%Y-%m-%d}"}],
}  # fmt: skip


def gone(version: int = 1, **fields: Any) -> events.HouseholdForgotten:
    return events.HouseholdForgotten.model_validate(
        {
            "event_id": uuid4(), "event_type": "household.forgotten.v1", "occurred_at": datetime.now(UTC),
            "district": DISTRICT, "household_key": household(1), "version": version,
        }
        | fields
    )  # fmt: skip


async def everything(world: World) -> str:
    tables = await world.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    found = [await world.pool.fetch(f'SELECT each::text FROM "{table}" AS each') for (table,) in tables]
    return str(found)


async def test_words_go_and_what_two_people_did_stays(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    await world.deliver("household-contacts", contact(contact_name="Quenzabel"))
    path = f"/v1/visit-logs/{uuid4()}"
    assert (await world.http.put(path, json=a_log(**WORDS))).status_code == 201
    assert (await world.http.post(f"{path}/amendments", json={"note": "Quenzabel too"})).status_code == 201
    before = await world.pool.fetch("SELECT * FROM effort")

    await world.deliver("forgotten", gone())
    await world.deliver("household-contacts", contact(contact_name="Quenzabel"))
    assert "Quenzabel" not in await everything(world)
    assert await world.pool.fetch("SELECT * FROM effort") == before

    repeated = await world.http.put(path, json=a_log(**WORDS))
    assert (repeated.status_code, repeated.json()["words"]) == (200, "not kept")
    assert (await world.http.post(f"{path}/amendments", json={"note": "Quenzabel"})).status_code == 410
    assert "Quenzabel" not in await everything(world)


async def test_a_first_log_of_a_forgotten_family_is_taken_without_its_words(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    await world.deliver("forgotten", gone())
    sent = await world.http.put(f"/v1/visit-logs/{uuid4()}", json=a_log(**WORDS))
    assert (sent.status_code, sent.json()["words"]) == (201, "not kept")
    assert "Quenzabel" not in await everything(world)
    assert await world.published() == ["visit.completed.v1"]


async def test_a_name_of_a_forgotten_child_goes_and_the_sibling_stays(world: World) -> None:
    children = [
        {"student_key": student(number), "given_name": name, "family_name": "Example"}
        for number, name in ((1, "Quenzabel"), (2, "Wren"))
    ]
    wish = events.StudentForgotten(
        event_id=uuid4(), event_type="student.forgotten.v1", occurred_at=datetime.now(UTC), district=DISTRICT,
        student_key=student(1), version=1,
    )  # fmt: skip
    await world.deliver("household-contacts", contact(students=children))
    await world.deliver("forgotten", wish)
    await world.deliver("household-contacts", contact(version=2, students=children))
    (kept,) = await world.pool.fetch("SELECT students::text FROM household_contact")
    assert [child["given_name"] for child in json.loads(kept[0])] == ["Wren"]


async def test_known_again_keeps_what_comes_later_and_nothing_of_before(world: World) -> None:
    again = events.HouseholdKnownAgain(
        event_id=uuid4(), event_type="household.known-again.v1", occurred_at=datetime.now(UTC), district=DISTRICT,
        household_key=household(1), version=4, forgotten_version=3, forgotten_at=MORNING,
    )  # fmt: skip
    await world.deliver("household-contacts", contact(version=2))
    await world.deliver("forgotten", again)
    assert await world.pool.fetchval("SELECT count(*) FROM household_contact") == 0
    later = MORNING + timedelta(days=1)
    await world.deliver("household-contacts", contact(version=4, occurred_at=later))
    await world.deliver("forgotten", again, gone(3, occurred_at=MORNING))
    assert await world.pool.fetchval("SELECT source_version FROM household_contact") == 4


async def test_words_that_are_too_old_go_by_the_districts_own_rule(world: World) -> None:
    await world.deliver("home-visits", of_visit(events.VisitScheduled))
    path = f"/v1/visit-logs/{uuid4()}"
    assert (await world.http.put(path, json=a_log(**WORDS))).status_code == 201
    decided = events.DistrictPolicyDecided(
        event_id=uuid4(), event_type="district-policy.decided.v1", occurred_at=MORNING, district=DISTRICT, version=1,
        effective_from=MORNING.date(), retention=events.RetentionPolicy(log_bodies_years=2),
    )  # fmt: skip
    context: Any = Context(world)
    await world.deliver("district-policies", decided)
    await forgetting.let_go(context)
    assert "Quenzabel" in await everything(world), "not yet"

    await world.pool.execute(
        "UPDATE visit_log SET started_at = started_at - interval '3 years', ended_at = ended_at - interval '3 years'"
    )
    await forgetting.let_go(context)
    await forgetting.let_go(context)
    assert "Quenzabel" not in await everything(world)
    (line,) = await world.pool.fetch("SELECT owner, kind, years, rows FROM let_go")
    assert tuple(line) == (DISTRICT, "log_bodies", 2, 1)


class Context:
    """What a timer works with, on the test's database."""

    def __init__(self, world: World) -> None:
        self._pool = world.pool

    def begin(self) -> Any:
        publisher: Any = RecordingPublisher()
        return begin(self._pool, publisher, zone=HERE)

"""A district's one policy: decided at the desk as a whole, told as a fact, in force from a school day."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from contracts import events
from deploy.local import provision
from services.runtime import clock
from services.runtime.delivery.publisher import partition_of
from services.runtime.migrate import migrate
from services.scheduling.app import service
from services.scheduling.handlers.pricing import price_waiting
from services.scheduling.store import policies
from tests.component.scheduling.test_desk_forms import at_the_desk, policy_form
from tests.component.scheduling.test_why_here_why_gone import context_of, the_request
from tests.component.scheduling.waiting import calendar, today, weekdays_until
from tests.component.visit_events import World, flag
from tests.delivering import transactions
from tests.people import headers

PATH = "/v1/policies/hartford"
BUS = {"code": "bus", "labels": {"en": "Bus line"}, "kind": "text", "choices": []}


def a_school_day(*, ahead: int) -> date:
    """A weekday so many days from now, or the one before it."""
    return weekdays_until(today() + timedelta(days=ahead), 1)[0]


async def decide(world: World, **decision: Any) -> Any:
    """Let the coordinator decide."""
    answer = await world.http.put(PATH, json=decision, headers=headers("carl"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def told(world: World) -> list[tuple[str, str, int, dict[str, Any]]]:
    rows = await world.pool.fetch("SELECT topic, key, partition, payload FROM outbox ORDER BY id")
    return [(row["topic"], row["key"], row["partition"], json.loads(row["payload"])) for row in rows]


async def in_force(world: World, day: date) -> events.DistrictPolicy:
    async with transactions(world.pool)() as tx:
        return (await policies.in_force(tx.connection, ["hartford"], day=day))["hartford"]


async def test_a_decision_is_one_fact_with_the_whole_policy(world: World) -> None:
    first = a_school_day(ahead=0)
    absence = {"min_enrolled_days": 20, "early_warning": False, "accumulator": "school", "fractions_of_a_day": True}
    log = {"log_due_business_days": 3, "resources": ["food"], "extra_fields": [BUS]}
    await decide(
        world, version=0, effective_from=str(first), absence=absence, desk={"weights": {"sibling": 9}}, log=log
    )
    await decide(world, version=1, effective_from=str(first), desk={"tries": 4})

    one, two = await told(world)
    assert {row[0] for row in (one, two)} == {"district-policies"}
    # A version has a key of its own and all of a district one place: compaction takes none, and their order stays.
    assert [row[1] for row in (one, two)] == ["hartford/1", "hartford/2"]
    assert {row[2] for row in (one, two)} == {partition_of("hartford", 24)}
    said = events.DistrictPolicyDecided.model_validate(one[3])
    assert (said.version, said.effective_from, said.district) == (1, first, "hartford")
    assert said.absence == events.AbsencePolicy.model_validate(absence)
    assert (said.desk.weights.sibling, said.desk.tries) == (9, 3)
    assert said.log == events.LogPolicy.model_validate(log)
    # The whole of it, each time: what the second left out is the default's again.
    assert events.DistrictPolicyDecided.model_validate(two[3]).absence == events.AbsencePolicy()


async def test_a_day_to_come_waits_and_one_that_has_passed_counts_now(world: World) -> None:
    past, ahead = a_school_day(ahead=-30), a_school_day(ahead=30)
    await decide(world, version=0, effective_from=str(past), desk={"tries": 4})
    await decide(world, version=1, effective_from=str(ahead), desk={"tries": 6})

    assert [(await in_force(world, day)).version for day in (past - timedelta(days=1), past, today(), ahead)] == [
        0, 1, 1, 2,
    ]  # fmt: skip
    shown = (await world.http.get(PATH)).json()
    assert (shown["version"], shown["desk"]["tries"], shown["in_force"]) == (2, 6, 1)
    page = (await (await at_the_desk(world, "carl")).get("/policy")).text
    assert "Until then version 1 stands." in page
    # Decided later, for a day before: it is the newest whose day has come, and stays so on the other's day.
    await decide(world, version=2, effective_from=str(a_school_day(ahead=-2)), desk={"tries": 8})
    assert [(await in_force(world, day)).desk.tries for day in (past, today(), ahead)] == [4, 8, 8]


async def test_requests_are_priced_by_the_policy_in_force(world: World) -> None:
    await world.deliver("flags", flag(1), flag(2))
    before = (await the_request(world))["points"]
    await decide(world, version=0, effective_from=str(a_school_day(ahead=40)), desk={"weights": {"sibling": 100}})
    await price_waiting(context_of(world))
    assert ((await the_request(world))["points"], (await the_request(world))["policy_version"]) == (before, 0)

    await decide(world, version=1, effective_from=str(a_school_day(ahead=-1)), desk={"weights": {"sibling": 100}})
    await price_waiting(context_of(world))
    assert ((await the_request(world))["points"], (await the_request(world))["policy_version"]) == (before + 60, 2)


async def test_without_a_day_it_is_the_first_school_day_that_is_not_over(world: World) -> None:
    await world.deliver("calendars", calendar())
    closed = await world.pool.fetch("DELETE FROM teaching_day WHERE day BETWEEN $1 AND $1 + 9 RETURNING day", today())
    decided = await decide(world, version=0)
    first = await world.pool.fetchval("SELECT min(day) FROM teaching_day WHERE day >= $1", today())
    assert decided["effective_from"] == str(first)

    refused = await world.http.put(
        PATH, json={"version": 1, "effective_from": str(closed[0]["day"])}, headers=headers("carl")
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "no_school_that_day")


async def test_the_page_decides_all_parts_and_leaves_further_fields_as_they_are(world: World) -> None:
    await decide(world, version=0, effective_from=str(a_school_day(ahead=-3)), log={"extra_fields": [BUS]})
    carl = await at_the_desk(world, "carl")
    page = (await carl.get("/policy")).text
    assert "10 % of the days enrolled" in page
    assert 'min="5" max="20"' in page
    typed = policy_form(
        version="1", min_enrolled_days="15", accumulator="school", summer_requests="yes",
        resources="food, bus_pass", log_due_business_days="7", effective_from=str(a_school_day(ahead=0)),
    )  # fmt: skip
    del typed["early_warning"]
    assert (await carl.post("/policy", data=typed)).status_code == 303

    said = events.DistrictPolicyDecided.model_validate((await told(world))[-1][3])
    assert (said.absence.min_enrolled_days, said.absence.accumulator, said.absence.early_warning) == (
        15, "school", False,
    )  # fmt: skip
    assert (said.desk.summer_requests, said.log.short_first_visit) == (True, False)
    assert said.log.resources == ("food", "bus_pass")
    assert [field.code for field in said.log.extra_fields] == ["bus"]

    for field, wrong, sentence in (
        ("min_enrolled_days", "4", "Give a whole number from 5 to 20."),
        ("resources", "Food!", "Name resources by small letters"),
        ("effective_from", "soon", "Give a date"),
        ("accumulator", "state", "Choose one of these."),
    ):
        answer = await carl.post("/policy", data=typed | {"version": "2", field: wrong})
        assert answer.status_code == 422
        assert answer.text.count(sentence) >= 2, "at the top and at the field"


async def test_what_was_decided_before_there_was_one_policy_is_in_force_from_its_day(
    fresh_database: str, tmp_path: Path
) -> None:
    url = (await provision(fresh_database, ["scheduling"]))["scheduling"]
    before = tmp_path / "scheduling" / "migrations"
    before.mkdir(parents=True)
    for path in sorted(service.migrations.glob("00*.sql")):
        if path.name < "0012":
            shutil.copy(path, before)
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection, before)
        await connection.executemany(
            "INSERT INTO policy (district, version, body, changed_by, changed_at) VALUES ('hartford', $1, $2, 'c', $3)",
            [
                (number, json.dumps({"tries": number + 3}), clock.now() - timedelta(days=9 - number))
                for number in (1, 2)
            ],
        )
        await migrate(connection, service.migrations)
        newest = await policies.decided_last(connection, "hartford")
        standing = (await policies.in_force(connection, ["hartford"], day=today()))["hartford"]
    finally:
        await connection.close()

    assert newest == standing
    assert (standing.version, standing.desk.tries) == (2, 5)
    assert (standing.absence, standing.log) == (events.AbsencePolicy(), events.LogPolicy())
    assert today() - timedelta(days=9) <= standing.effective_from <= today() - timedelta(days=7)

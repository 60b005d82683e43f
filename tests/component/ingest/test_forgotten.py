"""Who is to be forgotten is, also for the files that come again: what ingest keeps, tells and sends back."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import TypeAdapter

from contracts import events
from contracts.events.forgetting import said_of
from services.ingest.handlers.own_words import OWN
from services.runtime.delivery.own_words import events_of
from tests.component.ingest.test_rolls_land import Landing
from tests.delivering import record
from tests.unit.ingest.landed import enrollment, mark, roll

ServiceDatabase = Callable[[str], Awaitable[Any]]
_FORGETTING: TypeAdapter[Any] = TypeAdapter(events.Forgetting)
ROSTER, ATTENDANCE = "roster-in-hartford", "attendance-in-hartford"
NAME = "Quenzabel"


def household(version: int, **fields: Any) -> dict[str, Any]:
    child = {"student": "1", "given_name": NAME, "family_name": NAME}
    sibling = {"student": "2", "given_name": "Wren", "family_name": NAME}
    return {
        "type": "household", "household": "h1", "contact_name": NAME, "version": version, "students": [child, sibling],
    } | fields  # fmt: skip


def gone(version: int, **fields: Any) -> dict[str, Any]:
    return {"type": "household_forgotten", "household": "h1", "version": version} | fields


def child_gone(version: int, **fields: Any) -> dict[str, Any]:
    return {"type": "student_forgotten", "student": "1", "version": version} | fields


async def waiting(pool: Any, topic: str) -> list[tuple[str, str]]:
    """What waits for a topic: key and value, in their order."""
    rows = await pool.fetch("SELECT key, payload FROM outbox WHERE topic = $1 ORDER BY id", topic)
    return [(row["key"], row["payload"]) for row in rows]


async def test_no_older_or_repeated_file_brings_a_family_back(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household(1), gone(1), topic=ROSTER)
    await landing.land(household(1), household(0), household(2), topic=ROSTER)

    told = await waiting(pool, "household-contacts")
    assert [value for _, value in told] == [""], "nothing but that it was taken back"
    assert NAME not in str(await pool.fetch("SELECT * FROM outbox"))
    back = landing.returned()
    assert [each.reason for each in back] == ["out_of_range", "out_of_range", "missing_field"]
    assert {each.original for each in back} == {b""}, "no copy is made of whom nobody may keep"
    assert await pool.fetchval("SELECT count(*) FROM cut_wanted WHERE district = 'hartford'") == 1


async def test_a_later_version_that_says_again_does(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household(1), topic=ROSTER)
    await landing.land(gone(3), topic=ROSTER)
    await landing.land(household(4, again=True), household(5), topic=ROSTER)

    values = [value for _, value in await waiting(pool, "household-contacts")]
    assert [value and json.loads(value)["source_version"] for value in values] == [1, "", 5]
    kinds = [json.loads(value)["event_type"] for _, value in await waiting(pool, "forgotten")]
    assert kinds == ["household.forgotten.v1", "household.known-again.v1"]


async def test_a_wish_that_comes_after_a_later_word_takes_nothing_of_that(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(household(4, again=True), topic=ROSTER)
    await landing.land(gone(3), topic=ROSTER)
    await landing.land(household(2), topic=ROSTER)
    assert [bool(value) for _, value in await waiting(pool, "household-contacts")] == [True]


async def test_marks_and_enrolments_of_a_forgotten_child_go_back_alone(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(child_gone(7, state_student="9001"), topic=ROSTER)
    await landing.land(enrollment(student="1", version=7), enrollment(student="2", id="e2"), topic=ROSTER)
    await landing.land(
        mark(student="1"), mark(student="2"), mark(student=None, state_student="9001"),
        roll(["1", "tardy", 1], ["3", "tardy", 1]), topic=ATTENDANCE,
    )  # fmt: skip

    assert sum(len(each.students) for each in landing.rolls()) == 2
    assert [each.original for each in landing.returned()] == [b""] * 4
    assert await landing.gap() == 0


async def test_a_childs_name_leaves_contact_data_that_comes_later(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    landing = Landing(pool)
    await landing.land(child_gone(7), topic=ROSTER)
    await landing.land(household(1), topic=ROSTER)
    ((_, value),) = await waiting(pool, "household-contacts")
    assert [child["given_name"] for child in json.loads(value)["students"]] == ["Wren"]


async def test_restored_tables_know_again_who_is_forgotten(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    await Landing(pool).land(gone(3), child_gone(7, figures="erased"), topic=ROSTER)
    told = await waiting(pool, "forgotten")
    records = [record("forgotten", 0, at, value, key=key.encode()) for at, (key, value) in enumerate(told)]
    assert await OWN.unknown(pool, records) == []

    await pool.execute("TRUNCATE forgotten")
    assert await OWN.unknown(pool, records) == records
    said = [said_of(event) for _, event in events_of(_FORGETTING, records)]
    assert [(each.kind, each.version, each.figures) for each in said if each] == [
        ("household", 3, "kept"), ("student", 7, "erased"),
    ]  # fmt: skip


async def test_what_was_set_aside_of_a_family_goes_too(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    for offset, value in enumerate((b'{"household": "h1"', b'{"household": "h11"', b"h1,x")):
        await pool.execute(
            """INSERT INTO dead_letter (topic, partition, record_offset, value, headers, reason, detail)
               VALUES ($1, 0, $2, $3, '[]', 'too_large', '')""",
            ROSTER,
            offset + 100,
            value,
        )
    await Landing(pool).land(gone(1), topic=ROSTER)
    assert await pool.fetchval("SELECT array_agg(record_offset) FROM dead_letter") == [101]

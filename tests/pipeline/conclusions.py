"""What must hold after every fault: the records equal the oracle's, and every event took effect once."""

from typing import Annotated, Any, Union

import asyncpg
from pydantic import Field, TypeAdapter, ValidationError

from contracts.events import Event, FlagFiguresUpdated, Level
from contracts.topics import TOPIC_BY_NAME
from tests import oracle
from tests.component.flagging.builders import conclusions
from tests.pipeline.stack import Stack

_TOPICS = ("rolls", "rosters", "calendars")
_FACTS = tuple(event for topic in _TOPICS for event in TOPIC_BY_NAME[topic].events)


async def facts_of(stack: Stack) -> list[Event]:
    """Read every fact that ingest published, through the contracts; what is none is left out."""
    facts: list[Event] = []
    reader = _reader(_FACTS)
    for value in await stack.read(*_TOPICS):
        try:
            facts.append(reader.validate_json(value))
        except ValidationError:
            continue
    return facts


async def assert_all_equals_the_oracle(stack: Stack) -> None:
    """Recompute every record and flag from the facts, independently, and compare all of them."""
    facts = await facts_of(stack)
    expected = oracle.conclude(facts)
    async with asyncpg.create_pool(stack.urls["flagging"], min_size=1, max_size=2) as pool:
        concluded = await conclusions(pool)
    assert concluded.records == expected.records
    assert concluded.flags == expected.flags
    assert expected.records, "the comparison would prove nothing without records"
    await _assert_the_desk_shows_todays_figures(stack, expected)


async def _assert_the_desk_shows_todays_figures(stack: Stack, expected: oracle.Conclusions) -> None:
    """Compare the figures of everybody flagged at any time in the year, as the desk holds them."""
    async with stack.sql("scheduling") as connection:
        rows = await connection.fetch(
            "SELECT student_key, school_year, days_absent, days_enrolled FROM flagged_student"
        )
    shown = {(row["student_key"], row["school_year"]): (row["days_absent"], row["days_enrolled"]) for row in rows}
    assert shown == {key: expected.figures.get(key, (0, 0)) for key in shown}


async def assert_every_event_was_effective_once(stack: Stack) -> None:
    """Follow each student's flag through the topic, and each household's request through the desk."""
    standing: dict[object, tuple[int, Level]] = {}
    seen: set[object] = set()
    reader = _reader(TOPIC_BY_NAME["flags"].events)
    for value in await stack.read("flags"):
        event = reader.validate_json(value)
        if event.event_id in seen:
            continue  # the relay delivers at least once; an id that was seen is ignored by every reader
        seen.add(event.event_id)
        if isinstance(event, FlagFiguresUpdated):
            for student, said, version in zip(event.students, event.levels, event.versions, strict=True):
                former, level = standing[student, event.school_year]
                assert (version > former, said) == (True, level), "figures come in order and cross no line"
                standing[student, event.school_year] = (version, level)
            continue
        key = (event.student_key, event.school_year)
        former, level = standing.get(key, (0, Level.NONE))
        assert (event.version > former, event.previous_level) == (True, level)
        standing[key] = (event.version, event.level)
    flagged = {key for key, (_, level) in standing.items() if level is not Level.NONE}

    async with stack.sql("flagging") as connection:
        rows = await connection.fetch("SELECT student_key, school_year FROM flag WHERE level > 0")
        assert {(row["student_key"], row["school_year"]) for row in rows} == flagged
        households = await connection.fetch(
            """SELECT DISTINCT m.household_key FROM flag f JOIN member m USING (student_key, school_year)
               WHERE f.level > 0"""
        )
    async with stack.sql("scheduling") as connection:
        waiting = await connection.fetch("SELECT household_key FROM request WHERE stage <> 'closed'")
    assert sorted(row["household_key"] for row in waiting) == sorted(row["household_key"] for row in households)
    async with stack.sql("ingest") as connection:
        # A landed roll is one record; the marks in it are counted beside that.
        rows = await connection.fetch(
            """SELECT district, sum(records)::bigint AS records FROM landed_count
               WHERE kind NOT LIKE 'roll_mark%' GROUP BY district"""
        )
    landed = {row["district"]: row["records"] for row in rows}
    ends = await stack.ends(
        [f"{kind}-in-{district}" for district in stack.districts for kind in ("attendance", "roster")]
    )
    sent = {
        district: sum(end for (topic, _), end in ends.items() if topic.endswith(f"-in-{district}"))
        for district in stack.districts
    }
    assert landed == sent
    await _assert_every_mark_was_dealt_with(stack)


async def _assert_every_mark_was_dealt_with(stack: Stack) -> None:
    """Hold the marks that went on at ingest against those that flagging applied or knew: each once."""
    async with stack.sql("ingest") as connection:
        published = await connection.fetch(
            """SELECT district, sum(records)::bigint AS marks FROM landed_count
               WHERE kind IN ('mark', 'retraction', 'roll_mark') GROUP BY district"""
        )
    async with stack.sql("flagging") as connection:
        rows = await connection.fetch("SELECT district, applied + duplicate AS marks FROM mark_count")
    dealt_with = {row["district"]: row["marks"] for row in rows}
    assert dealt_with == {row["district"]: row["marks"] for row in published}


def _reader(models: tuple[type[Event], ...]) -> TypeAdapter[Any]:
    """Read any of the models, told apart by `event_type`."""
    either: Any = Union[models]  # noqa: UP007
    return TypeAdapter(Annotated[either, Field(discriminator="event_type")])

"""The same facts, however they come: shuffled, repeated, split otherwise, corrections first: the same conclusions."""

import random
from uuid import UUID

import pytest

from contracts.events import Event, FlagChanged, FlagCleared, FlagFiguresUpdated, FlagRaised, Level
from tests import oracle
from tests.component.flagging.builders import DISTRICT, Feeder, a_year_of_facts, conclusions, published
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")


def in_order(facts: list[Event], _: random.Random) -> list[Event]:
    return facts


def shuffled(facts: list[Event], draw: random.Random) -> list[Event]:
    return draw.sample(facts, len(facts))


def repeated(facts: list[Event], draw: random.Random) -> list[Event]:
    return shuffled([*facts, *draw.choices(facts, k=len(facts) // 2)], draw)


def corrections_first(facts: list[Event], _: random.Random) -> list[Event]:
    return sorted(facts, key=lambda fact: -getattr(fact, "source_version", 0))


STANDARD = oracle.Policy()
OWN = oracle.Policy(min_enrolled_days=15, early_absences=3, early_days=12)
AT_SUCH_SCHOOL = oracle.Policy(accumulator="school")


@pytest.mark.parametrize(
    ("seed", "policy"), [(0, STANDARD), (1, STANDARD), (2, STANDARD), (4, OWN), (5, AT_SUCH_SCHOOL)]
)
async def test_the_same_facts_lead_to_the_same_records_and_flags_in_any_arrival(
    service_database: ServiceDatabase, seed: int, policy: oracle.Policy
) -> None:
    facts = a_year_of_facts(seed)
    expected = oracle.conclude(facts, {DISTRICT: policy})
    assert len(set(expected.flags.values())) == 3, "the facts should reach every level"
    draw = random.Random(seed)

    for arrival, batch, as_rolls in (
        (in_order, 5000, True),
        (in_order, 37, True),
        (in_order, 5000, False),
        (shuffled, 150, True),
        (shuffled, 150, False),
        (repeated, 400, True),
        (corrections_first, 90, True),
    ):
        pool = await service_database("flagging")
        if policy != STANDARD:
            await pool.execute(
                "INSERT INTO policy (district, version, min_enrolled_days, early_absences, early_days, accumulator)"
                " VALUES ($1, 1, $2, $3, $4, $5)",
                DISTRICT,
                policy.min_enrolled_days,
                policy.early_absences,
                policy.early_days,
                policy.accumulator,
            )
        await Feeder(pool, as_rolls=as_rolls).feed(arrival(facts, draw), batch=batch)

        concluded = await conclusions(pool)
        assert concluded.records == expected.records, arrival.__name__
        assert concluded.flags == expected.flags, arrival.__name__
        assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
        _assert_events_tell_the_same_story(await published(pool, "flags"), expected)


def _assert_events_tell_the_same_story(told: list[Event], expected: oracle.Conclusions) -> None:
    level: dict[object, Level] = {}
    version: dict[object, int] = {}
    household: dict[object, object] = {}
    figures: dict[tuple[UUID, int], tuple[int, int]] = {}
    for event in told:
        if isinstance(event, FlagFiguresUpdated):
            for place, who in enumerate(event.students):
                key = (who, event.school_year)
                assert event.levels[place] == level[key], "figures cross no line"
                assert event.versions[place] > version[key]
                version[key] = event.versions[place]
                figures[key] = (event.days_absent[place], event.days_enrolled[place])
                assert len(event.absent_days[place]) == event.days_absent[place]
            continue
        assert isinstance(event, FlagRaised | FlagChanged | FlagCleared)
        key = (event.student_key, event.school_year)
        assert event.version > version.get(key, 0)
        assert event.previous_level == level.get(key, Level.NONE)
        assert event.level != event.previous_level or event.household_key != household[event.student_key]
        household[event.student_key] = event.household_key
        assert isinstance(event, FlagRaised) == (event.previous_level is Level.NONE)
        assert isinstance(event, FlagCleared) == (event.level is Level.NONE)
        level[key], version[key], figures[key] = event.level, event.version, (event.days_absent, event.days_enrolled)
        assert len(event.absent_days) == event.days_absent
    assert {key: each for key, each in level.items() if each is not Level.NONE} == expected.flags
    # Of everybody flagged at any time in it, the newest figures told are those of all the facts.
    assert figures == {key: expected.figures.get(key, (0, 0)) for key in figures}
    assert len({event.event_id for event in told}) == len(told)

"""The same facts, however they come: shuffled, repeated, split otherwise, corrections first: the same conclusions."""

import random

import pytest

from contracts.events import Event, FlagChanged, FlagCleared, FlagRaised, Level
from tests import oracle
from tests.component.flagging.builders import DISTRICT, Feeder, a_year_of_facts, conclusions, published
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")


def in_order(facts: list[Event], draw: random.Random) -> list[Event]:
    return facts


def shuffled(facts: list[Event], draw: random.Random) -> list[Event]:
    return draw.sample(facts, len(facts))


def repeated(facts: list[Event], draw: random.Random) -> list[Event]:
    return shuffled([*facts, *draw.choices(facts, k=len(facts) // 2)], draw)


def corrections_first(facts: list[Event], draw: random.Random) -> list[Event]:
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

    for arrival, batch in ((in_order, 5000), (in_order, 37), (shuffled, 150), (repeated, 400), (corrections_first, 90)):
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
        await Feeder(pool).feed(arrival(facts, draw), batch=batch)

        concluded = await conclusions(pool)
        assert concluded.records == expected.records, arrival.__name__
        assert concluded.flags == expected.flags, arrival.__name__
        assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
        _assert_events_tell_the_same_story(await published(pool, "absence-flags"), expected)


def _assert_events_tell_the_same_story(events: list[Event], expected: oracle.Conclusions) -> None:
    standing: dict[object, tuple[int, Level]] = {}
    household: dict[object, object] = {}
    for event in events:
        assert isinstance(event, FlagRaised | FlagChanged | FlagCleared)
        version, level = standing.get((event.student_key, event.school_year), (0, Level.NONE))
        assert (event.version, event.previous_level) == (version + 1, level)
        assert event.level != event.previous_level or event.household_key != household[event.student_key]
        household[event.student_key] = event.household_key
        assert isinstance(event, FlagRaised) == (event.previous_level is Level.NONE)
        assert isinstance(event, FlagCleared) == (event.level is Level.NONE)
        standing[event.student_key, event.school_year] = (event.version, event.level)
    assert {key: level for key, (_, level) in standing.items() if level is not Level.NONE} == expected.flags
    assert len({event.event_id for event in events}) == len(events)

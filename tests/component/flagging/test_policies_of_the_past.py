"""A policy in force from a day that is over judges everybody anew, at several schools too (DOMAIN 9.9, 9.13)."""

import pytest

from tests.component.flagging.asking import settle
from tests.component.flagging.builders import Feeder, conclusions, mark, policy, school_days, stint, student
from tests.component.flagging.test_which_days_count import taught
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAYS = school_days(45)
ANNA = student(4)


@pytest.mark.parametrize("policy_first", [True, False])
async def test_a_lower_minimum_judges_who_was_at_two_schools(
    service_database: ServiceDatabase, policy_first: bool
) -> None:
    """2 of 12 over two schools of six days each; the minimum goes from 20 to 10."""
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    twenty = policy(1, DAYS[0], min_enrolled_days=20, early_warning=False)
    ten = policy(2, DAYS[0], min_enrolled_days=10, early_warning=False)
    facts = [
        *taught(DAYS[:12], "H01", "H02"),
        *(stint(ANNA, exit_date=DAYS[6], exit_day_counts=False), stint(ANNA, school="H02", entry=DAYS[6])),
        *(mark(ANNA, DAYS[2]), mark(ANNA, DAYS[8], school="H02")),
    ]
    for part in ([twenty], [ten], facts) if policy_first else ([twenty], facts, [ten]):
        await feeder.feed(part)
        await settle(pool)
    assert (await conclusions(pool)).flags


@pytest.mark.parametrize("policy_first", [True, False])
async def test_flags_by_school_judge_who_is_at_two_schools(
    service_database: ServiceDatabase, policy_first: bool
) -> None:
    """3 of 20 at one school is chronic there."""
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    decided = [policy(1, DAYS[0], accumulator="school")]
    facts = [
        *(*taught(DAYS, "H01", "H02"), stint(ANNA), stint(ANNA, school="H02", entry=DAYS[25])),
        *(mark(ANNA, day, school="H02") for day in DAYS[30:33]),
    ]
    for part in (decided, facts) if policy_first else (facts, decided):
        await feeder.feed(part)
        await settle(pool)
    assert (await conclusions(pool)).flags

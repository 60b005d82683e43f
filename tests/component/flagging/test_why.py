"""What is answered about one student beyond the flag: what the district counts for itself."""

import pytest

from contracts.events import FlagFiguresUpdated, FlagRaised
from tests.component.flagging.asking import ask
from tests.component.flagging.builders import (
    Feeder,
    calendar,
    mark,
    policy,
    published,
    roll,
    school_days,
    stint,
    student,
)
from tests.component.flagging.test_which_days_count import taught
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = student(1)


async def test_a_district_may_show_absence_as_it_counts_it_for_itself(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    days = school_days(20)
    marks = [
        mark(ANNA, days[2], "in_school_suspension"),
        mark(ANNA, days[3], "tardy", present_parts=3, day_parts=4),
        mark(ANNA, days[4], "unexcused_absence"),
    ]
    await Feeder(pool).feed([calendar(days), stint(ANNA), *(roll(day) for day in days), *marks])
    assert "local_days_absent" not in await ask(pool, f"/v1/students/{ANNA}/absence")
    await pool.execute(
        "INSERT INTO policy (district, version, fractions_of_a_day, in_school_suspension_is_absence)"
        " VALUES ('hartford', 1, true, true)"
    )
    answer = await ask(pool, f"/v1/students/{ANNA}/absence")
    # One suspension in school, a quarter of a day, one whole day; for the state it is one day.
    assert answer["local_days_absent"] == "9/4"
    assert answer["accumulators"][-1]["days_absent"] == 1


async def test_the_standard_policy_is_not_taken_for_a_districts_first_decision(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    days = school_days(20)
    await feeder.feed([*taught(days[:10]), stint(ANNA), *(mark(ANNA, day) for day in days[:4])])
    assert (await ask(pool, f"/v1/students/{ANNA}/absence"))["rule"]["policy_version"] == 0
    await feeder.feed([policy(1, days[0])])
    await feeder.feed([calendar(days, version=2), *(roll(day) for day in days[10:])])
    assert (await ask(pool, f"/v1/students/{ANNA}/absence"))["rule"]["policy_version"] == 1

    told = await published(pool, "flags")
    first, last = told[0], told[-1]
    assert isinstance(first, FlagRaised)
    assert isinstance(last, FlagFiguresUpdated)
    # Both are told as 1, which is the least that an event may say.
    assert (first.policy_version, first.standard_policy) == (1, True)
    assert (last.policy_version, last.standard_policy) == (1, False)

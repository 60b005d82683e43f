"""What is answered about one student beyond the flag: what the district counts for itself."""

import pytest

from tests.component.flagging.asking import ask
from tests.component.flagging.builders import Feeder, calendar, mark, roll, school_days, stint, student
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

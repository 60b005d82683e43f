"""The rules stand twice, in Python and in SQL: here they must agree, day by day."""

import json
import random
from datetime import date, timedelta

import pytest

from contracts.calendar import first_day_of, school_year_of
from services.flagging.rules import absence
from services.flagging.rules.absence import Level, Policy
from services.flagging.store.judge_sql import dates_of, recent_days
from services.runtime.delivery.publisher import partition_of
from tests.component.flagging.builders import student
from tests.conftest import ServiceDatabase

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _text(days: int) -> str:
    return format(days, "0366b")[::-1]


async def test_a_standing_in_sql_is_the_level_in_python(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    draw = random.Random(7)
    cases = []
    for _ in range(3000):
        counted = sum(1 << n for n in sorted(draw.sample(range(366), draw.choice([0, 5, 9, 10, 11, 20, 21, 40, 180]))))
        share = draw.choice([0.03, 0.06, 0.1, 0.2])
        absent = sum(1 << n for n in range(366) if counted >> n & 1 and draw.random() < share)
        cases.append((counted, absent, draw.choice([1, 10, 20]), draw.choice([1, 2, 3]), draw.choice([5, 20])))
    rows = await pool.fetch(
        "SELECT standing(c::bit(366), a::bit(366), NULL, m, e, d) AS s"
        " FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::int[]) AS t (c, a, m, e, d)",
        [_text(case[0]) for case in cases],
        [_text(case[1]) for case in cases],
        *([case[place] for case in cases] for place in (2, 3, 4)),
    )
    seen = set()
    for (counted, absent, minimum, absences, days), row in zip(cases, rows, strict=True):
        policy = Policy(min_enrolled_days=minimum, early_absences=absences, early_days=days)
        for chronic in (False, True):
            judged = absence.level(counted=counted, absent=absent, chronic_last_year=chronic, policy=policy)
            standing = int(chronic) if row["s"] == -1 else row["s"]
            assert Level(standing) is judged
        seen.add(row["s"])
    assert seen == {-1, 0, 1, 2, 3}


async def test_recent_days_and_dates_in_sql_are_those_in_python(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    draw = random.Random(9)
    cases = [(0, 0), (1, 1), (1 << 365, 1 << 365), ((1 << 366) - 1, (1 << 366) - 1)]
    for _ in range(400):
        counted = sum(1 << n for n in draw.sample(range(366), draw.choice([1, 12, 20, 21, 40, 41, 180])))
        cases.append((counted, counted & sum(1 << n for n in range(366) if draw.random() < draw.choice([0.1, 0.9]))))
    rows = await pool.fetch(
        f"SELECT {recent_days('c', 'a')} AS recent, {dates_of('a', '2026')} AS dates"
        " FROM (SELECT c::bit(366), a::bit(366) FROM unnest($1::text[], $2::text[]) AS t (c, a)) AS days",
        [_text(counted) for counted, _ in cases],
        [_text(absent) for _, absent in cases],
    )
    for (counted, absent), row in zip(cases, rows, strict=True):
        assert json.loads(row["recent"]) == absence.recent_days(counted=counted, absent=absent)
        dates = [date(2026, 7, 1) + timedelta(days=n) for n in range(366) if absent >> n & 1]
        assert json.loads(row["dates"]) == [day.isoformat() for day in dates]


async def test_school_years_days_and_ranges_agree(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    rows = await pool.fetch(
        "SELECT d::date AS day, school_year_of(d::date) AS year, first_day_of(school_year_of(d::date)) AS first"
        " FROM generate_series(DATE '2000-07-01', DATE '2099-12-31', INTERVAL '1 day') AS d"
    )
    for row in rows:
        year = school_year_of(row["day"])
        assert (row["year"], row["first"]) == (year, first_day_of(year))

    draw = random.Random(8)
    first_days = [date(2026, 5, 1) + timedelta(days=draw.randrange(500)) for _ in range(300)]
    last_days = [date(2026, 5, 1) + timedelta(days=draw.randrange(500)) for _ in range(300)]
    rows = await pool.fetch(
        "SELECT days_between(f, l, 2026)::text AS days FROM unnest($1::date[], $2::date[]) AS t (f, l)",
        first_days,
        last_days,
    )
    for first, last, row in zip(first_days, last_days, rows, strict=True):
        assert row["days"] == _text(absence.days_between(first_day=first, last_day=last, school_year=2026))


async def test_a_students_lane_is_its_partition(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    keys = [student(number) for number in range(200)]
    lanes = await pool.fetch("SELECT lane_of(k) AS lane FROM unnest($1::uuid[]) AS k", keys)
    assert [row["lane"] for row in lanes] == [partition_of(str(key), 24) for key in keys]

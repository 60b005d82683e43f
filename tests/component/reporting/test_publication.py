"""A publication waits for every known district's month, to the 15th at most, and says what it lacks."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from contracts import events
from services.reporting.reports import published
from services.reporting.rules import sixes
from services.reporting.rules.figures import tables_of
from services.runtime.delivery.transaction import Transaction
from tests.component.reporting.conftest import ReportingWorld
from tests.component.reporting.tallied import Month, months, whole_day
from tests.component.reporting.test_published import released
from tests.component.visit_events import flag, student
from tests.delivering import transactions
from tests.zones import HERE

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
OCTOBERS_END = date(2026, 10, 31)
STUDENTS = range(1, 61)
# Thirty of them chronically absent and thirty not, as both are published.
HALF, SIXTY = sixes.told_alone(30), sixes.told([(2, 30)])


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 16, 0, tzinfo=UTC)


def closed(district: str, school: str, month: date, *, often: int, **fields: Any) -> events.StudentMonthsTallied:
    """A school's month of sixty students, the first `often` of whom missed ten of twenty days."""
    first = 1000 * sum(map(ord, district + school))
    told = [Month(student(first + n), 20, 10 if n <= often else 0) for n in STUDENTS]
    return months(*told, district=district, school=school, month=month, version=month.month, **fields)


def taught(district: str, school: str, *days: date) -> list[events.SchoolDayTalliedV2]:
    return [whole_day(version=1, district=district, school=school, school_day=day) for day in days]


async def a_september(world: ReportingWorld, *schools: tuple[str, str]) -> None:
    """All taught and closed September, and taught in October; a fifth of their students are chronically absent."""
    await world.deliver("flags", flag(1, occurred_at=at(9, 20)))
    for district, school in schools:
        await world.deliver("school-months", closed(district, school, SEPTEMBER, often=12))
        await world.deliver("day-tallies", *taught(district, school, date(2026, 9, 30), date(2026, 10, 1)))


async def chronic(world: ReportingWorld, who: str = "state") -> dict[str, Any]:
    return {line["district"]: line for line in (await world.told("/v1/published/chronic", who))["lines"]}


async def test_october_is_no_copy_of_september_where_one_district_closed_it_and_others_did_not(
    world: ReportingWorld,
) -> None:
    await a_september(world, ("danbury", "D01"), ("hartford", "H01"))
    await world.deliver("school-months", closed("danbury", "D01", OCTOBER, often=30))
    assert await released(world, at(11, 6)) is None
    assert await released(world, at(11, 14)) is None
    assert await released(world, at(11, 15)) == OCTOBERS_END

    lines = await chronic(world)
    assert (lines["danbury"]["students"], lines["danbury"]["chronic"]) == (SIXTY, HALF)
    assert "hartford" not in lines
    told = (await world.told("/v1/published/chronic", "state"))["lacks"]
    assert told["districts"] == ["hartford"]
    assert told["sentence"] == "Missing: the month has not closed in hartford."


async def test_as_soon_as_all_known_months_have_closed_they_are_published(world: ReportingWorld) -> None:
    await a_september(world, ("danbury", "D01"), ("hartford", "H01"))
    await world.deliver(
        "school-months", *(closed(d, s, OCTOBER, often=30) for d, s in (("danbury", "D01"), ("hartford", "H01")))
    )
    # Still October where they live: September is what ended last.
    assert await released(world, datetime(2026, 11, 1, 3, 59, tzinfo=UTC)) == date(2026, 9, 30)
    assert await released(world, datetime(2026, 11, 1, 5, 1, tzinfo=UTC)) == OCTOBERS_END
    document = await world.told("/v1/published/chronic", "state")
    assert document["lacks"] == {
        "sentence": "Nothing is missing: every known school has closed the month, and every roll is complete.",
        "districts": [], "schools": [], "rolls": [],
    }  # fmt: skip
    assert {line["district"]: line["chronic"] for line in document["lines"]} == {
        "danbury": HALF, "hartford": HALF, "state": sixes.told([(2, 30)]),
    }  # fmt: skip


async def test_a_school_that_has_not_closed_is_named_and_not_counted(world: ReportingWorld) -> None:
    schools = (("hartford", "H01"), ("hartford", "H02"), ("danbury", "D01"))
    await a_september(world, *schools)
    for district, school in (schools[0], schools[2]):
        await world.deliver("school-months", closed(district, school, OCTOBER, often=30, missing_rolls=0))
    assert await released(world, at(11, 14)) is None
    assert await released(world, at(11, 15)) == OCTOBERS_END
    document = await world.told("/v1/published/chronic", "state")
    assert document["lacks"]["schools"] == [{"district": "hartford", "school": "H02"}]
    assert {line["district"]: line["students"] for line in document["lines"]} == {
        "danbury": SIXTY, "hartford": SIXTY, "state": sixes.told([(4, 30)]),
    }  # fmt: skip


async def test_days_without_a_complete_roll_are_counted_over_the_years_closed_months(world: ReportingWorld) -> None:
    await world.deliver("flags", flag(1, occurred_at=at(9, 20)))
    await world.deliver(
        "school-months",
        closed("hartford", "H01", SEPTEMBER, often=12, missing_rolls=1),
        closed("hartford", "H01", OCTOBER, often=12, missing_rolls=2),
        closed("hartford", "H02", OCTOBER, often=12, missing_rolls=0),
        closed("hartford", "H03", OCTOBER, often=12, missing_rolls=None),
    )
    assert await released(world, at(11, 2)) == OCTOBERS_END
    told = (await world.told("/v1/published/visits", "state"))["lacks"]
    assert told["rolls"] == [{"district": "hartford", "school": "H01", "days": 3}]
    assert told["sentence"] == "Missing: school days without a complete roll: 3, at H01 (hartford): 3."


async def test_the_page_and_the_files_say_what_is_missing(world: ReportingWorld) -> None:
    await a_september(world, ("danbury", "D01"), ("hartford", "H01"), ("windham", "W01"))
    await world.deliver("school-months", closed("danbury", "D01", OCTOBER, often=30, missing_rolls=2))
    await released(world, at(11, 15))
    page = (await world.page("/state", "state")).text
    assert "Missing: the month has not closed in Hartford, Windham; school days without a complete roll: 2, at" in page
    rows = list(csv.DictReader(io.StringIO((await world.ask("/v1/published/chronic.csv", "state")).text)))
    assert {row["lacks"] for row in rows} == {
        "Missing: the month has not closed in hartford, windham; "
        "school days without a complete roll: 2, at D01 (danbury): 2."
    }
    # Rosa's districts are Hartford and Danbury: of another she hears nothing.
    assert (await world.told("/v1/published/chronic", "rosa"))["lacks"]["districts"] == ["hartford"]
    world.http.cookies.set("language", "es")
    assert "Falta: el mes no se ha cerrado en Hartford, Windham" in (await world.page("/state", "state")).text


async def test_a_release_carries_the_as_of_of_its_data_and_never_of_its_making(world: ReportingWorld) -> None:
    await a_september(world, ("hartford", "H01"))
    await world.deliver("flags", flag(2, occurred_at=at(10, 20)))
    await world.deliver("flags", flag(3, household_number=3, occurred_at=at(11, 9)))
    assert await released(world, at(11, 20)) == OCTOBERS_END
    assert (await world.told("/v1/published/funnel", "state"))["as_of"] == "2026-10-20T16:00:00Z"


async def test_where_only_days_are_known_the_last_one_is_the_as_of(world: ReportingWorld) -> None:
    await world.deliver("day-tallies", *taught("hartford", "H01", date(2026, 10, 29), date(2026, 11, 9)))
    assert await released(world, at(11, 20)) == OCTOBERS_END
    assert (await world.told("/v1/published/funnel", "state"))["as_of"] == "2026-10-29T04:00:00Z"


@pytest.mark.parametrize("day", [14, 15])
async def test_a_month_in_which_nobody_taught_lacks_nothing_and_comes_on_the_15th(
    world: ReportingWorld, day: int
) -> None:
    await world.deliver("flags", flag(1, occurred_at=datetime(2026, 6, 3, 12, 0, tzinfo=UTC), school_year=2025))
    await world.deliver("day-tallies", *taught("hartford", "H01", date(2026, 6, 10)))
    found = await released(world, at(8, day))
    assert found == (date(2026, 7, 31) if day == 15 else None)
    if found:
        assert (await world.told("/v1/published/visits", "state"))["lacks"]["districts"] == []


async def test_what_was_published_before_says_that_nobody_knows_what_it_lacks(world: ReportingWorld) -> None:
    await world.pool.execute("INSERT INTO release VALUES ('2026-06-30', now(), now(), '{\"visits\": []}')")
    assert (await world.told("/v1/published/visits", "state"))["lacks"] is None
    assert "Missing:" not in (await world.page("/state", "state")).text


async def test_while_the_tables_are_made_no_transaction_is_open(
    world: ReportingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_september(world, ("hartford", "H01"))
    opened: list[str] = []
    open_when_made: list[list[str]] = []

    @asynccontextmanager
    async def begin() -> AsyncIterator[Transaction]:
        async with transactions(world.pool)() as tx:
            opened.append("open")
            yield tx
        opened.remove("open")

    def made(*arguments: Any, **named: Any) -> Any:
        open_when_made.append([*opened])
        return tables_of(*arguments, **named)

    monkeypatch.setattr(published, "tables_of", made)
    assert await published.publish(begin, now=at(11, 15), zone=HERE) == OCTOBERS_END
    assert open_when_made == [[]]
    assert await published.publish(begin, now=at(11, 15), zone=HERE) is None, "a release is made once"

"""A school's figures come as one record: what it leaves is what pricing one request after the other would."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts import events
from contracts.generate import FOLDER
from services.runtime.delivery.subscription import Undecodable
from services.scheduling.handlers.arrivals import decode
from services.scheduling.handlers.figures import Figures, figures_of
from services.scheduling.handlers.pricing import price
from tests.component.scheduling.test_figures_are_todays import FIRST, figures
from tests.component.scheduling.waiting import calendar
from tests.component.visit_events import World, flag, household, student
from tests.delivering import RecordingPublisher, record, transactions

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHILDREN = 240
PRICED = "base_points, waiting_points, days_beyond, due_on, priority::text, rule_version, policy_version, version"
EXAMPLES = {
    path.stem: path.read_text() for path in sorted((FOLDER / "examples/absence-flag.figures-updated.v1").glob("*.json"))
}


def of_school(school: int, numbers: list[int], *, version: int, drawn: random.Random) -> events.FlagFiguresUpdated:
    """Figures of children of one school, each with days of their own."""
    ordinary = figures(*numbers, version=version, days_absent=2, days_enrolled=60, school=f"H{school:02}")
    missed, recent = [], []
    for _ in numbers:
        days = sorted(drawn.sample(range(60), drawn.randrange(1, 30)))
        last, before = sum(day >= 40 for day in days), sum(20 <= day < 40 for day in days)
        spell = next(length for length in range(61) if 59 - length not in days)
        missed.append(tuple(FIRST + timedelta(days=day) for day in days))
        recent.append({"last_20_absent": last, "last_20_counted": 20, "before_20_absent": before,
                       "before_20_counted": drawn.choice([20, 20, 7]), "spell": spell})  # fmt: skip
    columns: dict[str, Any] = {
        "grades": tuple(drawn.choice([None, "K", "3", "9"]) for _ in numbers),
        "days_absent": tuple(map(len, missed)),
        "days_enrolled": tuple(drawn.randrange(60, 90) for _ in numbers),
        "absent_days": tuple(missed),
        "recent": tuple(recent),
        "chronic_last_year": tuple(drawn.choice([None, False, True]) for _ in numbers),
    }
    return events.FlagFiguresUpdated.model_validate(ordinary.model_dump() | columns)


async def a_desk_with_work(world: World) -> None:
    """Families of one to three flagged children, some closed, some promised something, some who asked for time."""
    await world.deliver("calendars", calendar(), calendar("H02"))
    await world.deliver(
        "flags", *(flag(n, household_number=n % 150, school=f"H0{n % 2}", grade="3") for n in range(CHILDREN))
    )
    await world.pool.execute(
        """
        UPDATE request SET
            stage = CASE n % 8 WHEN 0 THEN 'closed' WHEN 1 THEN 'agreed' WHEN 2 THEN 'contacting' ELSE 'new' END,
            closed_because = CASE n % 8 WHEN 0 THEN 'moved' END, closed_at = CASE n % 8 WHEN 0 THEN opened_at END,
            contacted_at = CASE n % 8 WHEN 2 THEN opened_at END,
            pinned = n % 8 = 3, promise_due = CASE n % 8 WHEN 3 THEN aged_from END,
            promise_kind = CASE n % 8 WHEN 3 THEN 'call' END,
            aged_from = aged_from - (n % 40)::integer,
            waiting_on_family = CASE n % 5 WHEN 0 THEN datemultirange(daterange(aged_from - 20, aged_from - 10))
                                           ELSE '{}' END
        FROM (SELECT request_id AS id, row_number() OVER (ORDER BY household_key) AS n FROM request) AS numbered
        WHERE request_id = id
        """
    )


async def prices(world: World) -> dict[Any, tuple[Any, ...]]:
    rows = await world.pool.fetch(f"SELECT request_id, stage, {PRICED} FROM request")
    return {row["request_id"]: tuple(row) for row in rows}


async def test_a_record_prices_as_one_request_after_the_other_would(world: World) -> None:
    await a_desk_with_work(world)
    before, drawn = await prices(world), random.Random(20)
    halves = [[n for n in range(CHILDREN) if n % 2 == school] for school in (0, 1)]
    told = [of_school(school, halves[school], version=5, drawn=drawn) for school in (0, 1)]
    older = of_school(1, halves[1][:50], version=4, drawn=drawn)
    await world.deliver("flags", told[0], older, told[1])

    in_columns = await prices(world)
    async with transactions(world.pool, RecordingPublisher(), zone=world.zone)() as tx:
        for request_id, (_, stage, *_) in in_columns.items():
            if stage != "closed":
                await price(tx, [request_id], as_of=datetime.now(UTC))
    assert in_columns == await prices(world)

    changed = {key for key in before if before[key] != in_columns[key]}
    assert changed == {key for key, (_, stage, *_) in before.items() if stage != "closed"}
    # Nobody's open form becomes stale, and nobody is told: ranks are no facts of a request's life.
    assert [row[-1] for row in in_columns.values()] == [row[-1] for row in before.values()]
    kept = await world.pool.fetch("SELECT student_key, days_absent, absent_days FROM flagged_student")
    by_student = {row["student_key"]: (row["days_absent"], tuple(row["absent_days"])) for row in kept}
    for each in told:
        for key, *said in zip(each.students, each.days_absent, each.absent_days, strict=True):
            assert by_student[key] == tuple(said)


async def test_the_same_figures_told_again_write_no_request(world: World) -> None:
    await a_desk_with_work(world)
    once = of_school(0, list(range(CHILDREN)), version=5, drawn=random.Random(3))
    await world.deliver("flags", once)
    rows = "SELECT request_id, ctid::text FROM request WHERE stage <> 'closed' ORDER BY 1"
    before, told = await prices(world), await world.published()

    again = once.model_copy(update={"event_id": uuid4(), "versions": (6,) * CHILDREN})
    written = [tuple(row) for row in await world.pool.fetch(rows)]
    await world.deliver("flags", again)

    assert [tuple(row) for row in await world.pool.fetch(rows)] == written
    assert await prices(world) == before
    assert await world.published() == told
    assert await world.pool.fetchval("SELECT min(version) FROM flagged_student") == 6


async def test_figures_of_a_flag_that_the_same_batch_opened_or_cleared_find_its_request(world: World) -> None:
    await world.deliver("flags", flag(1), flag(2, household_number=2))
    both = figures(2, 3, version=9, days_absent=7, days_enrolled=40)
    await world.deliver(
        "flags", flag(2, household_number=2, version=8, level="none"), flag(3, household_number=3), both
    )
    rows = await world.pool.fetch("SELECT household_key, stage, priority->'children'->0->>'days_absent' FROM request")
    assert {tuple(row) for row in rows} == {
        (household(1), "new", "4"),
        (household(2), "closed", "4"),
        (household(3), "new", "7"),
    }


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
async def test_figures_are_read_as_the_contract_says(example: str) -> None:
    read = decode(record("flags", 0, 0, example))
    assert isinstance(read, Figures)
    assert read == figures_of(events.FlagFiguresUpdated.model_validate_json(example))


async def test_what_is_spelled_otherwise_but_fits_the_contract_is_read_all_the_same() -> None:
    said = json.loads(next(iter(EXAMPLES.values())))
    patient = said | {"days_absent": [str(days) for days in said["days_absent"]]}
    read = decode(record("flags", 0, 0, json.dumps(patient, indent=1)))
    assert read == decode(record("flags", 0, 0, json.dumps(said)))


@pytest.mark.parametrize(
    "broken",
    [
        {"students": []},
        {"versions": [1]},
        {"days_absent": [-1, 3]},
        {"as_of": "soon"},
        {"chronic_last_year": None},
        {"grades": ["13", "3"]},
        {"school": "H\x0001"},
    ],
    ids=lambda broken: next(iter(broken)),
)
async def test_figures_that_break_the_contract_are_refused(broken: dict[str, Any]) -> None:
    said = json.loads(figures(1, 2, version=2, days_absent=3, days_enrolled=30).model_dump_json())
    decode(record("flags", 0, 0, json.dumps(said)))
    with pytest.raises(Undecodable):
        decode(record("flags", 0, 0, json.dumps(said | broken)))


async def test_a_student_without_missed_days_has_none(world: World) -> None:
    await world.deliver("flags", flag(1), flag(2, household_number=2))
    told = figures(1, 2, version=2, days_absent=2, days_enrolled=30)
    none = told.model_copy(update={"absent_days": ((), (date(2026, 9, 9),)), "days_absent": (0, 1)})
    await world.deliver("flags", none)
    rows = await world.pool.fetch("SELECT absent_days FROM flagged_student ORDER BY student_key")
    assert [row["absent_days"] for row in rows] == [[], [date(2026, 9, 9)]]
    assert await world.pool.fetchval("SELECT count(*) FROM flagged_student WHERE student_key = $1", student(1)) == 1

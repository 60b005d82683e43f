"""A child who is forgotten: their days end or never were, whichever comes first, the wish or the enrolment."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest

from contracts.events import (
    DistrictEnded,
    Event,
    FlagCleared,
    FlagRaised,
    RetentionPolicy,
    StudentForgotten,
    StudentKnownAgain,
)
from services.flagging.app import FACTS
from services.flagging.app import service as FLAGGING
from services.flagging.handlers.forgetting import let_go, sweep
from services.flagging.handlers.retelling import Told, retell
from services.runtime.delivery.transaction import begin
from services.runtime.web.context import Context
from tests.component.flagging.asking import settle
from tests.component.flagging.builders import DISTRICT, Feeder, conclusions, mark, policy, school_days, stint, student
from tests.component.flagging.test_which_days_count import days_of, taught, told
from tests.conftest import ServiceDatabase
from tests.delivering import RecordingPublisher, deliver, record
from tests.zones import HERE

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOBODY: Any = RecordingPublisher()
ANNA, BEN = student(1), student(2)
DAYS = school_days(40)


def gone(version: int = 1, *, figures: str = "kept", on: Any = DAYS[20]) -> StudentForgotten:
    return StudentForgotten.model_validate(
        {
            "event_id": uuid4(), "event_type": "student.forgotten.v1", "district": DISTRICT, "student_key": ANNA,
            "version": version, "figures": figures, "occurred_at": datetime(on.year, on.month, on.day, 16, tzinfo=UTC),
        }
    )  # fmt: skip


def again(version: int, forgotten_version: int = 1) -> StudentKnownAgain:
    return StudentKnownAgain(
        event_id=uuid4(), event_type="student.known-again.v1", occurred_at=datetime(2026, 11, 1, tzinfo=UTC),
        district=DISTRICT, student_key=ANNA, version=version, forgotten_version=forgotten_version,
        forgotten_at=datetime(DAYS[20].year, DAYS[20].month, DAYS[20].day, 16, tzinfo=UTC),
    )  # fmt: skip


STATE: list[Event] = [
    *taught(DAYS), stint(ANNA), stint(BEN), *(mark(each, day) for each in (ANNA, BEN) for day in DAYS[5:15]),
]  # fmt: skip


@pytest.mark.parametrize("first", ["the wish", "the enrolment"])
async def test_with_figures_kept_the_days_end(service_database: ServiceDatabase, first: str) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    for batch in ([gone()], STATE) if first == "the wish" else (STATE, [gone()]):
        await feeder.feed(batch)
    await feeder.feed([*STATE, gone()])
    assert await days_of(pool) == (10, 20), "the twenty days before it"
    assert await days_of(pool, BEN) == (10, 40)


@pytest.mark.parametrize("first", ["the wish", "the enrolment"])
async def test_with_figures_erased_there_never_was_a_child(service_database: ServiceDatabase, first: str) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    wish: list[Event] = [gone(figures="erased")]
    for batch in (wish, STATE) if first == "the wish" else (STATE, wish):
        await feeder.feed(batch)
    await feeder.feed(STATE)
    assert await days_of(pool) == (0, 0)
    assert {key for key, _ in (await conclusions(pool)).flags} == {BEN}
    assert await pool.fetchval("SELECT count(*) FROM flag WHERE student_key = $1", ANNA) == 0
    assert await pool.fetchval("SELECT count(*) FROM flag_history WHERE student_key = $1", ANNA) == 0
    of_anna = [FlagRaised, FlagCleared] if first == "the enrolment" else []
    assert len(await told(pool)) == len(of_anna) + 1


async def test_a_later_enrolment_that_says_again_counts(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed([*STATE, gone()])
    await feeder.feed([again(2), stint(ANNA, entry=DAYS[30], version=2, stint="stint-2")])
    assert await days_of(pool) == (10, 20 + 10)


async def test_told_again_an_erased_child_stays_untold(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed(STATE)
    await feeder.feed([gone(figures="erased")])
    async with begin(pool, NOBODY, zone=HERE) as tx:
        await sweep(tx)
    assert await pool.fetchval("SELECT count(*) FROM flag WHERE student_key = $1", ANNA) == 0
    before = [row[0] for row in await pool.fetch("SELECT payload FROM outbox WHERE topic = 'flags' ORDER BY id")]
    assert str(ANNA) in str(before), "a flag was told, and its clear"
    heard = Told()
    for payload in before:
        heard.hear(payload.encode())

    async with pool.acquire() as connection, connection.transaction():
        assert (await retell(connection, DISTRICT, heard)).flags == 0
    await settle(pool)
    told_again = await pool.fetch("SELECT payload FROM outbox WHERE topic = 'flags' ORDER BY id OFFSET $1", len(before))
    assert str(BEN) in str(told_again)
    assert str(ANNA) not in str(told_again)
    assert {key for key, _ in (await conclusions(pool)).flags} == {BEN}
    assert await pool.fetchval("SELECT count(*) FROM flag WHERE student_key = $1", ANNA) == 0


async def test_what_was_set_aside_goes_after_the_years_that_its_district_decided(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("flagging")
    decided = policy(1, date(2020, 8, 1)).model_copy(update={"retention": RetentionPolicy(dead_letters_years=2)})
    await Feeder(pool).feed([decided])
    this_year = datetime.now(UTC)
    letters = [
        record("rolls", 0, offset, f'{{"event_type":"nonsense","district":"{whose}"}}', timestamp_ms=int(ms))
        for offset, (whose, ms) in enumerate(
            (whose, this_year.replace(month=3, day=1, year=this_year.year - years).timestamp() * 1000)
            for whose in (DISTRICT, "danbury") for years in (3, 1)
        )
    ]  # fmt: skip
    await deliver(pool, FACTS, letters)
    for _ in range(2):
        await let_go(Context(FLAGGING.settings.model_construct(time_zone=HERE.key), pool, NOBODY))

    left = await pool.fetchval("SELECT array_agg(record_offset ORDER BY record_offset) FROM dead_letter")
    assert left == [1, 2, 3], "nothing of this year, nothing of a district that decided nothing"
    assert [tuple(row) for row in await pool.fetch("SELECT owner, kind, years, rows FROM let_go")] == [
        (DISTRICT, "dead_letters", 2, 1)
    ]


async def test_a_district_that_ended_leaves_nothing(service_database: ServiceDatabase) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    await feeder.feed(STATE)
    ended = DistrictEnded(
        event_id=uuid4(), event_type="district.ended.v1", district=DISTRICT,
        occurred_at=datetime(2027, 6, 30, tzinfo=UTC),
    )  # fmt: skip
    await feeder.feed([ended])
    await feeder.feed(STATE)
    publisher: Any = RecordingPublisher()
    async with begin(pool, publisher, zone=HERE) as tx:
        await sweep(tx)
    tables = await pool.fetch(
        """SELECT table_name FROM information_schema.columns
           WHERE table_schema = current_schema() AND column_name = 'district'"""
    )
    for (table,) in tables:
        assert await pool.fetchval(f"SELECT count(*) FROM {table} WHERE district = $1", DISTRICT) == 0, table

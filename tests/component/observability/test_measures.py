"""What services tell of themselves, read from a real database."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest

from contracts.services import SERVICES
from services.flagging import metrics as flagging
from services.ingest import metrics as ingest
from services.ingest.handlers import landed as handlers
from services.runtime import clock
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.transaction import Transaction
from services.runtime.seen.metric import Snapshot
from services.runtime.settings import Settings
from services.runtime.web.context import Context
from tests.component.flagging.builders import Feeder, calendar, mark, roll, school_days, stint, student
from tests.conftest import ServiceDatabase
from tests.delivering import RecordingPublisher, deliver, record
from tests.unit.ingest.landed import districts

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAYS = school_days(20)
HARTFORD = ("hartford",)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Any]:
    """Set the time of day, in UTC."""

    def set_clock(moment: datetime) -> None:
        file = tmp_path / "clock"
        file.write_text(str((moment - datetime.now(UTC)).total_seconds()))
        clock.use(file)

    yield set_clock
    clock.use(None)


def context(pool: Any) -> Context:
    return Context(Settings.model_construct(), pool, cast(Publisher, RecordingPublisher()))


def values(shown: Snapshot) -> dict[tuple[str, ...], float]:
    (family,) = shown.collect()
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


@pytest.mark.parametrize("name", SERVICES)
async def test_every_service_measures_an_empty_schema(name: str, service_database: ServiceDatabase) -> None:
    service = import_module(f"services.{name}.app").service
    pool = await service_database(name)
    if service.measure is not None:
        await service.measure(context(pool))
    assert service.measure is not None or name == "visitlog"


async def test_a_school_without_absences_has_reported_once_its_roll_is_complete(
    service_database: ServiceDatabase, at: Any
) -> None:
    pool = await service_database("flagging")
    feeder = Feeder(pool)
    at(datetime(2026, 9, 1, 13, 59, tzinfo=UTC))  # 9:59 in Connecticut
    await feeder.feed([calendar(DAYS, school=school) for school in ("H01", "H02")])
    await flagging.measure(context(pool))
    assert (values(flagging.EXPECTED), values(flagging.REPORTED)) == ({HARTFORD: 2}, {HARTFORD: 0})
    assert flagging.DUE._value.get() == 0

    await feeder.feed([roll(date(2026, 9, 1))])
    at(datetime(2026, 9, 1, 14, 0, tzinfo=UTC))
    await flagging.measure(context(pool))
    assert (values(flagging.EXPECTED), values(flagging.REPORTED)) == ({HARTFORD: 2}, {HARTFORD: 1})
    assert flagging.DUE._value.get() == 1


async def test_nobody_is_expected_on_a_day_without_school(service_database: ServiceDatabase, at: Any) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed([calendar(DAYS)])
    at(datetime(2026, 9, 5, 16, tzinfo=UTC))  # a Saturday
    await flagging.measure(context(pool))
    assert values(flagging.EXPECTED) == {HARTFORD: 0}


async def test_the_day_is_the_districts_own_not_the_worlds(service_database: ServiceDatabase, at: Any) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed([calendar([date(2026, 9, 4)]), roll(date(2026, 9, 4))])
    at(datetime(2026, 9, 5, 3, 30, tzinfo=UTC))  # still Friday evening there
    await flagging.measure(context(pool))
    assert (values(flagging.EXPECTED), values(flagging.REPORTED)) == ({HARTFORD: 1}, {HARTFORD: 1})


async def test_a_roll_without_a_calendar_is_told(service_database: ServiceDatabase, at: Any) -> None:
    pool = await service_database("flagging")
    await Feeder(pool).feed([roll(date(2026, 9, 1))])
    at(datetime(2026, 9, 1, 16, tzinfo=UTC))
    await flagging.measure(context(pool))
    assert values(flagging.UNSCHEDULED) == {HARTFORD: 1}
    assert values(flagging.EXPECTED) == {HARTFORD: 0}


async def test_marks_are_told_by_effect_and_flags_by_district(service_database: ServiceDatabase, at: Any) -> None:
    pool = await service_database("flagging")
    anna = student(1)
    at(datetime(2026, 9, 4, 16, tzinfo=UTC))
    facts = [calendar(DAYS), stint(anna), *(mark(anna, day) for day in DAYS[:3]), mark(anna, DAYS[0])]
    await Feeder(pool).feed([*facts, *(roll(day) for day in DAYS[:3])])
    await flagging.measure(context(pool))
    assert values(flagging.MARKS) == {("hartford", "applied"): 3, ("hartford", "unchanged"): 1}
    assert values(flagging.FLAGS) == {HARTFORD: 10}


DISTRICTS = districts()


async def _handle(transaction: Transaction, deliveries: Any) -> None:
    await handlers.on_landed(transaction, deliveries, districts=DISTRICTS)


LANDED = Subscription(
    group="leap-ingest",
    pattern=".*",
    decode=lambda landed: handlers.decode_landed(landed, districts=DISTRICTS),
    handle=_handle,
)


async def test_every_landed_record_is_accounted_for_and_one_that_is_not_shows(
    service_database: ServiceDatabase,
) -> None:
    pool = await service_database("ingest")
    good = '{"type":"mark","student":"1","school":"H01","date":"2026-09-01","category":"unexcused_absence","version":1}'
    foreign = good.replace('{"type"', '{"district":"danbury","type"')
    landed = [good, "no JSON", foreign, good]
    rejected = ingest.REJECTED.labels("hartford", "foreign_district")._value.get()
    await deliver(
        pool, LANDED, [record("attendance-in-hartford", 0, offset, value) for offset, value in enumerate(landed)]
    )
    await ingest.measure(context(pool))
    assert values(ingest.GAP) == {HARTFORD: 0}
    assert values(ingest.LANDED) == {("hartford", "mark"): 2, ("hartford", "rejected"): 2}
    assert ingest.REJECTED.labels("hartford", "foreign_district")._value.get() == rejected + 1

    await pool.execute("UPDATE landed_count SET records = records - 1 WHERE kind = 'mark'")
    await ingest.measure(context(pool))
    assert values(ingest.GAP) == {HARTFORD: 1}


async def test_what_ingest_publishes_carries_the_time_of_landing(service_database: ServiceDatabase) -> None:
    pool = await service_database("ingest")
    told: list[int | None] = []

    class Caused(RecordingPublisher):
        async def publish_batches(self, *_: Any, caused_at_ms: int | None = None) -> None:
            told.append(caused_at_ms)

    records = [
        record("roster-in-hartford", 0, 0, "no JSON", timestamp_ms=1_790_000_000_500),
        record("attendance-in-hartford", 0, 0, "no JSON", timestamp_ms=1_790_000_000_000),
    ]
    await deliver(pool, LANDED, records, Caused())
    assert set(told) == {1_790_000_000_000}

"""How far behind: counted per partition, growing while nothing is consumed."""

import time
from types import SimpleNamespace

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from services.runtime.delivery import lag as lag_module
from services.runtime.delivery.lag import Lag
from services.runtime.seen import telemetry
from tests.delivering import record

NORTH, SOUTH = TopicPartition("in-north", 0), TopicPartition("in-south", 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, to be set: `clock[0] += 60` is a minute later."""
    at = [1_790_000_000.0]
    monkeypatch.setattr(time, "time", lambda: at[0])
    return at


def written(partition: TopicPartition, offset: int, at: float) -> ConsumerRecord:
    return record(partition.topic, partition.partition, offset, "x", timestamp_ms=int(at * 1000))


def shown(lag: Lag, group: str, partition: TopicPartition) -> tuple[float, float]:
    lag.publish()
    labels = (group, partition.topic, str(partition.partition))
    return telemetry.LAG_RECORDS.labels(*labels)._value.get(), telemetry.LAG_SECONDS.labels(*labels)._value.get()


def ages(group: str, topic: str) -> dict[str, float]:
    (metric,) = telemetry.RECORD_AGE.collect()
    mine = {"group": group, "topic": topic}
    return {
        each.labels["le"]: each.value
        for each in metric.samples
        if each.name.endswith("_bucket") and mine.items() <= each.labels.items()
    }


def test_lag_grows_while_nothing_is_consumed(clock: list[float]) -> None:
    lag = Lag("grows", topics=["in-north"])
    lag.assigned({NORTH: 5}, {NORTH: 5})
    assert shown(lag, "grows", NORTH) == (0, 0)

    lag.measured({NORTH: 8})
    clock[0] += 60
    assert shown(lag, "grows", NORTH) == (3, 60)
    clock[0] += 60
    assert shown(lag, "grows", NORTH) == (3, 120)


def test_topics_of_one_partition_each_are_told_apart(clock: list[float]) -> None:
    lag = Lag("apart", by_pattern=True)
    lag.assigned({NORTH: 0, SOUTH: 0}, {NORTH: 1, SOUTH: 1})
    lag.take([written(NORTH, 0, clock[0] - 10), written(SOUTH, 0, clock[0] - 500)])
    assert shown(lag, "apart", NORTH) == (1, 10)
    assert shown(lag, "apart", SOUTH) == (1, 500)


def test_a_batch_counts_every_record_with_the_age_of_its_partitions_oldest(clock: list[float]) -> None:
    lag = Lag("ages", by_pattern=True)
    lag.assigned({NORTH: 0, SOUTH: 40}, {NORTH: 3, SOUTH: 41})
    lag.take([written(NORTH, offset, clock[0] - 20 + offset) for offset in range(3)])
    lag.take([written(SOUTH, 40, clock[0] - 1000)])
    lag.applied({NORTH: 3, SOUTH: 41})

    counted = ages("ages", "*")
    assert (counted["10.0"], counted["30.0"], counted["900.0"], counted["1800.0"]) == (0, 3, 3, 4)
    assert shown(lag, "ages", NORTH) == (0, 0)


@pytest.mark.usefixtures("clock")
def test_partitions_that_moved_to_another_member_are_no_longer_shown() -> None:
    lag = Lag("moves", by_pattern=True)
    lag.assigned({NORTH: 0, SOUTH: 0}, {NORTH: 9, SOUTH: 9})
    lag.publish()
    lag.assigned({NORTH: 0}, {NORTH: 9})
    lag.publish()
    (metric,) = telemetry.LAG_RECORDS.collect()
    topics = {each.labels["topic"] for each in metric.samples if each.labels["group"] == "moves"}
    assert topics == {"in-north"}
    assert telemetry.REBALANCES.labels("moves")._value.get() == 2


def test_a_new_consumer_is_known_at_zero_before_it_reads_anything() -> None:
    Lag("new", topics=["in-north"])
    assert telemetry.HOLES.labels("new")._value.get() == 0
    assert set(ages("new", "in-north").values()) == {0}


def test_what_was_held_for_long_is_no_standstill_once_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who sets a stopped partition's position has taken hours, and must not end the process by it."""
    seconds = 1_000.0
    clock = SimpleNamespace(time=lambda: seconds, monotonic=lambda: seconds)
    monkeypatch.setattr(lag_module, "time", clock)
    lag, here = Lag("held"), TopicPartition("in-north", 0)
    lag.assigned({here: 0}, {here: 5})
    lag.hold({here})

    seconds += 3_600
    lag.polled()
    lag.measured({here: 5})
    assert lag.stalled() == ""
    lag.hold(())
    assert lag.stalled() == ""

    seconds += lag_module.STALL_SECONDS + 1
    lag.polled()
    lag.measured({here: 5})
    assert "records wait" in lag.stalled(), "let go, and not read all the same"

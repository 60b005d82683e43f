"""Each of these has a default in the framework or the client that loses, repeats or reorders. Ours, one by one."""

import inspect
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from services.runtime.delivery.assignor import EvenAssignor
from services.runtime.delivery.membership import PARTITION_BYTES, SUBSCRIBER_OPTIONS, Membership
from services.runtime.delivery.publisher import PRODUCER_OPTIONS, Publisher
from services.runtime.delivery.subscription import Subscription
from services.runtime.settings import Settings


async def nothing(*_: Any) -> None: ...


SUBSCRIPTION = Subscription(group="g", topics=("t",), decode=lambda record: record, handle=nothing)


@pytest.fixture
def membership() -> Any:
    """One subscription as the runtime hands it to the framework, and what the framework makes of it."""
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", database_url="postgresql://")
    return Membership(SUBSCRIPTION, settings, nothing)


def test_nothing_is_acknowledged_before_it_is_done(membership: Any) -> None:
    subscriber = membership._subscriber
    assert SUBSCRIBER_OPTIONS["ack_policy"] is AckPolicy.MANUAL
    assert subscriber.ack_policy is AckPolicy.MANUAL
    assert subscriber._connection_args["enable_auto_commit"] is False


def test_a_position_that_the_log_does_not_have_is_told(membership: Any) -> None:
    """`latest` skips, `earliest` repeats, and both without a word; a new group's beginning is the runtime's to set."""
    assert membership._subscriber._connection_args["auto_offset_reset"] == "none"


def test_what_was_rolled_back_is_not_read(membership: Any) -> None:
    assert membership._subscriber._connection_args["isolation_level"] == "read_committed"


def test_partitions_with_the_same_number_go_to_one_member(membership: Any) -> None:
    assert membership._subscriber._connection_args["partition_assignment_strategy"] == (RangePartitionAssignor,)


def test_topics_of_a_pattern_are_shared_out_evenly_and_old_members_understand_it() -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", database_url="postgresql://")
    subscription = Subscription(group="g", pattern="^t", decode=lambda record: record, handle=nothing)
    made: Any = Membership(subscription, settings, nothing)
    assert made._subscriber._connection_args["partition_assignment_strategy"] == (EvenAssignor,)
    assert EvenAssignor.name == RangePartitionAssignor.name


def test_a_busy_member_is_not_taken_for_dead(membership: Any) -> None:
    options = membership._subscriber._connection_args
    assert options["session_timeout_ms"] == 30_000
    assert options["heartbeat_interval_ms"] == 3_000
    assert options["rebalance_timeout_ms"] == 60_000


def test_batches_and_memory_are_bounded(membership: Any) -> None:
    options = membership._subscriber._connection_args
    assert SUBSCRIPTION.max_records == 5000
    assert options["max_partition_fetch_bytes"] == PARTITION_BYTES == 2 << 20
    assert options["fetch_max_bytes"] == 32 << 20
    assert (options["fetch_min_bytes"], options["fetch_max_wait_ms"]) == (1 << 16, 150)


def test_a_new_topic_is_noticed_within_thirty_seconds() -> None:
    assert Settings(kafka_bootstrap_servers="k", database_url="d").kafka_metadata_max_age_ms == 30_000


def test_the_broker_creates_no_topic(membership: Any) -> None:
    configuration = membership._broker.config.broker_config
    assert configuration.allow_auto_create_topics is False
    assert configuration.consumer_only is True


def test_the_framework_runs_no_loop_beside_ours(membership: Any) -> None:
    """Its loop swallows what a handler raises, and throws a batch away for one header; without handlers it has none."""
    assert list(membership._subscriber.calls) == []


def test_what_is_published_is_on_every_replica_once_and_in_order() -> None:
    assert PRODUCER_OPTIONS["acks"] == "all"
    assert PRODUCER_OPTIONS["enable_idempotence"] is True
    assert PRODUCER_OPTIONS["max_batch_size"] == 262_144
    assert "**PRODUCER_OPTIONS" in inspect.getsource(Publisher)


def test_the_libraries_defaults_are_still_the_dangerous_ones() -> None:
    """If one of these fails, a library changed its mind: read its notes, then this file."""

    def default(function: Any, name: str) -> Any:
        return inspect.signature(function).parameters[name].default

    assert default(KafkaBroker.subscriber, "auto_offset_reset") == "latest"
    assert default(KafkaBroker.subscriber, "session_timeout_ms") == 10_000
    assert default(AIOKafkaConsumer.__init__, "enable_auto_commit") is True
    assert default(AIOKafkaConsumer.__init__, "isolation_level") == "read_uncommitted"
    assert default(AIOKafkaProducer.__init__, "enable_idempotence") is False

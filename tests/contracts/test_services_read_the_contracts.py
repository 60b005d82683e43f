"""Every service reads every event of its topics, as committed and as built, and refuses what breaks a contract."""

import importlib
import json
from datetime import date
from pathlib import Path

import pytest

from contracts.events import Event
from contracts.generate import FOLDER
from contracts.services import SERVICES
from contracts.topics import TOPIC_BY_NAME
from services.runtime.delivery.subscription import Subscription, Undecodable
from tests import builders
from tests.delivering import record

READ = [
    (service, subscription, topic, event)
    for service in SERVICES
    for subscription in importlib.import_module(f"services.{service}.app").service.subscriptions
    for topic in subscription.topics
    for event in TOPIC_BY_NAME[topic].events
]
BUILT = [
    ("attendance", builders.mark()),
    ("attendance", builders.retraction()),
    ("attendance", builders.roll()),
    ("enrollments", builders.enrollment()),
    ("school-calendar", builders.calendar([date(2026, 8, 31), date(2026, 9, 1)])),
    ("household-contacts", builders.contact()),
    ("absence-flags", builders.flag_raised()),
    ("absence-flags", builders.flag_changed()),
    ("absence-flags", builders.flag_cleared()),
]

each_reader = pytest.mark.parametrize(
    ("subscription", "topic", "event"),
    [pytest.param(*case, id=f"{service}-{case[2].EVENT_TYPE}") for service, *case in READ],
)


def examples(event: type[Event]) -> list[Path]:
    """List the committed examples of an event."""
    return sorted((FOLDER / "examples" / event.EVENT_TYPE).glob("*.json"))


@each_reader
def test_a_service_reads_every_committed_example(subscription: Subscription, topic: str, event: type[Event]) -> None:
    for example in examples(event):
        assert subscription.decode(record(topic, 0, 0, example.read_text())) is not None, example.name


@each_reader
def test_a_service_reads_what_a_newer_writer_adds(subscription: Subscription, topic: str, event: type[Event]) -> None:
    newer = {**json.loads(examples(event)[0].read_text()), "added_next_year": ["x"]}
    assert subscription.decode(record(topic, 0, 0, json.dumps(newer))) is not None


@each_reader
@pytest.mark.parametrize("value", ['{"event_type":', "[]", '"text"', "", '{"event_type":"bell.rung.v1"}'])
def test_a_service_refuses_what_is_no_event(
    subscription: Subscription,
    topic: str,
    event: type[Event],  # noqa: ARG001 - a case of each_reader
    value: str,
) -> None:
    with pytest.raises(Undecodable):
        subscription.decode(record(topic, 0, 0, value))


@each_reader
def test_a_refusal_says_nothing_of_what_stood_there(subscription: Subscription, topic: str, event: type[Event]) -> None:
    written = json.loads(examples(event)[0].read_text())
    spoilt = {name: value if name == "event_type" else "Wren Madeupton" for name, value in written.items()}

    with pytest.raises(Undecodable) as refusal:
        subscription.decode(record(topic, 0, 0, json.dumps(spoilt)))

    assert "Madeupton" not in f"{refusal.value.reason} {refusal.value.detail}"


@pytest.mark.parametrize(("topic", "event"), BUILT, ids=lambda case: getattr(case, "EVENT_TYPE", None))
def test_what_tests_build_is_read_by_every_reader(topic: str, event: Event) -> None:
    readers = {id(reader): reader for _, reader, read, _ in READ if read == topic}
    assert readers
    for reader in readers.values():
        assert reader.decode(record(topic, 0, 0, event.model_dump_json(), key=str(builders.key("ana")))) is not None

"""The services do what the table of topics says, and personal data goes where it says and nowhere else."""

import importlib
import re
from pathlib import Path

import pytest

from contracts.services import SERVICES
from contracts.topics import TOPICS, landing_topics
from services.runtime.service import Service
from tests.architecture import checks
from tests.architecture.checks import ROOT


def service_named(name: str) -> Service:
    """Import a service's table as the command that starts it does."""
    found = importlib.import_module(f"services.{name}.app").service
    assert isinstance(found, Service)
    return found


def test_every_service_of_the_table_of_topics_exists_and_no_other() -> None:
    existing = {path.parent.name for path in (ROOT / "services").glob("*/app.py")}
    named = {name for topic in TOPICS for name in (topic.producer, *topic.consumers)}

    assert existing == named == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_subscribes_to_exactly_the_topics_it_is_said_to_read(name: str) -> None:
    subscribed = [topic for subscription in service_named(name).subscriptions for topic in subscription.topics]

    assert sorted(subscribed) == sorted(topic.name for topic in TOPICS if name in topic.consumers)


@pytest.mark.parametrize("name", SERVICES)
def test_only_ingest_reads_by_pattern_and_only_what_districts_land(name: str) -> None:
    patterns = [subscription.pattern for subscription in service_named(name).subscriptions if subscription.pattern]
    landed = {topic for district in ("hartford", "new-haven", "crec") for topic in landing_topics(district)}

    assert bool(patterns) == (name == "ingest")
    for topic in landed:
        assert sum(bool(re.match(pattern, topic)) for pattern in patterns) == (1 if patterns else 0), topic
    for known in TOPICS:
        assert not any(re.match(pattern, known.name) for pattern in patterns), known.name


def test_no_two_subscriptions_share_a_group() -> None:
    groups = [subscription.group for name in SERVICES for subscription in service_named(name).subscriptions]

    # Positions are kept by group: two readers of one group would take each other's.
    assert sorted(groups) == sorted(set(groups))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_named_like_its_folder_and_migrates_its_own(name: str) -> None:
    service = service_named(name)

    assert service.name == name
    assert Path(service.migrations).resolve() == ROOT / "services" / name / "migrations"
    assert sorted(Path(service.migrations).glob("0001_*.sql"))


def test_personal_data_is_on_topics_that_say_so_for_readers_who_may() -> None:
    assert checks.exposed_personal_data(TOPICS) == []


def test_only_scheduling_and_visitlog_subscribe_to_household_contacts() -> None:
    readers = {
        name
        for name in SERVICES
        for subscription in service_named(name).subscriptions
        if "household-contacts" in subscription.topics
    }
    assert readers == {"scheduling", "visitlog"}


def test_what_is_known_of_a_person_can_be_deleted_on_request() -> None:
    compacted = {topic.name for topic in TOPICS if topic.compacted}
    assert compacted == {"household-contacts", "visitors", "district-policies", "district-statuses", "forgotten"}

"""Rules of the broker and what the services really do: held together, in both directions."""

import importlib
import re

import pytest

from contracts import broker_users as access
from contracts.broker_users import Kind, Operation, Rule
from contracts.services import SERVICES
from contracts.topics import HOUSEHOLD_CONTACTS, TOPICS, landing_topics
from services.ingest.handlers import clearing
from services.runtime.service import Service

DISTRICTS = ("windsor", "windsor-locks")


def declared(name: str) -> Service:
    service: Service = importlib.import_module(f"services.{name}.app").service
    return service


def names(user: str, operation: Operation, kind: Kind) -> set[str]:
    return {
        f"{rule.name}{'*' if rule.is_prefix else ''}"
        for rule in access.rules(DISTRICTS, database="leap")
        if (rule.user, rule.operation, rule.kind) == (user, operation, kind)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_read_what_it_reads_and_nothing_more(service: str) -> None:
    it = declared(service)
    reads = {topic for each in it.subscriptions for topic in each.topics}
    reads |= set(it.own_words.topics) if it.own_words else set()
    for pattern in (each.pattern for each in it.subscriptions if each.pattern):
        matched = [prefix for prefix in access.LANDING if re.match(pattern, prefix + "x")]
        assert matched == list(access.LANDING)
        reads |= {f"{prefix}*" for prefix in matched}
    reads |= {HOUSEHOLD_CONTACTS, clearing.REJECTED} if service == "ingest" else set()
    assert names(service, Operation.READ, Kind.TOPIC) == reads


def test_ingest_alone_may_delete_and_only_what_it_cuts() -> None:
    may_delete = {user for user in access.users(DISTRICTS) if names(user, Operation.DELETE, Kind.TOPIC)}
    assert may_delete == {"ingest"}
    assert names("ingest", Operation.DELETE, Kind.TOPIC) == {"attendance-in-*", "roster-in-*", clearing.REJECTED}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_join_its_own_groups_and_look_at_those_that_pace_it(service: str) -> None:
    subscriptions = declared(service).subscriptions
    assert names(service, Operation.READ, Kind.GROUP) == {each.group for each in subscriptions}
    paced = {each.pace.group for each in subscriptions if each.pace}
    assert names(service, Operation.DESCRIBE, Kind.GROUP) == paced


def test_a_topic_is_written_by_its_producer_alone() -> None:
    for topic in TOPICS:
        writers = {user for user in access.users(DISTRICTS) if topic.name in names(user, Operation.WRITE, Kind.TOPIC)}
        assert writers == {topic.producer}, topic.name


def test_a_district_writes_and_describes_its_own_two_topics_by_their_whole_names() -> None:
    of_windsor = {rule for rule in access.rules(DISTRICTS, database="leap") if rule.user == "district-windsor"}
    assert of_windsor == {
        Rule("district-windsor", operation, Kind.TOPIC, name)
        for name in landing_topics("windsor")
        for operation in (Operation.WRITE, Operation.DESCRIBE)
    }


def test_families_are_named_to_the_two_services_that_need_it_and_to_whoever_tells_of_them() -> None:
    (contacts,) = [topic for topic in TOPICS if topic.names_families]
    assert access.readers_of(contacts) == {"scheduling", "visitlog", contacts.producer}


def test_everybody_with_a_rule_or_a_quota_is_a_user_and_services_have_no_quota() -> None:
    users = set(access.users(DISTRICTS))
    assert {rule.user for rule in access.rules(DISTRICTS, database="leap")} == users
    assert set(access.quotas(DISTRICTS)) == {access.user_of(each) for each in DISTRICTS}

"""Every difference between a broker and what it is to have is named, on one of ours and on one that others use too."""

from dataclasses import replace

import pytest

from contracts import broker_users as access
from deploy.kafka.compare import ALLOW, EVERYWHERE, LITERAL, PREFIXED, Acl, Layout, differences
from deploy.kafka.layout import _spread, wanted_layout

DISTRICTS = ("avon", "bethel")
WANTED = wanted_layout(DISTRICTS, database="leap", copies=3)
_TOPIC, _READ, _DENY = 2, 3, 2


def acl(user: str, name: str, *, pattern: int = LITERAL, permission: int = ALLOW) -> Acl:
    return Acl(_TOPIC, name, pattern, f"User:{user}", EVERYWHERE, _READ, permission)


def lines(found: Layout, *, is_ours: bool) -> list[str]:
    return differences(WANTED, found, is_ours=is_ours).lines()


def test_what_is_as_it_should_be_differs_in_nothing() -> None:
    assert lines(WANTED, is_ours=True) == lines(WANTED, is_ours=False) == []


def test_elsewhere_each_record_is_kept_by_three_and_counts_once_two_have_it() -> None:
    assert {topic.copies for topic in WANTED.topics.values()} == {3}
    assert {topic.settings["min.insync.replicas"] for topic in WANTED.topics.values()} == {"2"}
    alone = wanted_layout(DISTRICTS, database="leap")
    assert {(each.copies, each.settings["min.insync.replicas"]) for each in alone.topics.values()} == {(1, "1")}


def test_every_rule_and_every_user_that_is_taken_away_is_named() -> None:
    for rule in WANTED.acls:
        assert lines(replace(WANTED, acls=WANTED.acls - {rule}), is_ours=False) == [f"rule missing: {rule}"]
    for user in WANTED.users:
        assert lines(replace(WANTED, users=WANTED.users - {user}), is_ours=False) == [f"user {user}: missing"]


@pytest.mark.parametrize(
    ("rule", "concerns_us"),
    [
        (acl("somebody", "flags"), True),
        (acl("somebody", "fl", pattern=PREFIXED), True),
        (acl("somebody", EVERYWHERE), True),
        (acl(EVERYWHERE, "household-contacts"), True),
        (acl("reporting", "something-else"), True),
        (acl("district-gone", "attendance-in-gone"), True),
        (acl("flagging", "rolls", permission=_DENY), True),
        (acl("somebody", "something-else"), False),
        (acl("somebody", "some", pattern=PREFIXED), False),
    ],
)
def test_a_rule_too_many_is_named_where_it_concerns_us(rule: Acl, concerns_us: bool) -> None:
    found = replace(WANTED, acls=WANTED.acls | {rule})
    assert lines(found, is_ours=True) == [f"rule of nobody's making: {rule}"]
    assert lines(found, is_ours=False) == ([f"rule of nobody's making: {rule}"] if concerns_us else [])


def test_users_and_quotas_of_others_are_theirs_where_others_use_the_broker() -> None:
    found = replace(
        WANTED, users=WANTED.users | {"theirs"}, quotas={**WANTED.quotas, "theirs": {"producer_byte_rate": 1.0}}
    )
    assert lines(found, is_ours=False) == []
    assert lines(found, is_ours=True) == [
        "user theirs: nobody of ours",
        "quota of theirs: producer_byte_rate 1, to be none",
    ]


def test_topics_differ_in_settings_partitions_and_copies() -> None:
    flags = WANTED.topics["flags"]
    topics = {name: topic for name, topic in WANTED.topics.items() if name != "rolls"} | {
        "flags": replace(flags, partitions=12, copies=1, settings={**flags.settings, "retention.ms": "1"})
    }
    assert lines(replace(WANTED, topics=topics), is_ours=False) == [
        "topic rolls: missing",
        "topic flags: retention.ms is 1, to be -1",
        "topic flags: 12 partitions, to be 24",
        "topic flags: 1 copies of a partition, to be 3",
    ]


def test_a_broker_that_checks_nothing_is_said_to() -> None:
    (line,) = lines(replace(WANTED, users=frozenset(), acls=frozenset(), authorizes=False), is_ours=False)
    assert "asks nobody who they are" in line


def test_copies_are_added_to_those_there_are_and_spread() -> None:
    assert _spread([1], [1, 2, 3], 3, 0) == [1, 2, 3]
    assert _spread([1], [1, 2, 3], 2, 1) == [1, 3]
    assert _spread([2, 1, 3], [1, 2, 3], 2, 0) == [2, 1, 3]


def test_no_district_can_be_taken_for_a_service() -> None:
    assert set(access.users(["ingest", "leap"])) >= {"ingest", "leap", "district-ingest", "district-leap"}

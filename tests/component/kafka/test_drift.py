"""What somebody changes by hand is told, every difference by name, and mended; what would do harm is told alone."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from contracts import broker_users as access
from deploy.kafka import requests
from deploy.kafka.compare import ALLOW, EVERYWHERE, LITERAL, Acl
from deploy.kafka.layout import compare, lay_out, opens, renew
from deploy.local.doors import Door, Passwords
from deploy.local.topics import admin
from tests.component.kafka.asking import ALLOWED, DATABASE, DENIED, DISTRICTS, asking

_TOPIC, _READ = 2, 3
BY_HAND = Acl(_TOPIC, "household-contacts", LITERAL, "User:reporting", EVERYWHERE, _READ, ALLOW)


@pytest.fixture(autouse=True)
async def mended(door: Door) -> AsyncIterator[None]:
    """Leave the broker as the others need it."""
    yield
    await lay_out(door, DISTRICTS, database=DATABASE)


async def told(door: Door) -> list[str]:
    return (await compare(door, DISTRICTS, database=DATABASE)).lines()


async def test_a_rule_made_by_hand_opens_a_door_is_told_and_taken_away(door: Door) -> None:
    async with admin(door.administrator) as client:
        await client._send_to_controller(requests.CreateRules([tuple(BY_HAND)]))
    lines: list[str] = []
    while not lines:  # the broker hears of it from its controller
        lines = await told(door)
    assert lines == ["rule of nobody's making: reporting may read topic household-contacts"]
    async with asking(door.access("reporting")) as asked:
        assert await asked.read("household-contacts") == ALLOWED
        assert (await lay_out(door, DISTRICTS, database=DATABASE)).lines() == []
        assert await asked.read("household-contacts") == DENIED


async def test_a_missing_rule_a_changed_setting_and_a_lifted_quota_are_told_and_mended(door: Door) -> None:
    missing = Acl(_TOPIC, "flags", LITERAL, "User:scheduling", EVERYWHERE, _READ, ALLOW)
    async with admin(door.administrator) as client:
        await client._send_to_controller(requests.DeleteRules([tuple(missing)]))
        longer = (_TOPIC, "attendance-in-avon", [("retention.ms", 0, "-1")])
        await client._send_to_controller(requests.AlterSettings([longer], False))
        lifted = ([("user", "district-avon")], [("producer_byte_rate", 0.0, True)])
        await client._send_to_controller(requests.AlterQuotas([lifted], False))
    lines: list[str] = []
    while len(lines) < 3:
        lines = await told(door)
    assert lines == [
        "rule missing: scheduling may read topic flags",
        "quota of district-avon: request_percentage 25, to be producer_byte_rate 2.09715e+06, request_percentage 25",
        "topic attendance-in-avon: retention.ms is -1, to be 2592000000",
    ]
    assert (await lay_out(door, DISTRICTS, database=DATABASE)).lines() == []


async def test_users_that_are_gone_or_nobody_s_and_passwords_that_open_nothing_are_told_and_mended(door: Door) -> None:
    assert door.passwords is not None
    passwords = Passwords(door.passwords)
    passwords.renew("somebody")
    await renew(door, "somebody")
    passwords.renew("visitlog")  # of which the broker was not told
    async with admin(door.administrator) as client:
        await client._send_to_controller(requests.AlterUsers([("auditor", requests.SCRAM_SHA_512, {})], [], {}))
    lines: list[str] = []
    while len(lines) < 3:
        lines = await told(door)
    assert lines == [
        "user auditor: missing",
        "user somebody: nobody of ours",
        "user visitlog: can't sign in with the password of its file",
    ]
    assert (await lay_out(door, DISTRICTS, database=DATABASE)).lines() == []
    assert await opens(door.access("auditor"))
    assert not await opens(door.access("somebody"))


async def test_a_topic_with_records_is_told_to_have_too_few_partitions_and_an_empty_one_is_widened(
    door: Door,
) -> None:
    district = "canton"
    async with admin(door.administrator) as client:
        await client.create_topics([NewTopic(f"attendance-in-{district}", 2, 1)])
        await client.create_topics([NewTopic("transfers-of-nobody", 1, 1)])
    left = await lay_out(door, (*DISTRICTS, district), database=DATABASE)
    # Fewer there can't be: it stays a difference, and is told again and again.
    assert left.lines() == [f"topic attendance-in-{district}: 2 partitions, to be 1"]


async def test_a_new_district_writes_and_is_read_as_soon_as_it_is_laid_out(door: Door) -> None:
    await lay_out(door, (*DISTRICTS, "bethel"), database=DATABASE)
    async with asking(door.district("bethel")) as asked:
        assert await asked.write("attendance-in-bethel") == ALLOWED
        assert await asked.write("attendance-in-avon") == DENIED
    async with asking(door.access("ingest")) as asked:
        assert await asked.read("attendance-in-bethel") == ALLOWED
    left = await lay_out(door, DISTRICTS, database=DATABASE)
    assert left.lines() == []
    assert not await opens(door.district("bethel"))


async def test_who_only_looks_changes_nothing_and_sees_all_the_same(door: Door, tmp_path: Path) -> None:
    """As in a container, where the operator knows neither the broker's password nor a service's."""
    assert door.passwords is not None
    shutil.copy(door.passwords / access.OPERATOR, tmp_path / access.OPERATOR)
    looking = Door(administrator=door.access(access.OPERATOR), passwords=tmp_path, is_ours=True)
    assert await told(looking) == []
    async with asking(looking.access(access.OPERATOR)) as asked:
        assert [await asked.create("flags"), await asked.alter("flags"), await asked.delete("flags")] == [DENIED] * 3

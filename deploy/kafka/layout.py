"""Lays a broker out as the contract says: looks what it has, tells the differences, mends what can be mended."""

import asyncio
import hashlib
import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, KafkaError, for_code

from contracts import broker_users as contract
from deploy.kafka import requests
from deploy.kafka.compare import Acl, Drift, Layout, Topic, acl_of, differences, quota_of
from deploy.local.doors import Door, Passwords
from deploy.local.parts import PartFailed
from deploy.local.topics import admin, create_topics, wanted_topics
from services.runtime.broker_access import Access, client_options

SCRAM_ITERATIONS = 4096
"""Kafka's least: the passwords are 256 random bits, which no number of iterations makes stronger."""

_SECURITY_DISABLED, _USER_UNKNOWN = 54, 91
_ANY, _SET = 1, 0
_TOPIC = 2
_REASSIGN_MS = 60_000
_SIGN_INS_AT_ONCE = 8
_KNOWN_SECONDS = 30.0


def wanted_layout(districts: Collection[str], *, database: str, copies: int = 1) -> Layout:
    """Say what a broker is to have for these districts; `database` is the one that keeps the outboxes."""
    return Layout(
        users=frozenset(contract.users(districts)),
        acls=frozenset(map(acl_of, contract.rules(districts, database=database))),
        quotas={user: quota_of(quota) for user, quota in contract.quotas(districts).items()},
        topics={
            topic.name: Topic(
                partitions=topic.num_partitions, copies=topic.replication_factor, settings=dict(topic.topic_configs)
            )
            for topic in wanted_topics(districts, copies=copies)
        },
    )


async def look(broker: Access, wanted: Layout) -> Layout:
    """Read what the broker has: all users, rules and quotas, and of the topics those that are to be there."""
    async with admin(broker) as client:
        topics = await _topics(client, wanted)
        acls = await _acls(client)
        if acls is None:
            return Layout(users=frozenset(), acls=frozenset(), quotas={}, topics=topics, authorizes=False)
        return Layout(users=await _users(client), acls=acls, quotas=await _quotas(client), topics=topics)


async def compare(door: Door, districts: Collection[str], *, database: str) -> Drift:
    """Name every difference between the contract and what the broker has. Raises KafkaError where it can't be asked."""
    wanted = wanted_layout(districts, database=database, copies=door.copies)
    # Who looks needs no right to change anything; only a broker that does not know them is asked in its own name.
    looking = door.access(contract.OPERATOR)
    if door.has_users and not await opens(looking):
        looking = door.administrator
    drift = differences(wanted, await look(looking, wanted), is_ours=door.is_ours, has_users=door.has_users)
    if drift.authorizes and door.passwords is not None:
        # In containers the operator knows the districts' passwords and its own, and no service's.
        known = filter(Passwords(door.passwords).has, wanted.users - set(drift.users_missing))
        drift.passwords_wrong = await _shut_out(door, known)
    return drift


async def lay_out(door: Door, districts: Collection[str], *, database: str) -> Drift:
    """Make and mend everything, and give what is still different: what can't be mended without harm.

    May be repeated, and ended anywhere: the next time does the rest. Raises KafkaError and PartFailed.
    """
    wanted = wanted_layout(districts, database=database, copies=door.copies)
    await create_topics(door.administrator, districts, copies=door.copies)
    drift = differences(wanted, await look(door.administrator, wanted), is_ours=door.is_ours, has_users=door.has_users)
    if drift.authorizes:
        drift.passwords_wrong = await _shut_out(door, wanted.users - set(drift.users_missing))
    if not drift.lines():
        return drift
    async with admin(door.administrator) as client:
        if drift.authorizes:
            await _mend_users(client, door, drift)
            await _mend_rules(client, drift)
            await _mend_quotas(client, drift)
        await _mend_settings(client, drift)
        await _mend_partitions(client, door.administrator, drift)
        await _mend_copies(client, drift)
    return await _settled(door, districts, database=database)


async def _settled(door: Door, districts: Collection[str], *, database: str) -> Drift:
    # A broker takes over what its controller has decided a moment later.
    deadline = asyncio.get_running_loop().time() + _KNOWN_SECONDS
    while True:
        left = await compare(door, districts, database=database)
        mended = not (left.users_missing or left.rules_missing or left.rules_unknown or left.passwords_wrong)
        if not left.authorizes or (mended and not left.quotas and not left.settings):
            return left
        if asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(0.1)


async def renew(door: Door, user: str) -> None:
    """Tell the broker the password that stands in the user's file now."""
    async with admin(door.administrator) as client:
        await _set_passwords(client, door, [user])


async def opens(access: Access) -> bool:
    """Tell whether the broker lets this user in. Raises KafkaError where it can't be reached at all."""
    client = AIOKafkaAdminClient(**client_options(access))
    try:
        await client.start()
    except KafkaConnectionError:
        # A refused password and a broker that is away end alike in the client: a port that answers tells them apart.
        if await _answers(access.bootstrap_servers):
            return False
        raise
    except KafkaError:
        return False
    finally:
        await client.close()
    return True


async def _answers(servers: str) -> bool:
    for server in servers.split(","):
        host, _, port = server.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            continue
        writer.close()
        return True
    return False


async def _shut_out(door: Door, users: Iterable[str]) -> list[str]:
    gate = asyncio.Semaphore(_SIGN_INS_AT_ONCE)

    async def _is_shut_out(user: str) -> bool:
        async with gate:
            return not await opens(door.access(user))

    names = sorted(users)
    shut = await asyncio.gather(*map(_is_shut_out, names))
    return [name for name, is_shut in zip(names, shut, strict=True) if is_shut]


async def _users(client: AIOKafkaAdminClient) -> frozenset[str]:
    answer = await _ask(client, requests.DescribeUsers(None, {}))
    _refuse(answer.error_code, answer.error_message, "users can't be read")
    with_scram = [
        user
        for user, code, _, credentials, _ in answer.results
        if code != _USER_UNKNOWN and any(mechanism == requests.SCRAM_SHA_512 for mechanism, *_ in credentials)
    ]
    return frozenset(with_scram)


async def _acls(client: AIOKafkaAdminClient) -> frozenset[Acl] | None:
    answer = await _ask(client, requests.DescribeRules(_ANY, None, _ANY, None, None, _ANY, _ANY))
    if answer.error_code == _SECURITY_DISABLED:
        return None
    _refuse(answer.error_code, answer.error_message, "rules can't be read")
    return frozenset(Acl(kind, name, pattern, *rest) for kind, name, pattern, acls in answer.resources for rest in acls)


async def _quotas(client: AIOKafkaAdminClient) -> dict[str, dict[str, float]]:
    answer = await _ask(client, requests.DescribeQuotas([], False))
    _refuse(answer.error_code, answer.error_message, "quotas can't be read")
    found = {}
    for entity, values in answer.entries:
        names = dict(entity)
        # The broker keeps a SCRAM user's credential in the same place, under its mechanism's name.
        if set(names) == {"user"} and (rates := {name: value for name, value in values if "SCRAM" not in name}):
            found[str(names["user"])] = rates
    return found


async def _topics(client: AIOKafkaAdminClient, wanted: Layout) -> dict[str, Topic]:
    described = {each["topic"]: each for each in await client.describe_topics()}
    there = [name for name in wanted.topics if name in described]
    settings = await _settings(client, there)
    return {
        name: Topic(
            partitions=len(described[name]["partitions"]),
            copies=min(len(each["replicas"]) for each in described[name]["partitions"]),
            settings=settings.get(name, {}),
        )
        for name in there
    }


async def _settings(client: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
    found = {}
    for answer in answers:
        for code, message, _, name, entries in answer.resources:
            _refuse(code, message, f"the settings of {name} can't be read")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def _mend_users(client: AIOKafkaAdminClient, door: Door, drift: Drift) -> None:
    await _set_passwords(client, door, [*drift.users_missing, *drift.passwords_wrong])
    if drift.users_unknown:
        gone: list[Any] = [(user, requests.SCRAM_SHA_512, {}) for user in drift.users_unknown]
        answer = await _ask_controller(client, requests.AlterUsers(gone, [], {}))
        for user, code, message, _ in answer.results:
            _refuse(code, message, f"user {user} can't be taken away")
    drift.users_unknown = []


async def _set_passwords(client: AIOKafkaAdminClient, door: Door, users: Iterable[str]) -> None:
    made: list[Any] = []
    for user in users:
        salt = secrets.token_bytes(32)
        salted = hashlib.pbkdf2_hmac("sha512", door.access(user).password().encode(), salt, SCRAM_ITERATIONS)
        made.append((user, requests.SCRAM_SHA_512, SCRAM_ITERATIONS, salt, salted, {}))
    if made:
        answer = await _ask_controller(client, requests.AlterUsers([], made, {}))
        for user, code, message, _ in answer.results:
            _refuse(code, message, f"user {user} can't be made")


async def _mend_rules(client: AIOKafkaAdminClient, drift: Drift) -> None:
    # What is too much goes first: a door stands open no longer than it must.
    if drift.rules_unknown:
        answer = await _ask_controller(client, requests.DeleteRules([tuple(each) for each in drift.rules_unknown]))
        for code, message, _ in answer.filter_responses:
            _refuse(code, message, "a rule can't be taken away")
    if drift.rules_missing:
        answer = await _ask_controller(client, requests.CreateRules([tuple(each) for each in drift.rules_missing]))
        for code, message in answer.creation_responses:
            _refuse(code, message, "a rule can't be made")


async def _mend_quotas(client: AIOKafkaAdminClient, drift: Drift) -> None:
    entries = []
    for user, (found, wanted) in drift.quotas.items():
        changes = [(name, value, False) for name, value in wanted.items()]
        changes += [(name, 0.0, True) for name in found if name not in wanted]
        entries.append(([("user", user)], changes))
    if entries:
        answer = await _ask_controller(client, requests.AlterQuotas(entries, False))
        for code, message, entity in answer.entries:
            _refuse(code, message, f"the quota of {dict(entity).get('user')} can't be set")


async def _mend_settings(client: AIOKafkaAdminClient, drift: Drift) -> None:
    if drift.settings:
        resources = [
            (_TOPIC, topic, [(name, _SET, wanted) for name, (_, wanted) in settings.items()])
            for topic, settings in drift.settings.items()
        ]
        answer = await _ask_controller(client, requests.AlterSettings(resources, False))
        for code, message, _, topic in answer.responses:
            _refuse(code, message, f"the settings of {topic} can't be changed")


async def _mend_partitions(client: AIOKafkaAdminClient, broker: Access, drift: Drift) -> None:
    # With records in it a key's order would be cut in two, and fewer there can't be: that stays a difference.
    too_few = [name for name, (found, wanted) in drift.partitions.items() if found < wanted]
    for name in too_few:
        found, wanted = drift.partitions[name]
        if await _is_empty(broker, name, found):
            answer = await client.create_partitions({name: NewPartitions(total_count=wanted)})
            for _, code, message in answer.topic_errors:
                _refuse(code, message, f"{name} can't be given more partitions")


async def _is_empty(broker: Access, topic: str, partitions: int) -> bool:
    consumer = AIOKafkaConsumer(**client_options(broker), enable_auto_commit=False)
    await consumer.start()
    try:
        where = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(where)
        return not any((await consumer.end_offsets(where)).values())
    finally:
        await consumer.stop()


async def _mend_copies(client: AIOKafkaAdminClient, drift: Drift) -> None:
    if not drift.copies:
        return
    brokers = sorted(each["node_id"] for each in (await client.describe_cluster())["brokers"])
    moves: list[Any] = []
    for topic in await client.describe_topics(list(drift.copies)):
        _, wanted = drift.copies[topic["topic"]]
        if wanted > len(brokers):
            continue  # stays a difference: there are not so many brokers
        partitions: list[Any] = [
            (each["partition"], _spread(each["replicas"], brokers, wanted, each["partition"]), {})
            for each in topic["partitions"]
        ]
        moves.append((topic["topic"], partitions, {}))
    if moves:
        answer = await _ask_controller(client, requests.Reassign(_REASSIGN_MS, moves, {}))
        _refuse(answer.error_code, answer.error_message, "copies can't be made")


def _spread(replicas: Sequence[int], brokers: Sequence[int], wanted: int, partition: int) -> list[int]:
    others = [each for each in brokers if each not in replicas]
    turned = others[partition % len(others) :] + others[: partition % len(others)] if others else []
    return [*replicas, *turned][: max(wanted, len(replicas))]


async def _ask(client: AIOKafkaAdminClient, request: Any) -> Any:
    return await client._send_request(request)


async def _ask_controller(client: AIOKafkaAdminClient, request: Any) -> Any:
    return await client._send_to_controller(request)


def _refuse(code: int, message: str | None, what: str) -> None:
    if code:
        error = for_code(code)
        name = error.__name__ if issubclass(error, BrokerResponseError) else f"error {code}"
        raise PartFailed(f"{what}: {message or name}")

"""Everybody tries everything on every topic of a real broker: what is allowed is what this table says, and no more."""

from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from contracts.services import SERVICES
from contracts.topics import TOPICS, landing_topics
from deploy.kafka.layout import opens, renew
from deploy.local.doors import Door, Passwords
from services.runtime.broker_access import Access, client_options
from tests.component.kafka.asking import ALLOWED, DENIED, DISTRICTS, asking

# Written down once more, by hand, from DOMAIN and the services: not asked from what is tested.
IN, F, S, V, R, A, L = "ingest", "flagging", "scheduling", "visitlog", "reporting", "auditor", "leap"
WRITES_AND_READS: dict[str, tuple[str, set[str]]] = {
    "attendance": (IN, {F, L}),
    "enrollments": (IN, {F, L}),
    "school-calendar": (IN, {F, S, V, L}),
    "rolls": (IN, {F, L}),
    "rosters": (IN, {F, L}),
    "calendars": (IN, {F, S, V, L}),
    "household-contacts": (IN, {IN, S, V}),
    "forgotten": (IN, {IN, F, S, V, R, A, L}),
    "attendance-rejected": (IN, {IN, A, L}),
    "receipt-progress": (F, {IN, L}),
    "absence-flags": (F, {S, R, L}),
    "student-months": (F, {R, L}),
    "school-days": (F, {R, L}),
    "flags": (F, {S, R, L}),
    "school-months": (F, {R, L}),
    "day-tallies": (F, {R, L}),
    "home-visits": (S, {S, V, R, L}),
    "visitors": (S, {S, V, R, L}),
    "district-policies": (S, {S, IN, F, V, R, L}),
    "district-statuses": (S, {S, F, L}),
    "transfers": (S, {F, L}),
    "visit-log": (V, {V, S, R, L}),
}
STRANGER = "stranger"
USERS = (*SERVICES, A, L, *(f"district-{each}" for each in DISTRICTS), STRANGER)
TRIES = ("read", "write", "create", "alter", "cut", "delete")
LANDING = {f"{way}-in-{district}": district for district in DISTRICTS for way in ("attendance", "roster")}


CUT = {*LANDING, "attendance-rejected"}
"""Where ingest takes away who is forgotten. Kafka has one right for records and for the topic: that is not tried."""


def may(user: str, doing: str, topic: str) -> str:
    """Say by the table above what the broker must answer."""
    if doing == "cut":
        return ALLOWED if user == IN and topic in CUT else DENIED
    if topic in LANDING:
        of_ingest = user == IN and doing in ("read", "write")
        looking = user in (A, L) and doing == "read"
        sending = user == f"district-{LANDING[topic]}" and doing == "write"
        return ALLOWED if of_ingest or looking or sending else DENIED
    writer, readers = WRITES_AND_READS[topic]
    return ALLOWED if (doing == "write" and user == writer) or (doing == "read" and user in readers) else DENIED


def test_the_table_leaves_no_topic_and_no_service_out() -> None:
    assert WRITES_AND_READS.keys() == {topic.name for topic in TOPICS}
    assert LANDING.keys() == {name for district in DISTRICTS for name in landing_topics(district)}
    assert set(SERVICES) == {IN, F, S, V, R}


@pytest.fixture
async def stranger(door: Door) -> Access:
    """Somebody with a password and without a rule: the broker knows who it is, and that is all."""
    assert door.passwords is not None
    Passwords(door.passwords).renew(STRANGER)
    await renew(door, STRANGER)
    return door.access(STRANGER)


async def test_everybody_may_do_what_the_table_says_and_nothing_else(door: Door, stranger: Access) -> None:
    wrong, tried = [], 0
    for user in USERS:
        access = stranger if user == STRANGER else door.access(user)
        async with asking(access) as asked:
            for topic in (*WRITES_AND_READS, *LANDING):
                for doing in TRIES:
                    if (user, doing) == (IN, "delete") and topic in CUT:
                        continue
                    tried += 1
                    said = await getattr(asked, doing)(topic)
                    if said != may(user, doing, topic):
                        wrong.append(f"{user} {doing} {topic}: {said}")
    assert tried == 11 * 28 * 6 - 7
    assert wrong == []


async def test_nobody_comes_in_without_a_password_with_another_or_under_another_name(
    door: Door, tmp_path: Path
) -> None:
    Passwords(tmp_path).renew("wrong")
    somebody = door.access("flagging")
    assert await opens(somebody)
    assert not await opens(Access(bootstrap_servers=somebody.bootstrap_servers))
    assert not await opens(replace(somebody, password_file=tmp_path / "wrong"))
    assert not await opens(replace(somebody, user="scheduling"))
    # Nobody may use the broker's own way in with a password of theirs.
    assert not await opens(replace(somebody, mechanism="PLAIN"))
    assert not await opens(replace(somebody, mechanism="PLAIN", user="broker"))


async def test_a_forged_contact_and_a_foreign_mark_are_refused_at_the_broker(door: Door) -> None:
    where = [TopicPartition("household-contacts", 3), TopicPartition("attendance-in-windsor-locks", 0)]
    before = await ends(door, where)
    producer = AIOKafkaProducer(**client_options(door.district("windsor")), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for topic, partition in where:
            with pytest.raises((TopicAuthorizationFailedError, KafkaError)) as refused:
                await producer.send_and_wait(topic, b"forged", key=b"a family", partition=partition)
            assert "authoriz" in repr(refused.value).lower()
        await producer.send_and_wait("attendance-in-windsor", b"its own", partition=0)
    finally:
        await producer.stop()
    assert await ends(door, where) == before


async def test_a_district_sees_its_own_two_topics_and_no_other(door: Door) -> None:
    consumer = AIOKafkaConsumer(**client_options(door.district("windsor")))
    await consumer.start()
    try:
        assert await consumer.topics() == {"attendance-in-windsor", "roster-in-windsor"}
    finally:
        await consumer.stop()


async def test_a_service_takes_no_place_in_another_ones_group(door: Door) -> None:
    consumer = AIOKafkaConsumer("flags", **client_options(door.access("reporting")), group_id="leap-scheduling")
    try:
        with pytest.raises(KafkaError, match="roup"):
            await consumer.start()
    finally:
        await consumer.stop()


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_starts_its_producer_also_one_that_writes_nothing(door: Door, service: str) -> None:
    producer = AIOKafkaProducer(**client_options(door.access(service)), acks="all", enable_idempotence=True)
    try:
        await producer.start()
    finally:
        await producer.stop()


async def test_a_service_shuts_out_no_other_ones_relay(door: Door) -> None:
    producer = AIOKafkaProducer(
        **client_options(door.access("reporting")), transactional_id="postgres.scheduling.outbox"
    )
    try:
        with pytest.raises(KafkaError, match="ransactional"):
            await _begin(producer)
    finally:
        await producer.stop()


async def _begin(producer: AIOKafkaProducer) -> None:
    await producer.start()
    await producer.begin_transaction()


async def ends(door: Door, where: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Read the ends of these logs, as nobody but the broker itself may read them all."""
    consumer = AIOKafkaConsumer(**client_options(door.administrator), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(where)
        found: dict[TopicPartition, int] = await consumer.end_offsets(where)
        return found
    finally:
        await consumer.stop()

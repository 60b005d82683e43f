"""Every topic of the contracts, made on the broker of one machine."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from contracts.topics import ATTENDANCE_IN, LANDING_SETTINGS, ROSTER_IN, TOPICS, Topic, landing_topics
from deploy.local.parts import PartFailed
from services.runtime.broker_access import Broker, client_options

COPIES_ELSEWHERE = 3
"""On how many brokers a partition is kept wherever there is more than one machine."""

_TOPICS_AT_ONCE = 100
_KNOWN_SECONDS = 30


def wanted_topics(districts: Iterable[str], *, copies: int = 1) -> list[NewTopic]:
    """Describe the topics of the contracts and each district's two landing topics, as they are to be.

    `copies` is on how many brokers each partition is kept; of three, two must have a record before it counts.
    """
    wanted = [_shared_topic(topic, copies) for topic in TOPICS]
    wanted += [_landing_topic(name, copies) for district in districts for name in landing_topics(district)]
    for topic in wanted:
        topic.topic_configs["min.insync.replicas"] = "2" if copies >= COPIES_ELSEWHERE else "1"
    return wanted


async def create_topics(broker: Broker, districts: Iterable[str], *, copies: int = 1) -> None:
    """Make the topics that are to be; those that exist stay. Raises PartFailed."""
    wanted = wanted_topics(districts, copies=copies)
    async with admin(broker) as client:
        existing = set(await client.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        for start in range(0, len(missing), _TOPICS_AT_ONCE):
            answer = await client.create_topics(missing[start : start + _TOPICS_AT_ONCE])
            for name, code, *message in answer.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise PartFailed(f"topic {name} was refused: {' '.join(map(str, message))}")
        # The broker says "made" before it tells clients: a consumer that asks too early would find nothing to read.
        deadline = time.monotonic() + _KNOWN_SECONDS
        while not {topic.name for topic in wanted} <= set(await client.list_topics()):
            if time.monotonic() > deadline:
                raise PartFailed(f"the broker made the topics and after {_KNOWN_SECONDS} s still does not list them")
            await asyncio.sleep(0.05)


async def districts_of(broker: Broker) -> list[str]:
    """Name the districts that have a landing topic, in alphabetical order."""
    async with admin(broker) as client:
        names = await client.list_topics()
    return sorted(name.removeprefix(ATTENDANCE_IN) for name in names if name.startswith(ATTENDANCE_IN))


@asynccontextmanager
async def admin(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an administration client, and close it again."""
    client = AIOKafkaAdminClient(**client_options(broker))
    try:
        await client.start()
        yield client
    finally:
        await client.close()


def is_landing(topic: str) -> bool:
    """Tell a district's landing topic from the topics behind ingest."""
    return topic.startswith((ATTENDANCE_IN, ROSTER_IN))


def _shared_topic(topic: Topic, copies: int) -> NewTopic:
    return NewTopic(
        name=topic.name, num_partitions=topic.partitions, replication_factor=copies, topic_configs=topic.settings
    )


def _landing_topic(name: str, copies: int) -> NewTopic:
    return NewTopic(name=name, num_partitions=1, replication_factor=copies, topic_configs=dict(LANDING_SETTINGS))

"""`leap retell DISTRICT`: its whole present state told again, newer than all that was told; for a restored database."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from contracts.topics import PARTITIONS
from deploy.audit.logs import Logs
from deploy.commands import districts, state
from deploy.commands.rebuild import live_in_the_time_of
from deploy.commands.screen import Screen
from services.flagging.handlers import retelling
from services.flagging.handlers.retelling import Retold, Told
from services.runtime.broker_access import Broker
from services.runtime.delivery.publisher import partition_of


def run(screen: Screen, *, chosen: str | None, since: datetime | None) -> int:
    """Tell a district's state again, or every district's. Raises NotRunning and DistrictUnknown."""
    found = state.load_running()
    if chosen is not None:
        districts.token_of(chosen)
    environment = found.services["flagging"]["environment"]
    live_in_the_time_of(environment)
    wanted = [chosen] if chosen else districts.codes()
    retold = asyncio.run(_retell(found.kafka(), environment["LEAP_DATABASE_URL"], wanted, since))
    for district, each in retold.items():
        screen.say(f"{district}: {each.flags} flags and {each.schools} schools' years had been told otherwise")
    screen.give({"retold": {district: each._asdict() for district, each in retold.items()}})
    screen.say("all that stands is told again now; `leap status` says when nothing waits any more")
    return 0


async def _retell(
    broker: Broker, database_url: str, wanted: Collection[str], since: datetime | None
) -> Mapping[str, Retold]:
    told = await read_told(broker, wanted, since=since)
    connection = await asyncpg.connect(database_url)
    retold = {}
    try:
        for district in wanted:
            async with connection.transaction():
                retold[district] = await retelling.retell(connection, district, told[district])
    finally:
        await connection.close()
    return retold


async def read_told(broker: Broker, wanted: Collection[str], *, since: datetime | None) -> dict[str, Told]:
    """Read from flagging's topics what was told of these districts since then, or ever, up to what is there by now."""
    told = {district: Told() for district in wanted}
    lanes = {partition_of(district, PARTITIONS) for district in wanted}
    partitions = [TopicPartition(topic, lane) for topic in retelling.TOPICS for lane in sorted(lanes)]

    def hear(record: ConsumerRecord) -> None:
        its = told.get((record.key or b"").decode(errors="replace"))
        if its is not None and record.value is not None:
            its.hear(record.value)

    async with Logs(broker) as logs:
        await logs.read(await (logs.begins(partitions) if since is None else logs.since(partitions, since)), hear)
    return told

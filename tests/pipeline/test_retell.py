"""`leap retell` learns from flagging's topics what was told of a district: on a real broker."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.topics import PARTITIONS
from deploy.commands.retell import read_told
from deploy.local.topics import create_topics
from services.flagging import telling
from services.flagging.rules.register import SchoolYear
from services.flagging.telling import Moment
from services.runtime.delivery.publisher import Publisher, cloud_event_headers, partition_of
from tests.component.flagging.builders import DISTRICT, FIRST_DAY

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_was_told_of_a_district_is_read_from_a_time_on_and_nothing_of_others(broker: str) -> None:
    await create_topics(broker, [DISTRICT])
    publisher = Publisher(broker, source="test")
    await publisher.start()
    long_ago = datetime(2026, 9, 1, tzinfo=UTC)
    try:
        for district, days_later, version in ((DISTRICT, 0, 7), (DISTRICT, 10, 9), ("elsewhere", 10, 99)):
            day = FIRST_DAY + timedelta(days=days_later)
            told = telling.school_day(Moment(district, version, "2026-09-01T12:00:00Z"), "H01", day, (20, 2))
            headers = cloud_event_headers(event_id=str(told.event_id), event_type=told.event_type, source="test")
            message = (district.encode(), told.json.encode(), headers)
            # Into the same lane, whosever it is.
            await publisher.publish_batches(
                telling.DAYS,
                {partition_of(DISTRICT, PARTITIONS): [message]},
                caused_at_ms=int((long_ago + timedelta(days=days_later)).timestamp() * 1000),
            )
    finally:
        await publisher.stop()

    key, first = SchoolYear(DISTRICT, "H01", 2026), (FIRST_DAY - FIRST_DAY.replace(month=7, day=1)).days
    everything = (await read_told(broker, [DISTRICT], since=None))[DISTRICT]
    assert (everything.days[key], everything.newest) == (1 << first | 1 << first + 10, 9)
    later = (await read_told(broker, [DISTRICT], since=long_ago + timedelta(days=5)))[DISTRICT]
    assert (later.days[key], later.newest) == (1 << first + 10, 9)
    nothing = (await read_told(broker, [DISTRICT], since=long_ago + timedelta(days=50)))[DISTRICT]
    assert (dict(nothing.days), nothing.newest) == ({}, 0)

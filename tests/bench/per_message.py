"""The usual way: FastStream, a pydantic argument, one INSERT and one commit per message.

`python -m tests.bench.per_message BOOTSTRAP TOPIC MARKS DATABASE_URL`
"""

import asyncio
import os
import sys

import asyncpg
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from contracts.events import AttendanceRecorded
from tests.bench import turn

_TABLE = """
CREATE TABLE IF NOT EXISTS per_message_mark (
    student_key uuid, school text, school_day date, category text, source_version bigint,
    PRIMARY KEY (student_key, school, school_day)
)
"""
_UPSERT = """
INSERT INTO per_message_mark AS standing VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (student_key, school, school_day)
DO UPDATE SET category = excluded.category, source_version = excluded.source_version
WHERE standing.source_version < excluded.source_version
"""


async def main(bootstrap: str, topic: str, marks: int, database_url: str) -> None:
    """Take the topic's first `marks` messages one by one."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_TABLE)
    await connection.execute("TRUNCATE per_message_mark")
    broker = KafkaBroker(bootstrap, logger=None)
    done = asyncio.Event()
    taken = 0

    @broker.subscriber(
        topic, group_id=f"per-message-{os.getpid()}", auto_offset_reset="earliest", ack_policy=AckPolicy.ACK
    )
    async def take(mark: AttendanceRecorded) -> None:
        nonlocal taken
        if not taken:
            turn.began()
        await connection.execute(
            _UPSERT, mark.student_key, mark.school, mark.school_day, mark.category.value, mark.source_version
        )
        taken += 1
        if taken >= marks:
            done.set()

    await broker.start()
    await done.wait()
    turn.done(marks=taken)
    os._exit(0)  # a graceful stop would take on: there is more in the topic


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))

"""The ceiling: the same marks, decoded by the same structs, judged in dicts. No database, no offsets, nothing kept.

`python -m tests.bench.ceiling BOOTSTRAP TOPIC MARKS`
"""

import asyncio
import sys
from collections import defaultdict
from datetime import date
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from services.flagging import facts
from services.flagging.rules.absence import is_absent
from tests.bench import turn


class Student:
    """One student's newest marks and what they come to."""

    __slots__ = ("absent", "chronic", "marks")

    def __init__(self) -> None:
        self.marks: dict[tuple[str, date], tuple[int, bool]] = {}
        self.absent = 0
        self.chronic = False

    def apply(self, mark: facts.AttendanceRecorded) -> bool:
        """Take a mark, newest version wins, and tell whether the student crossed the 10 % line."""
        place = (mark.school, mark.school_day)
        known = self.marks.get(place)
        if known is not None and known[0] >= mark.source_version:
            return False
        absent = is_absent(category=mark.category, present_parts=mark.present_parts, day_parts=mark.day_parts)
        self.absent += absent - (known[1] if known else False)
        self.marks[place] = (mark.source_version, absent)
        enrolled = len(self.marks)
        chronic = enrolled >= 10 and 10 * self.absent >= enrolled
        crossed, self.chronic = chronic != self.chronic, chronic
        return crossed


async def main(bootstrap: str, topic: str, marks: int) -> None:
    """Read the whole topic and say what it came to."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    await consumer.start()
    students: defaultdict[UUID, Student] = defaultdict(Student)
    read = crossings = 0
    while read < marks:
        batches = await consumer.getmany(timeout_ms=500, max_records=5_000)
        if batches and not read:
            turn.began()
        for batch in batches.values():
            for record in batch:
                mark = facts.parse(record.value)
                if isinstance(mark, facts.AttendanceRecorded):
                    crossings += students[mark.student_key].apply(mark)
            read += len(batch)
    turn.done(marks=read, crossings=crossings, chronic=sum(student.chronic for student in students.values()))
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

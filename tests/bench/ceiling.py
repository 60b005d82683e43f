"""The ceiling: the same marks, decoded by the same structs, judged in dicts. No database, no offsets, nothing kept.

`python -m tests.bench.ceiling BOOTSTRAP TOPIC MARKS`
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer

from services.flagging import facts
from services.flagging.rules.absence import is_absent
from services.flagging.rules.rolls import NO_PART, is_missed
from tests.bench import turn


class Mark(NamedTuple):
    """What the rule asks of one mark."""

    student: bytes
    place: tuple[str, date]
    version: int
    absent: bool


class Student:
    """One student's newest marks and what they come to."""

    __slots__ = ("absent", "chronic", "marks")

    def __init__(self) -> None:
        self.marks: dict[tuple[str, date], tuple[int, bool]] = {}
        self.absent = 0
        self.chronic = False

    def apply(self, mark: Mark) -> bool:
        """Take a mark, newest version wins, and tell whether the student crossed the 10 % line."""
        known = self.marks.get(mark.place)
        if known is not None and known[0] >= mark.version:
            return False
        self.absent += mark.absent - (known[1] if known else False)
        self.marks[mark.place] = (mark.version, mark.absent)
        enrolled = len(self.marks)
        chronic = enrolled >= 10 and 10 * self.absent >= enrolled
        crossed, self.chronic = chronic != self.chronic, chronic
        return crossed


def marks_in(value: bytes) -> Iterator[Mark]:
    """Give the marks that a record holds, one or a roll of them; none where it is about something else."""
    fact = facts.parse(value)
    if isinstance(fact, facts.AttendanceRecorded):
        absent = is_absent(category=fact.category, present_parts=fact.present_parts, day_parts=fact.day_parts)
        yield Mark(fact.student_key.bytes, (fact.school, fact.school_day), fact.source_version, absent)
    elif isinstance(fact, facts.Roll):
        place = fact.school, fact.school_day
        parts = fact.parts or [None] * len(fact.students)
        for student, code, version, part in zip(fact.students, fact.codes, fact.versions, parts, strict=True):
            yield Mark(student, place, version, is_missed(code, *(part or (NO_PART, NO_PART))))


async def main(bootstrap: str, topic: str, marks: int) -> None:
    """Read the whole topic and say what it came to."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    await consumer.start()
    students: defaultdict[bytes, Student] = defaultdict(Student)
    read = crossings = 0
    while read < marks:
        batches = await consumer.getmany(timeout_ms=500, max_records=5_000)
        if batches and not read:
            turn.began()
        for batch in batches.values():
            for record in batch:
                for mark in marks_in(record.value):
                    crossings += students[mark.student].apply(mark)
                    read += 1
    turn.done(marks=read, crossings=crossings, chronic=sum(student.chronic for student in students.values()))
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

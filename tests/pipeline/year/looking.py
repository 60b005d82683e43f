"""One look at a running state: what has landed by now, what every service shows of it, and where the two differ."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.topics import landing_topics
from deploy.commands import people
from services.runtime.broker_access import client_options
from tests.pipeline.stack import Stack, eventually
from tests.pipeline.year import shown
from tests.pipeline.year.checker import Checker, Tally
from tests.pipeline.year.compared import Compared, Difference
from tests.pipeline.year.landed import Landed
from tests.pipeline.year.shown import Door

OWN = ("chronic", "chronic-by-school", "chronic-by-month", "flagged-by-grade")
OF_SCHOOL = ("chronic-by-month", "flagged-by-grade")
SETTLES_WITHIN_SECONDS = 60.0


@dataclass(kw_only=True)
class Looking:
    """Whoever looks: what was read of the landing topics so far, and the doors to the services."""

    stack: Stack
    districts: Sequence[str]
    consumer: AIOKafkaConsumer
    landed: Landed = field(default_factory=Landed)
    compared: Compared | None = None

    async def look(self, today: date, *, everybody: bool = False) -> list[Difference]:
        """Compare until nothing differs, or what differs has not gone after a while.

        Some figures follow from the day alone, and are told by the services' timers. `everybody`: flagging is asked
        about each child, and each request's page is read; else about those who are flagged.
        """
        await self._read_on()
        checker = Checker(landed=self.landed, today=today, order_of=self._order_of())
        self.compared = Compared(checker, shown.pseudonyms_in(self.stack.districts_file))
        until = time.monotonic() + SETTLES_WITHIN_SECONDS
        while found := await self._compare(self.compared, everybody=everybody):
            if time.monotonic() > until:
                return found
            await asyncio.sleep(1.0)  # a poll with a deadline: timers and kept pages have their seconds
        return []

    async def compare(self) -> list[Difference]:
        """Compare once more with what was true at the last look."""
        assert self.compared is not None
        return await self._compare(self.compared, everybody=False)

    async def look_at_release(self, month: date) -> list[Difference]:
        """Compare what was published last, once it is that of the month's end."""
        assert self.compared is not None
        cut_off = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        with closing(self._door("reporting")) as reports:

            async def published() -> bool:
                found = await asyncio.to_thread(reports.ask, "state", "/v1/published")
                return cut_off.isoformat() in found["cut_offs"]

            await eventually(published, f"published up to {cut_off}")
            lines = reports.ask("state", f"/v1/published/chronic?cut_off={cut_off}")["lines"]
        return list(self.compared.published(month, lines))

    def counted(self) -> tuple[int, int]:
        """Count the children there are, and those who were flagged at any time, by today's facts."""
        children = self.compared.checker.children.values() if self.compared else ()
        return len(children), sum(child.ever for child in children)

    def _order_of(self) -> Callable[[Any], str]:
        pseudonyms = shown.pseudonyms_in(self.stack.districts_file)
        return lambda stint: pseudonyms[stint.district].stint(stint.code)

    async def _read_on(self) -> None:
        partitions = self.consumer.assignment()
        ends = await self.consumer.end_offsets(partitions)
        while any([await self.consumer.position(each) < ends[each] for each in partitions]):
            for records in (await self.consumer.getmany(timeout_ms=500)).values():
                self.landed.read(records)

    async def _compare(self, compared: Compared, *, everybody: bool) -> list[Difference]:
        found = await self._sums(compared)
        for district in self.districts:
            found += await asyncio.to_thread(self._district, compared, district, everybody)
        return found

    async def _sums(self, compared: Compared) -> list[Difference]:
        async with self.stack.sql("reporting") as connection:
            months = await connection.fetch(
                "SELECT district, school, month, student_key, days_enrolled, days_absent FROM student_month"
            )
            days = await connection.fetch(
                "SELECT district, school, school_day, students_counted, students_absent FROM told_day"
            )
            flags = await connection.fetch("SELECT student_key::text, first_flagged_on FROM flag WHERE ever_flagged")
        of_months = {(*row[:3], str(row[3])): Tally(row[4], row[5]) for row in map(tuple, months)}
        of_days = {row[:3]: Tally(row[3], row[4]) for row in map(tuple, days)}
        flagged_on = {row[0]: row[1] for row in map(tuple, flags)}
        return [*compared.months(of_months), *compared.school_days(of_days), *compared.flag_months(flagged_on)]

    def _district(self, compared: Compared, district: str, everybody: bool) -> list[Difference]:
        with ExitStack() as doors:
            names = ("scheduling", "reporting", "flagging")
            desk, reports, flagging = (doors.enter_context(closing(self._door(name))) for name in names)
            found = self._at_the_desk(compared, district, desk, pages=everybody)
            found += self._in_flagging(compared, district, flagging, everybody=everybody)
            found += self._in_reports(compared, district, reports)
            return found

    def _at_the_desk(self, compared: Compared, district: str, desk: Door, *, pages: bool) -> list[Difference]:
        asked = shown.requests(desk, district)
        found = [*compared.requests(district, asked), *compared.queue(asked, shown.queue(desk, district))]

        for request in asked if pages else ():
            says = shown.heading(desk, district, request["request_id"])
            found += compared.heading(request, says)
        return found

    def _in_flagging(self, compared: Compared, district: str, flagging: Door, *, everybody: bool) -> list[Difference]:
        children = [child for child in compared.checker.children if child[0] == district]
        if not everybody:
            children = [child for child in children if compared.checker.children[child].ever]
        paths = [f"/v1/students/{compared.key_of(child)}/absence" for child in children]
        answers = flagging.ask_all(f"desk-{district}", paths)
        return [
            difference
            for child, answer in zip(children, answers, strict=True)
            for difference in compared.why(child, answer)
        ]

    def _in_reports(self, compared: Compared, district: str, reports: Door) -> list[Difference]:
        found = [*compared.own_tables(district, shown.own_tables(reports, district, OWN))]
        for school in sorted({stint.school for stint in self.landed.stints.values() if stint.district == district}):
            found += compared.school_tables(district, school, shown.own_tables(reports, district, OF_SCHOOL, school))
        return found

    def _door(self, service: str) -> Door:
        return Door(self.stack.processes[service].address, _Keys())


class _Keys(dict[str, str]):
    def __missing__(self, person: str) -> str:
        self[person] = people.key_of(person)
        return self[person]


@asynccontextmanager
async def looking(stack: Stack, districts: Sequence[str]) -> AsyncIterator[Looking]:
    """Read the districts' landing topics from their beginning, as a consumer that belongs to no service."""
    consumer = AIOKafkaConsumer(**client_options(stack.kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0) for each in districts for topic in landing_topics(each)])
        await consumer.seek_to_beginning()
        yield Looking(stack=stack, districts=districts, consumer=consumer)
    finally:
        await consumer.stop()

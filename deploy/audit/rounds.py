"""One district after the other: a sample of its school days is recounted, and what disagrees is looked at again."""

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import asyncpg
import structlog
from aiokafka import ConsumerRecord, TopicPartition

from contracts.topics import ATTENDANCE_IN, ROSTER_IN
from deploy.audit import kept, metrics
from deploy.audit.compare import Disagreement, compare, disagreement
from deploy.audit.kept import Kept
from deploy.audit.logs import Logs
from deploy.audit.sent import Keys, Returned, SchoolDay, Sent, Where, lane_of, marks_of
from services.runtime.broker_access import Broker

log = structlog.get_logger(__name__)

LOOKS = 3
"""What is still on its way at one look has arrived by the last: only who disagrees in all of them does."""


class Found(NamedTuple):
    """A day of which the tables don't hold what was sent. `registers`: the marks agree, and the days don't."""

    day: SchoolDay
    differs: Disagreement
    registers: int = 0


class _Sample:
    """The marks of the chosen days, gathered record by record."""

    def __init__(self, keys: Keys, returned: Returned, *, share: float, seed: bytes, always: set[SchoolDay]) -> None:
        self.marks: dict[SchoolDay, list[tuple[Where, int, Sent]]] = {}
        self._keys, self._returned = keys, returned
        self._bound, self._seed, self._always = int(share * 2**32), seed, always
        self._chosen: dict[SchoolDay, bool] = {}

    def take(self, record: ConsumerRecord) -> None:
        """Take in one landed record; what can't be read is no mark, and went back or is set aside."""
        try:
            found = list(marks_of(record.value, dict(record.headers), keys=self._keys))
        except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
            return
        where = Where(record.topic, record.partition, record.offset, record.timestamp)
        for place, (day, sent) in enumerate(found, 1):
            if self._is_chosen(day):
                self.marks.setdefault(day, []).append((where, place, sent))

    def sent(self) -> Mapping[SchoolDay, list[Sent]]:
        """Give what was sent and did not go back, by day."""
        return {
            day: [
                sent
                for where, place, sent in every
                if not self._returned.is_whole(where) and place not in self._returned.places(where)
            ]
            for day, every in self.marks.items()
        }

    def _is_chosen(self, day: SchoolDay) -> bool:
        chosen = self._chosen.get(day)
        if chosen is None:
            drawn = blake2b(f"{day.school}\0{day.day}".encode(), key=self._seed, digest_size=4).digest()
            chosen = self._chosen[day] = day in self._always or int.from_bytes(drawn, "big") < self._bound
        return chosen


class Auditor:
    """Recounts districts. `share` is how many of a district's school days a round looks at, by chance."""

    def __init__(self, *, broker: Broker, database_url: str, districts_file: Path, share: float, pause: float) -> None:
        self._broker, self._database_url = broker, database_url
        self._secrets = {
            district: bytes.fromhex(declared["secret"])
            for district, declared in json.loads(districts_file.read_text())["districts"].items()
        }
        self._share, self._pause = share, pause
        self._wrong: dict[str, set[SchoolDay]] = {}

    @property
    def districts(self) -> list[str]:
        """The districts that are recounted, in their order."""
        return sorted(self._secrets)

    async def recount(self, district: str, *, seed: bytes) -> list[Found]:
        """Recount a sample of a district's days, and those that disagreed before; tell what disagrees now."""
        returned = Returned()
        sample = _Sample(
            Keys(self._secrets[district]),
            returned,
            share=self._share,
            seed=seed,
            always=self._wrong.get(district, set()),
        )
        found: list[Found] = []
        async with Logs(self._broker) as logs:
            landing = await logs.partitions([ATTENDANCE_IN + district, ROSTER_IN + district])
            back = await logs.partitions(["attendance-rejected"])
            begins = await logs.begins(landing)
            went_back: dict[TopicPartition, int] = dict(await logs.begins(back))
            if (cut_at := await _returns_cut_at(logs, district)) is not None:
                # Of what is older nobody can say any more whether it went back.
                since = await logs.since(landing, cut_at)
                begins = {each: max(begin, since[each]) for each, begin in begins.items()}
            at: dict[TopicPartition, int] = dict(begins)
            for look in range(LOOKS):
                if look:
                    await asyncio.sleep(self._pause)
                at = await logs.read(at, sample.take)
                went_back = await logs.read(went_back, lambda record: returned.add(record.value))
                found = await self._hold_against_tables(district, sample.sent(), is_whole=not any(begins.values()))
                if not found:
                    break
        self._tell(district, sample.sent(), found)
        return found

    async def _hold_against_tables(
        self, district: str, sent: Mapping[SchoolDay, list[Sent]], *, is_whole: bool
    ) -> list[Found]:
        connection = await asyncpg.connect(self._database_url, timeout=10, command_timeout=30)
        try:
            tables = await kept.read(connection, district, list(sent))
        finally:
            await connection.close()
        is_whole = is_whole and tables.is_only_log
        return [found for day, of_day in sorted(sent.items()) if (found := _judge(day, of_day, tables, is_whole))]

    def _tell(self, district: str, sent: Mapping[SchoolDay, list[Sent]], found: list[Found]) -> None:
        self._wrong[district] = {each.day for each in found}
        metrics.WRONG.labels(district).set(len(found))
        metrics.DAYS.labels(district).inc(sum(map(bool, sent.values())))
        metrics.MARKS.labels(district).inc(sum(map(len, sent.values())))
        metrics.LAST.set(time.time())
        for day, differs, registers in found:
            # A school and a date, and numbers: never a key.
            log.error(
                "a school day is not what was sent",
                district=district,
                school=day.school,
                school_day=day.day.isoformat(),
                registers=registers,
                **differs._asdict(),
            )


async def _returns_cut_at(logs: Logs, district: str) -> datetime | None:
    """Say when what went back in the district's lane was cut, as copies of somebody who is forgotten stood there."""
    moments: list[datetime] = []

    def hear(record: ConsumerRecord) -> None:
        told = json.loads(record.value or b"{}")
        if told.get("event_type") == "landing.cut.v1" and told["topic"] == "attendance-rejected":
            moments.append(datetime.fromisoformat(told["occurred_at"]))

    told_in = [each for each in await logs.partitions(["forgotten"]) if each.partition == lane_of(district)]
    await logs.read(await logs.begins(told_in), hear)
    return max(moments, default=None)


def _judge(day: SchoolDay, sent: list[Sent], tables: Kept, is_whole: bool) -> Found | None:
    of_tables = tables.marks.get(day, [])
    expected, found = compare(sent, of_tables, is_whole=is_whole)
    if expected != found:
        return Found(day, disagreement(sent, of_tables))
    # The marks agree. Whether the child was missed on that day is kept a second time, and flags come from there.
    said = {each.student: each.said.is_absence for each in of_tables if each.said.category is not None}
    on_registers = tables.registers.get(day, [])
    differing = sum(1 for student, missed in on_registers if said.get(student) is not missed)
    return Found(day, Disagreement(), differing) if differing else None

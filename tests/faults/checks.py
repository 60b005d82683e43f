"""What must hold after every round: recomputed from what landed by the year's checker, which knows no service."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

import asyncpg
from aiokafka import TopicPartition

from contracts.services import SERVICES
from contracts.topics import TOPICS, landing_topics
from tests import people
from tests.faults import town
from tests.faults.bed import Bed
from tests.faults.reading import Reader
from tests.pipeline.year import shown
from tests.pipeline.year.checker import Checker, Tally
from tests.pipeline.year.compared import LEVELS, Compared, Difference
from tests.pipeline.year.shown import Door, NotShown

NOT_FOUND = 404
LOST, DOUBLED, WRONG, STUCK = "lost", "doubled", "wrong", "stuck"


async def waiting(bed: Bed, reader: Reader) -> int:
    """Count what is on its way: records that a service has to read, by its own rows, and events to be published."""
    connection = await asyncpg.connect(bed.database.address, timeout=10, command_timeout=20)
    try:
        positions: dict[tuple[str, str, int], int] = {}
        left = 0
        for service in SERVICES:
            rows = await connection.fetch(f"SELECT topic, partition, next_offset FROM {service}.position")
            positions |= {(service, row[0], row[1]): row[2] for row in rows}
            left += await connection.fetchval(f"SELECT count(*) FROM {service}.outbox")
    finally:
        await connection.close()
    owed = [("ingest", topic, 0) for district in bed.districts for topic in landing_topics(district)]
    owed += [
        (service, topic.name, number)
        for topic in TOPICS
        for service in topic.consumers
        for number in range(topic.partitions)
    ]
    ends = await reader.ends({TopicPartition(topic, number) for _, topic, number in owed})
    # A position beyond its log is no record less to read.
    return left + sum(abs(ends[TopicPartition(*each[1:])] - positions.get(each, 0)) for each in owed)


class Checks:
    """One look at the settled system. What it finds begins with one of four words: lost, doubled, wrong, stuck."""

    def __init__(self, bed: Bed, reader: Reader) -> None:
        self.bed, self.reader = bed, reader
        self.receipts: dict[str, str] = {}
        """Whose receipts were given out, by id."""

    async def look(self) -> list[str]:
        """Compare everything; an empty list is what there should be."""
        await self.reader.read_on()
        pseudonyms = shown.pseudonyms_in(self.bed.districts_file)
        checker = Checker(
            landed=self.reader.landed,
            today=town.NOW.date(),
            order_of=lambda stint: pseudonyms[stint.district].stint(stint.code),
        )
        compared = Compared(checker, pseudonyms)
        found = [*self.reader.told.wrong]
        found += await self._figures(compared)
        found += await self._requests(compared)
        found += await asyncio.to_thread(self._asked, compared)
        return found + await asyncio.to_thread(lambda: [*self._books(), *self._receipts()])

    async def _figures(self, compared: Compared) -> list[str]:
        async with self.bed.sql("reporting") as connection:
            months = await connection.fetch(
                "SELECT district, school, month, student_key, days_enrolled, days_absent FROM student_month"
            )
            days = await connection.fetch(
                "SELECT district, school, school_day, students_counted, students_absent FROM told_day"
            )
            flags = await connection.fetch("SELECT student_key::text, level FROM flag")
        async with self.bed.sql("scheduling") as connection:
            desk = await connection.fetch(
                "SELECT student_key::text, level::text, days_absent, days_enrolled FROM flagged_student"
            )
        of_months = {(*row[:3], str(row[3])): Tally(row[4], row[5]) for row in map(tuple, months)}
        of_days = {row[:3]: Tally(row[3], row[4]) for row in map(tuple, days)}
        found = [*compared.months(of_months), *compared.school_days(of_days)]
        found += compared.flagged({row[0]: (row[1], row[2], row[3]) for row in map(tuple, desk)})
        true = {compared.key_of(child): LEVELS[each.level] for child, each in compared.checker.children.items()}
        reports = {row[0]: row[1] for row in map(tuple, flags)}
        told = {key: level for key, (_, level) in self.reader.told.levels.items()}
        return [*map(_said, found), *_levels("reports", reports, true), *_levels("topic of flags", told, true)]

    async def _requests(self, compared: Compared) -> list[str]:
        async with self.bed.sql("scheduling") as connection:
            rows = await connection.fetch("SELECT request_id::text, household_key::text, stage::text FROM request")
        async with self.bed.sql("reporting") as connection:
            reported = {str(row[0]) for row in await connection.fetch("SELECT request_id FROM request")}
        open_of = Counter(row[1] for row in rows if row[2] != "closed")
        flagged = {compared.household_of(child) for child, each in compared.checker.children.items() if each.level}
        found = [f"{LOST}: household {each} has a flagged child and no request" for each in flagged - open_of.keys()]
        found += [f"{WRONG}: household {each} has a request and no flag" for each in open_of.keys() - flagged]
        found += [f"{DOUBLED}: household {each} has {n} open requests" for each, n in open_of.items() if n > 1]
        at_desk, told = {row[0] for row in rows}, self.reader.told.requests
        for name, known in (("the topic", told), ("reports", reported)):
            found += [f"{LOST}: request {each} is at the desk and not in {name}" for each in at_desk - known]
            found += [f"{DOUBLED}: request {each} is in {name} and not at the desk" for each in known - at_desk]
        return found

    async def walls(self) -> list[str]:
        """Ask for what is another's: a request of another district by HTTP, a table of another service by SQL."""
        found = []
        async with self.bed.sql("scheduling") as connection:
            rows = await connection.fetch("SELECT DISTINCT ON (district) district, request_id::text FROM request")
        with closing(self._door("scheduling")) as desk:
            for district, request in map(tuple, rows):
                other = next(each for each in self.bed.districts if each != district)
                try:
                    await asyncio.to_thread(desk.ask, f"desk-{other}", f"/v1/requests/{request}")
                except NotShown as refused:
                    if refused.args[1] != NOT_FOUND:
                        found.append(f"{WRONG}: another district is answered {refused.args[1]}")
                else:
                    found.append(f"{WRONG}: shown to another district: request {request}")
        async with self.bed.sql("reporting") as connection:
            try:
                await connection.fetch("SELECT FROM scheduling.request")
                found.append(f"{WRONG}: reporting may read the desk's tables")
            except asyncpg.InsufficientPrivilegeError:
                pass
        return found if rows else [f"{WRONG}: there is no request to ask for"]

    def _asked(self, compared: Compared) -> list[str]:
        """Ask flagging about every child who was ever flagged, and the desk for every request's figures."""
        found: list[Difference] = []
        with closing(self._door("flagging")) as flagging, closing(self._door("scheduling")) as desk:
            for district in self.bed.districts:
                children = [
                    child for child, each in compared.checker.children.items() if child[0] == district and each.ever
                ]
                paths = [f"/v1/students/{compared.key_of(child)}/absence" for child in children]
                answers = flagging.ask_all(f"desk-{district}", paths)
                for child, answer in zip(children, answers, strict=True):
                    found += compared.why(child, answer)
                found += compared.requests(district, shown.requests(desk, district))
        return [_said(each) for each in found]

    def _books(self) -> Iterator[str]:
        with closing(self._door("ingest")) as door:
            landed = {each["district"]: each for each in door.ask("ops", "/v1/counts")["districts"]}
        with closing(self._door("flagging")) as door:
            decided = {each["district"]: each for each in door.ask("ops", "/v1/counts")["districts"]}
        for district in self.bed.districts:
            sent, here, there = self.reader.sent[district], landed.get(district, {}), decided.get(district, {})
            yield from _counted(f"records of {district}", here.get("landed", 0), sent.records)
            yield from _counted(f"rejected of {district}", here.get("rejected", 0), sent.rejected)
            for kind in ("marks", "retractions", "roll_marks"):
                yield from _counted(f"{kind} of {district}", here.get(kind, 0), getattr(sent, kind))
            dealt_with = there.get("applied", 0) + there.get("duplicate", 0)
            yield from _counted(f"marks dealt with of {district}", dealt_with, sent.all_marks)

    def _receipts(self) -> Iterator[str]:
        with closing(self._door("ingest", tokens=True)) as door:
            for receipt, district in self.receipts.items():
                told = door.ask(district, f"/v1/receipts/{receipt}")
                dealt_with = told["accepted"] + told["duplicate"] + told["rejected_rows"]
                yield from _counted(f"rows of receipt {receipt}", dealt_with, told["rows"])

    def _door(self, service: str, *, tokens: bool = False) -> Door:
        return Door(self.bed.processes[service].address, _Tokens() if tokens else _Keys())


class _Keys(dict[str, str]):
    def __missing__(self, person: str) -> str:
        return people.key_of(person)


class _Tokens(dict[str, str]):
    def __missing__(self, district: str) -> str:
        return f"test-token-of-{district}"


def _levels(where: str, told: Mapping[str, str], true: Mapping[str, str]) -> Iterator[str]:
    for key in {*told, *true}:
        if told.get(key, "none") != true.get(key, "none"):
            yield f"{WRONG}: {where}: {key} is {told.get(key)} and should be {true.get(key)}"


def _counted(what: str, counted: int, true: int) -> Iterator[str]:
    if counted != true:
        yield f"{LOST if counted < true else DOUBLED}: {what}: counted {counted} of {true}"


def _said(found: Difference) -> str:
    word = LOST if found.shown is None else WRONG
    return f"{word}: {found.where}, {found.what}: {found.whose}: {found.shown} for {found.true}"


def by_word(found: Iterable[str]) -> dict[str, int]:
    """Count what was found by its first word."""
    counted = Counter(each.partition(":")[0] for each in found)
    return {word: counted[word] for word in (LOST, DOUBLED, WRONG, STUCK)}


def told_shortly(found: list[str], *, most: int = 6) -> list[str]:
    """Give the first of what was found, and how many more there are."""
    return found[:most] + ([f"and {len(found) - most} more"] if len(found) > most else [])

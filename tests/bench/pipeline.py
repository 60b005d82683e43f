"""A state's day through all services, landing to report; then a steady stream, landing to open request."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import quantiles
from typing import Any

import asyncpg

from contracts.services import SERVICES
from contracts.topics import landing_topics
from deploy.demo import records
from deploy.local import Process, create_topics
from services.ingest.rules.pseudonyms import Pseudonyms
from services.runtime.database import Connection
from services.runtime.delivery.publisher import Message, Publisher
from tests.bench import profile
from tests.bench.load import landing_mark
from tests.bench.machine import Ground, cpu_seconds, peak_megabytes, server_cpu_by_service

STEADY_MARKS_PER_SECOND = 171
POLL_SECONDS = 0.01
DEADLINE_SECONDS = 600.0
STUDENTS_PER_SCHOOL = 500
_YESTERDAY, _TODAY, _TOMORROW = date(2026, 8, 31), date(2026, 9, 1), date(2026, 9, 2)
_SCHOOL_DAYS = tuple(day for day in (_YESTERDAY + timedelta(days=n) for n in range(28)) if day.weekday() < 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a state, and how long the steady stream."""

    students: int
    districts: int
    steady_seconds: int


STATE_DAY = Size(students=508_000, districts=197, steady_seconds=60)
SHORT_DAY = Size(students=8_000, districts=20, steady_seconds=10)


class StateDay:
    """A state whose every student has one mark today. Who is absent follows from the student's place in the list.

    Absent yesterday: one in 11. Absent today: one in 7. Both: one in 77, and two absences in the first twenty days are
    a flag. The first absence of the others is what the steady stream turns into flags.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.districts = tuple(f"district-{nth + 1:03d}" for nth in range(size.districts))
        weights = [1 / (nth + 8) for nth in range(size.districts)]
        shares = [int(size.students * weight / sum(weights)) for weight in weights]
        shares[0] += size.students - sum(shares)
        self.students = dict(zip(self.districts, shares, strict=True))

    def roster(self, district: str) -> list[bytes]:
        """Give the calendars of the district's schools and an enrolment for every student."""
        count = self.students[district]
        schools = sorted({_school(nth) for nth in range(count)})
        rows = [
            records.calendar(school=school, school_year=2026, feed="full", school_days=_SCHOOL_DAYS, version=1).value
            for school in schools
        ]
        for nth in range(count):
            enrollment = {
                "type": "enrollment", "id": f"s{nth}", "student": f"{nth}", "household": _household(nth),
                "school": _school(nth), "grade": "3", "entry_date": "2026-08-31", "version": 1,
            }  # fmt: skip
            rows.append(json.dumps(enrollment).encode())
        return rows

    def yesterday(self, district: str) -> list[bytes]:
        """Give yesterday's absences."""
        return [
            landing_mark(student=f"{nth}", school=_school(nth), day=_YESTERDAY, version=1, absent=True)
            for nth in range(self.students[district])
            if _was_absent(nth)
        ]

    def today(self, district: str) -> list[bytes]:
        """Give one mark per student, and behind each school's marks its completed roll."""
        rows: list[bytes] = []
        count = self.students[district]
        for nth in range(count):
            rows.append(
                landing_mark(student=f"{nth}", school=_school(nth), day=_TODAY, version=2, absent=_is_absent_today(nth))
            )
            if nth + 1 == count or _school(nth + 1) != _school(nth):
                rows.append(records.roll(records.CompletedRoll(_school(nth), _TODAY.isoformat(), "full")).value)
        return rows

    def flagged_households(self) -> int:
        """Count the households in which somebody has two absences after today."""
        return sum(
            len({_household(nth) for nth in range(count) if _was_absent(nth) and _is_absent_today(nth)})
            for count in self.students.values()
        )

    def absent_today(self) -> int:
        """Count today's absences."""
        return sum(_is_absent_today(nth) for count in self.students.values() for nth in range(count))

    def one_absence_from_a_flag(self) -> Iterator[tuple[str, int]]:
        """Give students with one absence, in households without a flag, one per household, by turns."""
        for nth in range(max(self.students.values())):
            for district, count in self.students.items():
                sibling = nth ^ 1
                sibling_is_flagged = sibling < count and _was_absent(sibling) and _is_absent_today(sibling)
                if nth < count and _was_absent(nth) and not _is_absent_today(nth) and not sibling_is_flagged:
                    yield district, nth


def _school(nth: int) -> str:
    return f"E{nth // STUDENTS_PER_SCHOOL + 1:03d}"


def _household(nth: int) -> str:
    return f"h{nth // 2}"


def _was_absent(nth: int) -> bool:
    return nth % 11 == 3


def _is_absent_today(nth: int) -> bool:
    return nth % 7 == 0


_LANDED = "SELECT sum(records)::bigint FROM landed_count"
_APPLIED = "SELECT sum(applied + duplicate)::bigint FROM mark_count"
_REQUESTED = "SELECT count(*) FROM request WHERE stage <> 'closed'"


async def measure(ground: Ground, day: StateDay) -> dict[str, Any]:
    """Run both measurements on the same running services and give the figures."""
    await create_topics(ground.broker.address, day.districts)
    urls = await ground.fresh_schemas(*SERVICES)
    publisher = Publisher(ground.broker.address, source="bench")
    await publisher.start()
    workers = {service: ground.start(service, urls[service]) for service in SERVICES}
    views = {service: await asyncpg.connect(urls[service]) for service in SERVICES}
    try:
        await asyncio.gather(*(asyncio.to_thread(worker.wait_ready) for worker in workers.values()))
        print(f"\nenrolling {day.size.students:,} students in {day.size.districts} districts", flush=True)
        await _land(publisher, {landing_topics(code)[1]: day.roster(code) for code in day.districts})
        await _land(publisher, {landing_topics(code)[0]: day.yesterday(code) for code in day.districts})
        await _applied(views, enrolled=day.size.students)

        before = cpu_by_part(ground, workers)
        found = await _state_day(publisher, views, day)
        after = cpu_by_part(ground, workers)
        found["cpu_seconds"] = {part: after[part] - before[part] for part in after}
        print(profile.table(found), flush=True)
        found |= await _steady_stream(publisher, views["scheduling"], ground, day)
        found["peak_megabytes"] = {name: peak_megabytes(worker.pid) for name, worker in workers.items()}
        return found
    finally:
        await _end(publisher, workers, views)


def cpu_by_part(ground: Ground, workers: Mapping[str, Process]) -> dict[str, float]:
    """Give the CPU seconds that each part has used so far; the sending districts are this process."""
    used = {name: cpu_seconds(worker.pid) for name, worker in workers.items()}
    used |= server_cpu_by_service(ground.database.pid, workers)
    return used | {"Kafka": cpu_seconds(ground.broker.pid), "the districts, sending": time.process_time()}


async def _state_day(publisher: Publisher, views: Mapping[str, Connection], day: StateDay) -> dict[str, Any]:
    landings = {landing_topics(code)[0]: day.today(code) for code in day.districts}
    sent = sum(map(len, landings.values()))
    households = day.flagged_households()

    began = time.perf_counter()
    hops: dict[str, float] = {}

    async def arrived(hop: str, look: Callable[[], Awaitable[Any]], expected: Any) -> None:
        await _until(look, expected, hop)
        hops[hop] = time.perf_counter() - began

    def counted(service: str, query: str) -> Callable[[], Awaitable[int]]:
        async def look() -> int:
            return int(await views[service].fetchval(query) or 0)

        return look

    landed_before = await counted("ingest", _LANDED)()
    applied_before = await counted("flagging", _APPLIED)()
    watching = asyncio.gather(
        arrived("accepted by ingest", counted("ingest", _LANDED), landed_before + sent),
        arrived("applied by flagging", counted("flagging", _APPLIED), applied_before + day.size.students),
        arrived("requested by scheduling", counted("scheduling", _REQUESTED), households),
        arrived("in the report", lambda: _reported(views["reporting"]), (day.size.students, households, households)),
    )
    await _land(publisher, landings)
    landed = hops["landed"] = time.perf_counter() - began
    await watching
    seconds = hops["in the report"]
    print(f"a state's day: {sent:,} records landed in {landed:.1f} s, in the report after {seconds:.1f} s", flush=True)
    return {
        "marks": day.size.students,
        "districts": day.size.districts,
        "landing_seconds": landed,
        "hops": dict(sorted(hops.items(), key=lambda hop: hop[1])),
        "seconds": seconds,
        "not_conserved": await _not_conserved(views, day, households=households),
    }


async def _steady_stream(publisher: Publisher, scheduling: Connection, ground: Ground, day: StateDay) -> dict[str, Any]:
    """One mark in ten flags a student; what counts is when others can see the household's open request."""
    named = json.loads(ground.districts_file.read_text())
    state_secret = bytes.fromhex(named["state_secret"])
    pseudonyms = {
        code: Pseudonyms(secret=bytes.fromhex(each["secret"]), state_secret=state_secret)
        for code, each in named["districts"].items()
    }
    waiting: dict[str, float] = {}
    seconds: list[float] = []
    sending = asyncio.create_task(_send_steadily(publisher, day, pseudonyms, waiting))
    deadline = time.monotonic() + day.size.steady_seconds + DEADLINE_SECONDS
    while (not sending.done() or waiting) and time.monotonic() < deadline:
        rows = await scheduling.fetch(
            "SELECT household_key::text FROM request WHERE household_key = ANY ($1::uuid[])", list(waiting)
        )
        now = time.perf_counter()
        seconds += [now - waiting.pop(row["household_key"]) for row in rows if row["household_key"] in waiting]
        await asyncio.sleep(POLL_SECONDS)
    await sending
    cuts = quantiles(seconds, n=100)
    print(
        f"{STEADY_MARKS_PER_SECOND} marks/s for {day.size.steady_seconds} s: {len(seconds):,} requests,"
        f" p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, {len(waiting)} never came",
        flush=True,
    )
    return {
        "requests": len(seconds),
        "requests_missing": len(waiting),
        "p50_seconds": cuts[49],
        "p99_seconds": cuts[98],
    }


async def _send_steadily(
    publisher: Publisher, day: StateDay, pseudonyms: dict[str, Pseudonyms], waiting: dict[str, float]
) -> None:
    almost = day.one_absence_from_a_flag()
    largest = day.districts[0]
    began = time.perf_counter()
    for nth in range(STEADY_MARKS_PER_SECOND * day.size.steady_seconds):
        await asyncio.sleep(max(0.0, began + nth / STEADY_MARKS_PER_SECOND - time.perf_counter()))
        student = nth % day.students[largest]
        district, absent = largest, False
        if nth % 10 == 0 and (candidate := next(almost, None)):
            (district, student), absent = candidate, True
        mark = landing_mark(
            student=f"{student}", school=_school(student), day=_TOMORROW, version=3 + nth, absent=absent
        )
        if absent:
            waiting[pseudonyms[district].household_key(_household(student))] = time.perf_counter()
        await publisher.publish_batches(landing_topics(district)[0], {0: [(None, mark, [])]})


async def _land(publisher: Publisher, landings: dict[str, list[bytes]]) -> None:
    for topic, values in landings.items():
        rows: list[Message] = [(None, value, []) for value in values]
        for start in range(0, len(rows), 10_000):
            await publisher.publish_batches(topic, {0: rows[start : start + 10_000]})


async def _applied(views: Mapping[str, Connection], *, enrolled: int) -> None:
    async def enrolled_now() -> int:
        return int(await views["flagging"].fetchval("SELECT count(*) FROM enrollment"))

    await _until(enrolled_now, enrolled, "every enrolment applied", poll_seconds=0.5)


async def _reported(reporting: Connection) -> tuple[int, int, int]:
    counted, flagged, requested = await reporting.fetchrow(
        """
        SELECT (SELECT coalesce(sum(students_counted), 0)::bigint FROM school_day WHERE school_day = $1),
               (SELECT count(DISTINCT household_key) FROM flag WHERE ever_flagged),
               (SELECT count(*) FROM request WHERE requested_version IS NOT NULL)
        """,
        _TODAY,
    )  # type: ignore[misc]
    return counted, flagged, requested


async def _not_conserved(views: Mapping[str, Connection], day: StateDay, *, households: int) -> list[str]:
    """Every count that differs from what was sent: exactly, per district."""
    wrong: list[str] = []

    def compare(what: str, counted: object, expected: object) -> None:
        if counted != expected:
            wrong.append(f"{what}: {counted} instead of {expected}")

    rows = await views["ingest"].fetch("SELECT district, records FROM landed_count WHERE kind = 'mark'")
    landed = {row["district"]: row["records"] for row in rows}
    for district in day.districts:
        expected = len(day.yesterday(district)) + day.students[district]
        compare(f"marks accepted from {district}", landed.get(district), expected)
    rejected = "SELECT coalesce(sum(records), 0)::bigint FROM landed_count WHERE kind = 'rejected'"
    compare("records rejected", await views["ingest"].fetchval(rejected), 0)
    of_today = "SELECT count(*), count(*) FILTER (WHERE category >= 8) FROM mark WHERE school_day = $1"
    kept = await views["flagging"].fetchrow(of_today, _TODAY)
    compare("marks kept and absences among them", tuple(kept or ()), (day.size.students, day.absent_today()))
    for service, view in views.items():
        compare(f"dead letters of {service}", await view.fetchval("SELECT count(*) FROM dead_letter"), 0)
    absences = "SELECT sum(students_absent)::bigint FROM school_day WHERE school_day = $1"
    compare("absences in the report", await views["reporting"].fetchval(absences, _TODAY), day.absent_today())
    requests = await views["scheduling"].fetchval("SELECT count(*) FROM request WHERE stage <> 'closed'")
    compare("open requests", requests, households)
    for line in wrong:
        print(f"  not conserved: {line}", flush=True)
    return wrong


async def _until(look: Any, expected: Any, what: str, *, poll_seconds: float = 0.25) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (seen := await look()) != expected:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: {seen} instead of {expected}")
        await asyncio.sleep(poll_seconds)


async def _end(publisher: Publisher, workers: dict[str, Process], views: Mapping[str, Connection]) -> None:
    for view in views.values():
        await view.close()
    await publisher.stop()
    for worker in workers.values():
        worker.stop()

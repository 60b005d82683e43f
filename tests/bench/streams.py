"""Marks that trickle, and how long a family's request takes: on an ordinary day, and beside a month's close."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

from aiokafka import AIOKafkaProducer

from contracts.topics import landing_topics
from services.ingest.rules.pseudonyms import Pseudonyms
from services.runtime.delivery.publisher import PRODUCER_OPTIONS
from tests.bench import state
from tests.bench.running import APPLIED, Running, place_of
from tests.bench.state import Pupil

MARKS_PER_SECOND = 171
POLL_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
# With the stage: open requests have an index, and this is asked a hundred times a second.
_OPENED = "SELECT household_key::text FROM request WHERE household_key = ANY ($1::uuid[]) AND stage <> 'closed'"
_MONTH_TOLD = "SELECT count(*) FROM school_year WHERE get_bit(closed, $1) = 1"
# The marks beside it correct months that are told, and tell them again: those come behind.
_LAST_TOLD = "SELECT max(id) FROM outbox WHERE topic = 'school-months'"
_IS_UNSENT = "SELECT EXISTS (SELECT FROM outbox WHERE id <= $1)"
_MONTHS_REPORTED = "SELECT count(*) FROM student_month WHERE month = $1"


@dataclass(slots=True)
class Stream:
    """A steady stream of one school day's marks: one in `every` is the absence that flags a student.

    On a full feed that mark makes the day count. Where only exceptions are sent, the completion does, which comes for
    one school each second; with `waits` it doesn't come at all, and such students are left out.
    """

    system: Running
    day: int
    every: int
    waits: bool = False
    waiting: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    sent: int = 0
    _incomplete: defaultdict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    _keys: dict[str, Pseudonyms] = field(init=False)

    def __post_init__(self) -> None:
        self._keys = self.system.ground.pseudonyms()

    async def send(self, candidates: Iterator[tuple[str, int, Pupil]], *, until: asyncio.Event) -> None:
        """Send marks, evenly, until the event is set; then what is not complete yet."""
        its = self.system.state
        largest = its.districts[0]
        # Nobody who is to be flagged: a newer mark would take the absence back before anybody was told of it.
        kept_for_flags = {pupil.number for district, _, pupil in its.one_absence_from_a_flag() if district == largest}
        others = [
            (largest, school, pupil)
            for school in range(its.schools[largest])
            for pupil in its.pupils(largest, school)
            if pupil.number not in kept_for_flags
        ]
        if self.waits:
            candidates = (each for each in candidates if state.feed_of(each[1]) == "full")
        # As the districts' own clients do it: what is due goes at once, and nobody waits for what was sent before.
        producer = AIOKafkaProducer(bootstrap_servers=self.system.ground.broker.address, **PRODUCER_OPTIONS)
        await producer.start()
        try:
            began, completed = time.perf_counter(), 0.0
            while not until.is_set():
                now = time.perf_counter()
                while self.sent < (now - began) * MARKS_PER_SECOND:
                    candidate = next(candidates, None) if self.sent % self.every == 0 else None
                    whose = candidate or others[self.sent % len(others)]
                    await producer.send(*self._mark(*whose, absent=candidate is not None), partition=0)
                if self._incomplete and now - completed >= 1.0:
                    completed = now
                    await producer.send(*self._complete(*next(iter(self._incomplete))), partition=0)
                await asyncio.sleep(POLL_SECONDS)
            for school in list(self._incomplete):
                await producer.send(*self._complete(*school), partition=0)
        finally:
            await producer.stop()

    def _mark(self, district: str, school: int, pupil: Pupil, *, absent: bool) -> tuple[str, bytes]:
        if absent:
            household = self._keys[district].household_key(state.household_of(pupil.nth))
            if state.feed_of(school) == "full":
                self.waiting[household] = time.perf_counter()
            else:
                self._incomplete[district, school].append(household)
        value = state.mark(pupil, school, self.day, version=3 + self.sent, absent=absent)
        self.sent += 1
        self.system.sent.marks[district] += 1
        self.system.sent.of_part_days.add((district, pupil.number, self.day))
        return landing_topics(district)[0], value

    def _complete(self, district: str, school: int) -> tuple[str, bytes]:
        households = self._incomplete.pop((district, school))
        self.waiting.update(dict.fromkeys(households, time.perf_counter()))
        return landing_topics(district)[0], self.system.state.completion(school, self.day)

    async def watch(self, sending: "asyncio.Task[None]") -> None:
        """Note for each family how long its request took, until all have one or none comes any more."""
        scheduling = self.system.views["scheduling"]
        patience = float("inf")
        while not sending.done() or (self.waiting and time.monotonic() < patience):
            if sending.done() and patience == float("inf"):
                patience = time.monotonic() + PATIENCE_SECONDS
            rows = await scheduling.fetch(_OPENED, list(self.waiting))
            now = time.perf_counter()
            self.seconds += [now - self.waiting.pop(row[0]) for row in rows if row[0] in self.waiting]
            await asyncio.sleep(POLL_SECONDS)
        await sending

    def figures(self) -> dict[str, Any]:
        """Give how many requests came, how soon, and how many never."""
        cuts = quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [float("nan")] * 99
        return {
            "marks_sent": self.sent,
            "requests": len(self.seconds),
            "requests_missing": float(len(self.waiting)),
            "p50_seconds": cuts[49],
            "p99_seconds": cuts[98],
        }


async def trickle(system: Running, candidates: Iterator[tuple[str, int, Pupil]], *, seconds: int) -> dict[str, Any]:
    """Let marks of the next school day trickle for so long, and say what flagging had of a core meanwhile."""
    day = system.next_day
    stream, over = Stream(system, day, every=10), asyncio.Event()
    used, began = system.cpu_by_part(), time.perf_counter()
    sending = asyncio.create_task(stream.send(candidates, until=over))
    asyncio.get_running_loop().call_later(seconds, over.set)
    await stream.watch(sending)
    wall, after = time.perf_counter() - began, system.cpu_by_part()
    shares = {part: (after[part] - used[part]) / wall for part in after}
    found = stream.figures() | {
        "seconds": wall,
        "share_of_a_core": shares,
        "flagging_share": shares["flagging"] + shares.get("PostgreSQL for flagging", 0.0),
    }
    print(
        f"\n{stream.sent / wall:.0f} marks/s for {wall:.0f} s: {found['requests']:,} requests, p50"
        f" {found['p50_seconds'] * 1000:.0f} ms, p99 {found['p99_seconds'] * 1000:.0f} ms,"
        f" {len(stream.waiting)} never came; flagging had {shares['flagging']:.1%} of a core, its PostgreSQL"
        f" {shares.get('PostgreSQL for flagging', 0.0):.1%}",
        flush=True,
    )
    return found


async def close_month(
    system: Running, candidates: Iterator[tuple[str, int, Pupil]], *, before_seconds: float = 2.0
) -> dict[str, Any]:
    """Complete the month's last day at all schools at once, while marks trickle, every second one a flag.

    The day's marks have landed before, without the completions; ready is who has been told all months.
    """
    day, its = state.LAST_OF_NOVEMBER, system.state
    for district in its.districts:
        landing = landing_topics(district)[0]
        await system.land(landing, its.whole_rolls(district, range(day, day + 1), complete=False))
        system.sent.marks[district] += its.marks_on(district, day)
    system.sent.whole_days.append(day)
    system.next_day = day + 1
    await system.until("flagging", APPLIED, sum(system.sent.marks.values()))
    await system.settled()

    stream, over = Stream(system, day, every=2, waits=True), asyncio.Event()
    sending = asyncio.create_task(stream.send(candidates, until=over))
    watching = asyncio.create_task(stream.watch(sending))
    await asyncio.sleep(before_seconds)  # the stream is to run already; nothing is waited for
    used, began = system.cpu_by_part(), time.perf_counter()
    await system.land_all(
        {
            landing_topics(district)[0]: [its.completion(school, day) for school in range(schools)]
            for district, schools in its.schools.items()
        }
    )
    landed = time.perf_counter() - began
    flagging = system.views["flagging"]
    schools, place = sum(its.schools.values()), place_of(state.day_of(day))

    await system.until("flagging", _MONTH_TOLD, schools, place, poll_seconds=0.05)
    last = await flagging.fetchval(_LAST_TOLD)

    async def is_sent() -> bool:
        return last is None or not await flagging.fetchval(_IS_UNSENT, last)

    await system.wait_for("every school's month told", is_sent)
    told = time.perf_counter() - began
    ends = await system.ends_of("school-months")
    await system.wait_for("every school's month in the report", lambda: system.has_come("reporting", ends))
    reported, after = time.perf_counter() - began, system.cpu_by_part()
    over.set()
    await watching
    await system.settled()
    months = await system.views["reporting"].fetchval(_MONTHS_REPORTED, state.day_of(day).replace(day=1))
    not_conserved = await system.not_conserved()
    if months != its.students:
        not_conserved.append(f"student months in the report: {months} instead of {its.students}")
    found = stream.figures() | {
        "schools": schools,
        "student_months": months,
        "landed_seconds": landed,
        "told_seconds": told,
        "reported_seconds": reported,
        "cpu_seconds": {part: after[part] - used[part] for part in after},
        "not_conserved": not_conserved,
    }
    print(
        f"\na month's close: {schools:,} schools told after {told:.1f} s, {found['student_months']:,} student months in"
        f" the report after {reported:.1f} s; meanwhile {found['requests']:,} requests, p50"
        f" {found['p50_seconds'] * 1000:.0f} ms, p99 {found['p99_seconds'] * 1000:.0f} ms, {len(stream.waiting)} never",
        flush=True,
    )
    return found

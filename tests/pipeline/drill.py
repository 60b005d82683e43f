"""A small state that can be put back: its days and corrections, its people at desk and door, and what must hold after.

The checks know nothing of how requests are opened: they ask what stood before, what the topics say and what the rules
say of the days, and compare it with what desk, visit log and reports hold.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Annotated, Any, Union
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg
import httpx
from pydantic import Field, TypeAdapter

from contracts import events
from contracts.topics import TOPIC_BY_NAME
from deploy import cli
from deploy.commands import state
from deploy.local import Process, part_from
from tests import oracle, people
from tests.component.flagging.builders import conclusions
from tests.pipeline import schools
from tests.pipeline.conclusions import facts_of
from tests.pipeline.stack import Stack, eventually

DISTRICTS = ("hartford", "danbury")
VISITORS = ("marisol", "omar")
STUDENTS = range(60)
NAMES = {"hartford": "ana", "danbury": "bea"}
TOPICS_OF = {
    "flagging": ("rolls", "rosters", "calendars", "district-policies", "district-statuses"),
    "scheduling": ("flags", "visit-log", "household-contacts", "calendars"),
    "visitlog": ("home-visits", "visitors", "household-contacts"),
    "reporting": ("flags", "home-visits", "visit-log", "visitors", "day-tallies", "school-months"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What desk, door and reports hold, by what identifies it."""

    requests: dict[UUID, tuple[UUID, str, str | None]]
    visits: dict[UUID, tuple[UUID, str, datetime | None]]
    logs: dict[UUID, tuple[UUID, str]]
    visitors: dict[str, bool]

    def differs_from(self, before: "Standing") -> dict[str, Any]:
        """Name what stands otherwise than before, by table and id."""
        found: dict[str, Any] = {}
        for each in fields(self):
            here, there = getattr(self, each.name), getattr(before, each.name)
            for key in here.keys() | there.keys():
                if here.get(key) != there.get(key):
                    found[f"{each.name} {key}"] = (there.get(key), here.get(key))
        return found


class State:
    """The running state: days that are landed, people who act, a clock that moves on."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.now = schools.NOW
        self.landed_days = 0

    async def goes_on(self, *, days: int, seed: int) -> None:
        """Land the next days and corrections of those before, and let all of it be worked off."""
        first, self.landed_days = self.landed_days, self.landed_days + days
        for district in DISTRICTS:
            span = range(first, self.landed_days)
            await self.stack.land(district, schools.marks(students=STUDENTS, days=span, seed=seed, share_absent=0.1))
            if first:
                corrected = schools.marks(
                    students=STUDENTS, days=range(first // 2, first), seed=seed + 1, share_absent=0.06, version=seed + 2
                )
                await self.stack.land(district, [each for each in corrected if each["type"] == "mark"])
                await self.stack.land(district, _excused(first, seed))
        await self.settled()

    async def settled(self) -> None:
        """Return once nothing is on its way any more, to the reports."""
        await self.stack.settled()
        # Twice: what the desk concludes from a log is told to the log's service again.
        for _ in range(2):
            for service, topics in TOPICS_OF.items():
                if service in self.stack.processes:
                    await self.stack.drained(service, topics)

    def passes(self, *, days: int) -> None:
        """Let the state's time pass."""
        self.now += timedelta(days=days)
        self.stack.it_is(self.now)

    async def register_visitors(self) -> None:
        """Register the two who visit, trained since spring."""
        async with self._door("scheduling", "ana") as desk:
            for name in VISITORS:
                facts = {
                    "visitor_id": name, "district": "hartford", "weekly_cap": 60,
                    "leap101_valid_from": str((self.now - timedelta(days=90)).date()),
                    "leap101_valid_until": str((self.now + timedelta(days=500)).date()),
                }  # fmt: skip
                answer = await desk.post("/v1/visitors", json=facts)
                assert answer.status_code in (201, 409), answer.text

    async def people_work(self, answers: Sequence[str]) -> None:
        """Work off Hartford's queue: one answer for each request in turn; who agrees is visited tomorrow."""
        slot = self.now.replace(hour=9) + timedelta(days=1)
        async with self._door("scheduling", "ana") as desk:
            for answer in answers:
                claimed = await desk.post("/v1/requests/next/claim")
                if claimed.status_code == 204:
                    break
                request = claimed.json()
                said = {"version": request["version"], "answer": answer}
                request = await _done(desk.post(f"/v1/requests/{request['request_id']}/answer", json=said))
                if answer != "agreed":
                    continue
                terms = {
                    "version": request["version"], "starts_at": slot.isoformat(), "place": "home", "minutes": 30,
                    "pair": VISITORS,
                }  # fmt: skip
                await _done(desk.post(f"/v1/requests/{request['request_id']}/appointment", json=terms))
                slot += timedelta(hours=1)
        await self.settled()

    async def visitors_log(self, outcomes: Sequence[str]) -> None:
        """Log Hartford's visits that are over, each with the next outcome and a promise."""
        async with self._door("visitlog", "carl") as office:
            asked = {"due": ["expected", "overdue"], "from": str(self.now.date() - timedelta(days=30))}
            expected = (await _done(office.get("/v1/expected-logs", params=asked)))["visits"]
        over = [each for each in expected if datetime.fromisoformat(each["starts_at"]) < self.now]
        async with self._door("visitlog", "marisol") as phone:
            for visit, outcome in zip(over, outcomes, strict=False):
                starts_at = datetime.fromisoformat(visit["starts_at"])
                log: dict[str, Any] = {
                    "visit_id": visit["visit_id"], "outcome": outcome, "started_at": starts_at.isoformat(),
                    "pair": VISITORS, "place": "home",
                }  # fmt: skip
                if outcome == "took_place":
                    log |= {
                        "ended_at": (starts_at + timedelta(minutes=30)).isoformat(),
                        "follow_up": {"due": str((self.now + timedelta(days=60)).date()), "kind": "visit"},
                        "referrals": [{"resource": "food"}],
                    }
                log_id = uuid5(NAMESPACE_OID, visit["visit_id"] + outcome)
                await _done(phone.put(f"/v1/visit-logs/{log_id}", json=log))
        await self.settled()

    @asynccontextmanager
    async def _door(self, service: str, person: str) -> AsyncIterator[httpx.AsyncClient]:
        address = self.stack.processes[service].address
        async with httpx.AsyncClient(base_url=address, headers=people.headers(person), timeout=30) as client:
            yield client

    async def standing(self) -> Standing:
        """Read what desk and visit log hold."""
        async with self.stack.sql("scheduling") as desk:
            requests = await desk.fetch("SELECT request_id, household_key, stage, closed_because FROM request")
            visits = await desk.fetch(
                """SELECT DISTINCT ON (visit_id) visit_id, request_id, state, starts_at
                   FROM visit LEFT JOIN appointment USING (visit_id) ORDER BY visit_id, revision DESC"""
            )
            visitors = await desk.fetch("SELECT visitor_id, active FROM visitor")
        async with self.stack.sql("visitlog") as door:
            logs = await door.fetch("SELECT log_id, visit_id, outcome FROM visit_log")
        return Standing(
            {row["request_id"]: (row["household_key"], row["stage"], row["closed_because"]) for row in requests},
            {row["visit_id"]: (row["request_id"], row["state"], row["starts_at"]) for row in visits},
            {row["log_id"]: (row["visit_id"], row["outcome"]) for row in logs},
            {row["visitor_id"]: row["active"] for row in visitors},
        )

    async def leap(self, *words: str) -> dict[str, Any]:
        """Run a command of `leap` on this state, which must do well; what it gives as JSON."""
        self._left_by_up()
        said = await asyncio.to_thread(_run, [*words, "--json"])
        for name, described in state.load().services.items():
            part = part_from(described)
            assert isinstance(part, Process)
            self.stack.processes[name] = part
        return said

    async def leap_refuses(self, *words: str) -> str:
        """Run a command of `leap` that must not do well; what it says."""
        self._left_by_up()
        return await asyncio.to_thread(_refused, [*words])

    def _left_by_up(self) -> None:
        services = {name: process.describe() for name, process in self.stack.processes.items()}
        state.State(services=services, **self.stack.described()).save()


def _excused(first: int, seed: int) -> Iterable[dict[str, Any]]:
    """Take absences back of a few children: a flag clears, and a later day raises it again."""
    calendar = schools.school_days(first)
    for number in STUDENTS:
        if (number + seed) % 5 == 0:
            for day in calendar[first // 2 :]:
                yield {
                    "type": "mark", "student": str(number), "school": schools.SCHOOL, "date": day.isoformat(),
                    "category": "in_attendance", "version": 100 + seed,
                }  # fmt: skip


def _run(words: list[str]) -> dict[str, Any]:
    import contextlib
    import io

    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert cli.run(words) == 0, told.getvalue()
    said: dict[str, Any] = json.loads(told.getvalue().splitlines()[-1])
    return said


def _refused(words: list[str]) -> str:
    import contextlib
    import io

    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        assert cli.run(words) != 0, told.getvalue()
    return told.getvalue()


async def _done(asked: Any) -> Any:
    answer: httpx.Response = await asked
    assert answer.status_code in (200, 201), f"{answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


async def told(stack: Stack, topic: str) -> list[Any]:
    """Every event of a topic, each once."""
    either: Any = Union[TOPIC_BY_NAME[topic].events]  # noqa: UP007
    reader: TypeAdapter[Any] = TypeAdapter(Annotated[either, Field(discriminator="event_type")])
    return list({each.event_id: each for each in map(reader.validate_json, await stack.read(topic))}.values())


async def assert_it_adds_up(stack: Stack) -> None:
    """Compare everything with an independent recomputation: figures by the oracle, people's work by the topics."""
    await _assert_figures_equal_the_oracles(stack)
    await assert_families_and_levels(stack)
    await _assert_requests_agree(stack)
    await _assert_visits_agree(stack)


async def _assert_figures_equal_the_oracles(stack: Stack) -> None:
    """Recompute every record and flag from the facts, and the figures of whoever is flagged at the desk.

    Of a child whose flag came and went meanwhile, flagging's restored tables may know nothing until it tells all again.
    """
    expected = oracle.conclude(await facts_of(stack))
    async with asyncpg.create_pool(stack.urls["flagging"], min_size=1, max_size=2) as pool:
        concluded = await conclusions(pool)
    assert (concluded.records, concluded.flags) == (expected.records, expected.flags)
    assert expected.records, "the comparison would prove nothing without records"
    await _assert_figures_at_the_desk(stack, expected, "level <> 'none'")


async def assert_everybodys_figures(stack: Stack) -> None:
    """Compare the figures of everybody at the desk who was flagged at any time of the year, once all was told again."""
    await _assert_figures_at_the_desk(stack, oracle.conclude(await facts_of(stack)), "true")


async def _assert_figures_at_the_desk(stack: Stack, expected: oracle.Conclusions, whose: str) -> None:
    async with stack.sql("scheduling") as connection:
        rows = await connection.fetch(f"SELECT * FROM flagged_student WHERE {whose}")
    shown = {(row["student_key"], row["school_year"]): (row["days_absent"], row["days_enrolled"]) for row in rows}
    assert shown == {key: expected.figures.get(key, (0, 0)) for key in shown}


async def assert_families_and_levels(stack: Stack) -> None:
    """Compare whom the services hold flagged, and whether their families have their request."""
    await _assert_levels_agree(stack)
    await _assert_families_have_their_request(stack)


async def _assert_levels_agree(stack: Stack) -> None:
    """One level of each flagged child: flagging's, the desk's, the report's.

    A flag that came and went is known to whoever saw it go: that is nothing to agree on.
    """
    levels = ("none", "at_risk", "chronically_absent", "severely_chronically_absent")
    async with stack.sql("flagging") as connection:
        rows = await connection.fetch("SELECT student_key, level FROM flag WHERE level > 0")
        flagged = {row["student_key"]: levels[row["level"]] for row in rows}
    for service, statement in (
        ("scheduling", "SELECT student_key, level FROM flagged_student WHERE level <> 'none'"),
        ("reporting", "SELECT student_key, level FROM flag_today WHERE level <> 'none'"),
    ):
        async with stack.sql(service) as connection:
            rows = await connection.fetch(statement)
        assert {row["student_key"]: row["level"] for row in rows} == flagged, f"{service} holds other levels"
    assert flagged, "nobody is flagged: nothing is compared"


async def _assert_families_have_their_request(stack: Stack) -> None:
    """Each flagged child's family has one open request, or one that people closed; nobody has two."""
    async with stack.sql("scheduling") as connection:
        flagged = await connection.fetch("SELECT DISTINCT household_key FROM flagged_student WHERE level <> 'none'")
        rows = await connection.fetch("SELECT household_key, stage, closed_because FROM request")
    open_requests: defaultdict[UUID, int] = defaultdict(int)
    by_people: set[UUID] = set()
    for row in rows:
        open_requests[row["household_key"]] += row["stage"] != "closed"
        if row["closed_because"] not in (None, "no_longer_flagged"):
            by_people.add(row["household_key"])
    assert max(open_requests.values(), default=0) <= 1
    without = [
        row for row in flagged if not open_requests[row["household_key"]] and row["household_key"] not in by_people
    ]
    assert without == [], f"{len(without)} flagged families have no request"


async def _assert_requests_agree(stack: Stack) -> None:
    """Each request stands at the desk and in the report as its newest word on the topic says."""
    stage: dict[UUID, tuple[int, str]] = {}
    for each in await told(stack, "home-visits"):
        if isinstance(each, events.VisitRequested):
            stage.setdefault(each.request_id, (each.version, "new"))
    for each in await told(stack, "home-visits"):
        if isinstance(each, events.RequestStageChanged) and each.version >= stage[each.request_id][0]:
            stage[each.request_id] = each.version, each.stage.value
    expected = {request_id: said for request_id, (_, said) in stage.items()}
    async with stack.sql("scheduling") as connection:
        rows = await connection.fetch("SELECT request_id, stage FROM request")
    assert {row["request_id"]: row["stage"] for row in rows} == expected
    async with stack.sql("reporting") as connection:
        rows = await connection.fetch("SELECT request_id, coalesce(stage, 'new') AS stage FROM request")
    assert {row["request_id"]: row["stage"] for row in rows} == expected


async def _assert_visits_agree(stack: Stack) -> None:
    """Visits, and logs of them, are the same at the desk, at the door and in the report."""
    logged = {
        each.log_id: each.visit_id
        for each in await told(stack, "visit-log")
        if isinstance(each, events.VisitCompleted | events.VisitAttempted)
    }
    async with stack.sql("visitlog") as connection:
        logs = await connection.fetch("SELECT log_id, visit_id FROM visit_log")
        agreed = await connection.fetch("SELECT visit_id, cancelled, starts_at FROM visit")
    async with stack.sql("reporting") as connection:
        reported = await connection.fetch("SELECT log_id, visit_id FROM visit_log")
        counted = await connection.fetch("SELECT visit_id FROM visit")
    async with stack.sql("scheduling") as connection:
        at_desk = await connection.fetch(
            """SELECT DISTINCT ON (visit_id) visit_id, state, starts_at FROM visit JOIN appointment USING (visit_id)
               ORDER BY visit_id, revision DESC"""
        )
    assert {row["log_id"]: row["visit_id"] for row in logs} == logged
    assert {row["log_id"]: row["visit_id"] for row in reported} == logged
    assert {row["visit_id"] for row in counted} == set(logged.values())
    stand = {row["visit_id"]: row["starts_at"] for row in at_desk if row["state"] != "cancelled"}
    assert {row["visit_id"]: row["starts_at"] for row in agreed if not row["cancelled"]} == stand
    over = {row["visit_id"] for row in at_desk if row["state"] in ("attempted", "completed")}
    assert over == set(logged.values())


async def refused(process: Process, sentence: str) -> None:
    """Return once the service has ended and its log says why."""

    async def said() -> bool:
        return not process.is_running() and sentence in process.log.read_text()

    await eventually(said, f"{process.name} says: {sentence}")

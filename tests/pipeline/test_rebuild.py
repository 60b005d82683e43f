"""Reporting's projections made anew while events go on: row for row the same, and the switch is not noticed."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from contracts import events
from deploy import cli
from deploy.commands import state
from deploy.commands.rebuild import services
from services.runtime.broker_access import client_options
from services.runtime.delivery.publisher import partition_of
from services.runtime.rebuild.rebuild import Rebuild, Rebuilt, go_back, rebuild
from tests.component.reporting.tallied import Month, figures, months, whole_day
from tests.component.visit_events import MORNING, flag, of_visit
from tests.pipeline.stack import Stack, start_stack
from tests.zones import HERE

Told = tuple[str, str, events.Event]
TOLD_AT = 1_793_388_005_000_000
SCHOOLS = 100
PACE_SECONDS = 0.05  # how fast events come and questions are asked; nothing is synchronised by it
TOPICS = (
    "flags", "school-months", "day-tallies", "district-policies", "home-visits", "visit-log", "visitors",
    "absence-flags", "student-months", "school-days",
)  # fmt: skip


def key(kind: int, number: int) -> UUID:
    return UUID(bytes=number.to_bytes(4) + kind.to_bytes(4) + bytes(8))  # the first digits decide the partition


def one_family(number: int) -> list[Told]:
    """What is told of a household from the flag to the log, a month's attendance with its correction among it."""
    student, household = key(1, number), key(2, number)
    keys = {"household_key": household, "request_id": key(3, number), "visit_id": key(4, number)}

    def month(version: int) -> events.Event:
        return events.StudentMonthTallied.model_validate(
            {
                "event_id": uuid4(),
                "event_type": "student-month.tallied.v1",
                "occurred_at": MORNING,
                "district": "hartford",
                "school": "H01",
                "student_key": student,
                "grade": "3",
                "month": date(2026, 9, 1),
                "days_enrolled": 20,
                "days_absent": 2 + version,
                "version": version,
            }
        )

    def of_household(model: type[events.Event], **fields: object) -> events.Event:
        return of_visit(model, **keys, log_id=key(5, number), **fields)

    flags = [
        flag(1, student_key=student, household_key=household, version=version, level=level, as_of=day)
        for version, level, day in (
            (1, "at_risk", date(2026, 9, 20)),
            (2, "chronically_absent", date(2026, 10, 2)),
            (3, "none", date(2026, 10, 9)),
        )
    ]
    asked = [
        of_household(events.VisitRequested, version=1),
        of_household(events.FamilyAgreed, version=2),
        of_household(events.VisitScheduled, version=3),
    ]
    logged = of_household(events.VisitCompleted, started_at=MORNING + timedelta(days=number % 30))
    # A hundred schools: the search of a publication takes minutes over thousands of one child each.
    school: dict[str, Any] = {"school": f"H{number % SCHOOLS:02}", "district": "hartford"}
    school_day = date(2026, 9, 1) + timedelta(days=number // SCHOOLS)
    october = months(Month(student, 21, 1, number), month=date(2026, 10, 1), missing_rolls=0, version=TOLD_AT, **school)
    corrected = months(Month(student, 21, 2, number), month=date(2026, 10, 1), version=TOLD_AT + 1, **school)
    return [
        *(("absence-flags", str(student), each) for each in flags),
        ("flags", "hartford", figures((student,), version=TOLD_AT, level="none", **school)),
        *(("school-months", "hartford", each) for each in (october, corrected)),
        *(
            ("day-tallies", "hartford", whole_day(version=TOLD_AT + n, absent=n, school_day=school_day, **school))
            for n in (1, 2)
        ),
        *(("student-months", str(student), month(version)) for version in (1, 2)),
        *(("home-visits", str(household), each) for each in asked),
        ("visit-log", str(household), logged),
        ("visit-log", str(household), logged),  # told twice: at least once is the promise
    ]


class Telling:
    """Events about more and more families, written as the services write them."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.families = 0
        self._producer = producer

    async def tell(self, families: int) -> None:
        """Tell everything about that many further families."""
        told = [each for number in range(self.families, self.families + families) for each in one_family(number)]
        self.families += families
        await self.say(told)

    async def say(self, told: Sequence[Told]) -> None:
        """Tell this, each under its key."""
        topics = {topic for topic, _, _ in told}
        partitions = {topic: len(await self._producer.partitions_for(topic)) for topic in topics}
        sent = [
            await self._producer.send(
                topic,
                event.model_dump_json().encode(),
                key=name.encode(),
                partition=partition_of(name, partitions[topic]),
            )
            for topic, name, event in told
        ]
        await asyncio.gather(*sent)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """While the block runs, families keep coming."""
        going = True

        async def go_on() -> None:
            while going:
                await self.tell(10)
                await asyncio.sleep(PACE_SECONDS)

        running = asyncio.create_task(go_on())
        try:
            yield
        finally:
            going = False
            await running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Reporting alone, on a broker and a database of its own."""
    running = await start_stack(tmp_path_factory.mktemp("rebuild"), (), ("reporting",))
    yield running
    await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def telling(stack: Stack) -> AsyncIterator[Telling]:
    """Events, with a past of 500 families."""
    producer = AIOKafkaProducer(**client_options(stack.kafka), acks="all", enable_idempotence=True)
    await producer.start()
    telling = Telling(producer)
    await telling.tell(500)
    yield telling
    await producer.stop()


def wanted(stack: Stack) -> Rebuild:
    service, kept, _ = services()["reporting"]
    return Rebuild(
        service=service,
        broker=stack.door.access("reporting"),
        database_url=stack.urls["reporting"],
        admin_url=stack.database.address,
        zone=HERE,
        kept=kept,
    )


async def rebuilt_while_it_answers(stack: Stack, telling: Telling) -> tuple[Rebuilt, Sequence[int]]:
    """Rebuild while events come and somebody keeps asking whether the service is ready."""
    answers: list[int] = []
    done = asyncio.Event()

    def ask() -> int:
        with urllib.request.urlopen(f"{stack.processes['reporting'].operations}/readyz", timeout=5) as answer:
            return int(answer.status)

    async def keep_asking() -> None:
        while not done.is_set():
            answers.append(await asyncio.to_thread(ask))
            await asyncio.sleep(PACE_SECONDS)

    asking = asyncio.create_task(keep_asking())
    try:
        async with telling.going_on():
            outcome = await rebuild(wanted(stack))
    finally:
        done.set()
        await asking
    return outcome, answers


async def assert_all_is_told(stack: Stack, telling: Telling) -> None:
    await stack.drained("reporting", TOPICS)
    async with stack.sql("reporting") as connection:
        held = await connection.fetchrow(
            """
            SELECT (SELECT count(*) FROM flag WHERE level = 'none' AND ever_flagged AND version = 3) AS flags,
                   (SELECT count(*) FROM student_month WHERE version = 2 AND days_absent = 4) AS months,
                   (SELECT count(*) FROM student_month WHERE days_absent = 2 AND person_key IS NOT NULL) AS by_school,
                   (SELECT count(*) FROM day_tally WHERE students_absent = 2) AS days,
                   (SELECT count(*) FROM flag_figures) AS figures,
                   (SELECT count(*) FROM visit WHERE completed) AS visits,
                   (SELECT count(*) FROM request WHERE agreed_version = 2) AS requests,
                   (SELECT count(*) FROM dead_letter) AS dead
            """
        )
    families = telling.families
    assert held is not None
    counted = ("flags", "months", "by_school", "days", "figures", "visits", "requests")
    assert dict(held) == {**dict.fromkeys(counted, families), "dead": 0}


async def test_rebuilt_projections_equal_the_running_ones_row_for_row(stack: Stack, telling: Telling) -> None:
    running = stack.processes["reporting"].pid
    outcome, answers = await rebuilt_while_it_answers(stack, telling)
    assert (outcome.switched, outcome.differences) == (True, [])
    told = ("flag", "flag_figures", "request", "visit", "student_month", "day_tally")
    assert {*told, "school_month"} <= outcome.rows.keys()
    assert min(outcome.rows[table] for table in told) >= 500
    assert {*answers} == {200}
    assert outcome.standstill_seconds < 5

    await telling.tell(20)
    await assert_all_is_told(stack, telling)
    assert stack.processes["reporting"].is_running()
    assert stack.processes["reporting"].pid == running


async def test_a_tampered_row_is_told_and_mended(stack: Stack, telling: Telling) -> None:
    await assert_all_is_told(stack, telling)
    async with stack.sql("reporting") as connection:
        await connection.execute("UPDATE flag SET level = 'at_risk' WHERE student_key = $1", key(1, 7))
        await connection.execute("DELETE FROM visit WHERE visit_id = $1", key(4, 9))
        await connection.execute("INSERT INTO release VALUES ('2026-09-30', now(), now(), '{}')")
    outcome, _ = await rebuilt_while_it_answers(stack, telling)

    found = {each.table: each for each in outcome.differences}
    assert found.keys() == {"flag", "visit"}
    assert (found["flag"].only_in_first, found["flag"].only_in_second) == (1, 1)
    assert (found["visit"].only_in_first, found["visit"].only_in_second) == (0, 1)
    assert found["flag"].examples == [{"student_key": str(key(1, 7)), "school_year": 2026}]
    assert found["visit"].examples == [{"visit_id": str(key(4, 9))}]
    await assert_all_is_told(stack, telling)
    async with stack.sql("reporting") as connection:
        assert await connection.fetchval("SELECT count(*) FROM release WHERE cut_off = '2026-09-30'") == 1


async def test_the_way_back_is_as_quiet(stack: Stack, telling: Telling) -> None:
    async with telling.going_on():
        outcome = await go_back(wanted(stack))
    assert {each.table for each in outcome.differences} == {"flag", "visit"}  # the former ones hold the tampered rows

    async with telling.going_on():
        await go_back(wanted(stack))
    await assert_all_is_told(stack, telling)


async def test_the_command_says_what_differs_in_words_json_and_exit_code(
    stack: Stack, telling: Telling, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "checkout", lambda: stack.folder)
    parts = stack.described()
    state.State(services={"reporting": stack.processes["reporting"].describe()}, **parts).save()

    async def leap(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(cli.run, ["rebuild", "reporting", *words])
        return code, capsys.readouterr().out

    assert (await leap("--compare"))[0] == 0
    async with stack.sql("reporting") as connection:
        await connection.execute(
            "UPDATE student_month SET days_absent = 20 WHERE student_key = $1 AND version = 2", key(1, 3)
        )
    code, said = await leap("--compare")
    assert code == 1
    assert "student_month: 1 rows only running, 1 rows only rebuilt, for instance" in said
    assert str(key(1, 3)) in said

    code, said = await leap("--json")
    assert (code, json.loads(said)["differences"][0]["table"]) == (0, "student_month")
    code, said = await leap()
    assert code == 0
    assert "every row is the same" in said
    assert (await leap("--back"))[0] == 0
    await assert_all_is_told(stack, telling)


async def test_a_worker_that_comes_later_goes_on_where_the_new_projections_stand(
    stack: Stack, telling: Telling
) -> None:
    stack.processes["reporting"].kill()
    outcome = await rebuild(wanted(stack))
    assert (outcome.switched, outcome.differences) == (True, [])
    await telling.tell(20)
    await stack.start("reporting")
    await assert_all_is_told(stack, telling)


async def test_a_rebuild_that_dies_leaves_the_running_one_as_it_was(stack: Stack, telling: Telling) -> None:
    async with telling.going_on():
        begun = asyncio.Event()
        dying = asyncio.create_task(rebuild(wanted(stack), applied=lambda *_: begun.set()))
        await asyncio.wait_for(begun.wait(), 60)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    await assert_all_is_told(stack, telling)
    assert (await rebuild(wanted(stack))).differences == []


async def test_whose_figures_were_erased_are_not_in_the_new_tables_either(stack: Stack, telling: Telling) -> None:
    """The wish is the last word of the running tables, and may be the first that the new ones hear."""
    gone = events.HouseholdForgotten(
        event_id=uuid4(), event_type="household.forgotten.v1", occurred_at=MORNING, district="hartford",
        household_key=key(2, 5), version=1, figures="erased",
    )  # fmt: skip
    await telling.say([("forgotten", "hartford", gone)])
    await stack.drained("reporting", ("forgotten",))
    assert (await of_household(stack, 5), await of_household(stack, 6)) == (0, 3)
    outcome = await rebuild(wanted(stack))
    assert (outcome.switched, outcome.differences) == (True, [])
    assert (await of_household(stack, 5), await of_household(stack, 6)) == (0, 3)


async def of_household(stack: Stack, number: int) -> int:
    """Count what stands of a household: its flag, its request and its visit."""
    async with stack.sql("reporting") as connection:
        counted: int = await connection.fetchval(
            """SELECT (SELECT count(*) FROM flag WHERE household_key = $1)
                    + (SELECT count(*) FROM request WHERE household_key = $1)
                    + (SELECT count(*) FROM visit WHERE household_key = $1)""",
            key(2, number),
        )
        return counted

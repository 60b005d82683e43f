"""A state's roster through flagging: every stint as ingest writes it, and what one costs."""

from argparse import Namespace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from contracts.events import Feed, Grade, SchoolCalendarChanged
from contracts.topics import PARTITIONS
from deploy.local import create_topics
from services.ingest.rules import attendance
from services.runtime.delivery.publisher import Message, Publisher, cloud_event_headers, partition_of
from tests.bench import state, state_parts, verdict, workers
from tests.bench.machine import Ground
from tests.bench.runs import run_of
from tests.bench.state import Size, State

_TAKEN = "SELECT coalesce(sum(next_offset), 0)::bigint FROM position WHERE topic = 'rosters'"
_SPOKEN = datetime(2026, 8, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


async def measure(arguments: Namespace, folder: Path, found: dict[str, Any]) -> None:
    """Fill the topic with everybody's stint, and let one worker take them; calendars are there before."""
    its = State(
        Size(
            students=arguments.students or (state_parts.SHORT_STUDENTS if arguments.short else Size().students),
            districts=arguments.districts or Size().districts,
        )
    )
    ground = Ground(folder)
    try:
        await create_topics(ground.broker.address, ())
        await _fill(ground, its)
        found["roster"] = await _take(ground, its)
    finally:
        ground.stop()
    claims = verdict.judge_roster(found["roster"])
    verdict.print_claims(claims)
    found["claims"] += claims


async def _take(ground: Ground, its: State) -> dict[str, Any]:
    url = await workers.enrolled(ground, _calendars(its))
    start = partial(ground.start, "flagging", url, clock=ground.clock("flagging", state.FIRST_DAY))
    used, peak = await workers.to_the_end(ground, url, start, query=_TAKEN, marks=its.students)
    run = run_of("flagging", "a roster", its.students, used, peak)
    connection = await asyncpg.connect(url)
    try:
        enrolled = await connection.fetchval("SELECT count(*) FROM enrollment")
        members = await connection.fetchval("SELECT count(*) FROM member WHERE entry_date IS NOT NULL")
    finally:
        await connection.close()
    print(f"\na roster of {its.students:,} stints in {run.seconds:.1f} s, us a stint:", flush=True)
    verdict.print_table("a roster", [run])
    return verdict.as_json(run) | {
        "own_cpu_us": run.own_cpu_us or 0.0,
        "missing": its.students - min(enrolled, members),
    }


def _calendars(its: State) -> list[SchoolCalendarChanged]:
    return [
        SchoolCalendarChanged(
            event_id=uuid4(), event_type="school-calendar.changed.v1", occurred_at=_SPOKEN, district=district,
            school=state.code_of(school), school_year=2026, feed=Feed(state.feed_of(school)),
            school_days=state.SCHOOL_DAYS, source_version=1,
        )
        for district, schools in its.schools.items()
        for school in range(schools)
    ]  # fmt: skip


async def _fill(ground: Ground, its: State) -> None:
    print(f"filling the topic with {its.students:,} stints", flush=True)
    publisher = Publisher(ground.broker.address, source="bench")
    await publisher.start()
    try:
        for number, district in enumerate(its.districts):
            rows = [
                _message(district, school, number << 40 | pupil.nth, pupil)
                for school in range(its.schools[district])
                for pupil in its.pupils(district, school)
            ]
            await publisher.publish_batches("rosters", {partition_of(district, PARTITIONS): rows})
    finally:
        await publisher.stop()


def _message(district: str, school: int, number: int, pupil: state.Pupil) -> Message:
    stint = attendance.EnrollmentChanged(
        event_id=str(UUID(int=number)),
        occurred_at="2026-08-01T00:00:00.000Z",
        district=district,
        school=state.code_of(school),
        student_key=str(_key(number, 1)),
        person_key=str(_key(number, 2)),
        household_key=str(_key(number >> 1, 3)),
        stint=_key(number, 4).hex,
        grade=Grade.G3,
        entry_date=state.day_of(pupil.entry),
        exit_date=None,
        exit_day_counts=False,
        withdrawn=False,
        number_key=None,
        track=None,
        source_version=1,
    )
    headers = cloud_event_headers(
        event_id=stint.event_id, event_type="enrollment.changed.v1", source=f"district/{district}"
    )
    return district.encode(), _encode(stint), headers


def _key(number: int, kind: int) -> UUID:
    # As spread as a keyed hash: keys in order would lie beside each other in every index.
    return UUID(int=(number * 8 + kind) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)

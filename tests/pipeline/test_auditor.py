"""The auditor on real parts: it agrees with a healthy state, and finds each seeded fault, whatever the counts say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from contracts.topics import landing_topics
from deploy.audit import metrics
from deploy.audit.rounds import Auditor, Found
from deploy.commands.position import set_position
from deploy.local import auditor_may_read, provision_auditor
from deploy.local.database import roles_of
from deploy.local.dumps import dump_schema, restore_schema
from services.flagging.rules.register import SchoolYear
from services.flagging.rules.rolls import Mark, RollPage
from services.flagging.store import rolls
from services.flagging.store.registers import Registers
from services.flagging.store.rolls import RollKey
from tests.pipeline.schools import NOW, SCHOOL, marks, roster, school_days, whole
from tests.pipeline.stack import Stack, eventually, start_stack
from tests.pipeline.test_landing_topics_change import make_anew

DISTRICT = "norwich"
STUDENTS = range(100, 180)
DAYS = school_days(6)
SEEDED = DAYS[2]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A full feed whose students have two register pages; marks single and in whole rolls, and some that go back."""
    running = await start_stack(tmp_path_factory.mktemp("audit"), (DISTRICT,), ())
    running.it_is(NOW)
    try:
        await asyncio.gather(*(running.start(name) for name in ("ingest", "flagging")))
        await running.land(DISTRICT, roster(DISTRICT, students=STUDENTS, feed="full"), roster=True)
        await running.land(DISTRICT, marks(students=STUDENTS, days=range(3), seed=1, feed="full"))
        await running.land(DISTRICT, whole(marks(students=STUDENTS, days=range(3, 6), seed=2, feed="full")))
        corrected = list(marks(students=STUDENTS[:9], days=range(1, 2), seed=3, feed="full", version=2))
        impossible = {"student": "1", "school": SCHOOL, "date": "2126-09-01", "category": "tardy", "version": 1}
        await running.land(DISTRICT, [*corrected, {"type": "mark", **impossible}, b"no JSON"])
        await running.settled()
        yield running
    finally:
        await running.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def audit(stack: Stack) -> Callable[[], Awaitable[list[Found]]]:
    """Recount every day of the district."""
    auditor = await an_auditor(stack)

    async def recount() -> list[Found]:
        return await auditor.recount(DISTRICT, seed=bytes(16))

    return recount


async def an_auditor(stack: Stack) -> Auditor:
    """Give an auditor of every day, with a login of its own from now on."""
    return Auditor(
        broker=stack.door.access("auditor"),
        database_url=await provision_auditor(stack.database.address),
        districts_file=stack.districts_file,
        share=1.0,
        pause=0.0,
    )


Page = dict[RollKey, RollPage]


async def seeded(stack: Stack, spoil: Callable[[Page], None]) -> Callable[[], Awaitable[None]]:
    """Spoil the seeded day's roll pages; give what mends them."""
    async with stack.sql("flagging") as connection:
        before = await connection.fetch("SELECT * FROM roll_page")
        pages = await rolls.read_school(connection, SchoolYear(DISTRICT, SCHOOL, 2026))
        spoil(pages)
        await connection.execute("DELETE FROM roll_page")
        await rolls.save_pages(connection, {key: page.columns() for key, page in pages.items() if page.marks})

    async def mend() -> None:
        async with stack.sql("flagging") as connection:
            await connection.execute("DELETE FROM roll_page")
            await connection.copy_records_to_table("roll_page", records=[tuple(row) for row in before])

    return mend


def of_day(pages: Page) -> list[RollKey]:
    """Give the pages of the seeded day."""
    return sorted(key for key in pages if key.school_day == SEEDED)


def lose_a_mark(pages: Page) -> None:
    page = pages[of_day(pages)[0]]
    del page.marks[next(iter(page.marks))]


def lose_a_day(pages: Page) -> None:
    for key in of_day(pages):
        pages[key].marks.clear()


def swap_a_child(pages: Page) -> None:
    page = pages[of_day(pages)[0]]
    first = next(iter(page.marks))
    page.marks[bytes(range(16))] = page.marks.pop(first)


def double_a_mark(pages: Page) -> None:
    first, second = of_day(pages)
    student, mark = next(iter(pages[first].marks.items()))
    pages[second].marks[student] = mark


def double_one_and_lose_one(pages: Page) -> None:
    double_a_mark(pages)
    lose_a_mark_of_another(pages)


def lose_a_mark_of_another(pages: Page) -> None:
    page = pages[of_day(pages)[1]]
    del page.marks[next(iter(page.marks))]


def move_by_a_day(pages: Page) -> None:
    later = {key._replace(school_day=DAYS[DAYS.index(key.school_day) + 1]): key for key in of_day(pages)}
    for there, here in later.items():
        pages[here], pages[there] = pages[there], pages[here]


def make_an_absence_a_presence(pages: Page) -> None:
    page = next(pages[key] for key in of_day(pages) if any(mark.is_missed for mark in pages[key].marks.values()))
    student = next(student for student, mark in page.marks.items() if mark.is_missed)
    page.marks[student] = Mark(page.marks[student].version, 1)


async def test_a_healthy_state_agrees_with_what_was_sent(audit: Callable[[], Awaitable[list[Found]]]) -> None:
    counted = metrics.DAYS.labels(DISTRICT)._value.get()
    assert await audit() == []
    assert metrics.DAYS.labels(DISTRICT)._value.get() == counted + len(DAYS)
    assert metrics.WRONG.labels(DISTRICT)._value.get() == 0


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose_a_mark, {"lost": 1}),
        (lose_a_day, {"lost": len(STUDENTS)}),
        (swap_a_child, {"lost": 1, "unknown": 1}),
        (double_a_mark, {"doubled": 1}),
        (double_one_and_lose_one, {"lost": 1, "doubled": 1}),
        (make_an_absence_a_presence, {"other": 1}),
    ],
)
async def test_each_seeded_fault_is_found(
    stack: Stack, audit: Callable[[], Awaitable[list[Found]]], spoil: Callable[[Page], None], expected: dict[str, int]
) -> None:
    mend = await seeded(stack, spoil)
    try:
        (found,) = await audit()
        assert (found.day.school, found.day.day) == (SCHOOL, SEEDED)
        assert {name: count for name, count in found.differs._asdict().items() if count} == expected
        assert metrics.WRONG.labels(DISTRICT)._value.get() == 1
    finally:
        await mend()
    assert await audit() == []


async def test_marks_moved_by_a_day_are_found_although_every_count_agrees(
    stack: Stack, audit: Callable[[], Awaitable[list[Found]]]
) -> None:
    mend = await seeded(stack, move_by_a_day)
    try:
        found = await audit()
        assert [each.day.day for each in found] == [SEEDED, DAYS[3]]
    finally:
        await mend()


async def test_a_day_off_by_one_in_the_register_alone_is_found(
    stack: Stack, audit: Callable[[], Awaitable[list[Found]]]
) -> None:
    """The marks are right, and what flags go by is not."""
    async with stack.sql("flagging") as connection:
        before = await connection.fetch("SELECT page, missed FROM register_page")
        registers = Registers(connection)
        (school,) = await registers.open_schools([SchoolYear(DISTRICT, SCHOOL, 2026)])
        await registers.open_whole([school])
        for page in school.pages.values():
            page.missed = [days << 1 for days in page.missed]
            page.is_changed = True
        await registers.save()
        try:
            found = await audit()
            assert found
            assert all(each.registers and not each.differs for each in found)
        finally:
            for row in before:
                await connection.execute("UPDATE register_page SET missed = $2 WHERE page = $1", *row)
    assert await audit() == []


async def test_the_auditors_login_reads_what_is_kept_of_marks_and_nothing_else(stack: Stack) -> None:
    connection: Any = await asyncpg.connect(await provision_auditor(stack.database.address))
    try:
        assert await connection.fetchval("SELECT count(*) FROM flagging.roll_page") > 0
        for forbidden in ("SELECT count(*) FROM ingest.landed_count", "DELETE FROM flagging.roll_page"):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(forbidden)
    finally:
        await connection.close()


async def test_whoever_puts_the_tables_there_the_auditor_reads_them(
    stack: Stack, audit: Callable[[], Awaitable[list[Found]]], tmp_path: Path
) -> None:
    """A restore and a rebuild make another schema of the name: without rights in it nothing is recounted any more."""
    url, file = stack.database.address, tmp_path / "flagging.dump"
    dump_schema(url, "flagging", file)
    stack.processes["flagging"].stop()
    await restore_schema(url, "flagging", file)
    assert await audit() == []
    assert await auditor_may_read(url)
    admin: Any = await asyncpg.connect(url)
    try:
        owner = roles_of("flagging", await admin.fetchval("SELECT current_database()")).owner
        await admin.execute(f"CREATE SCHEMA flagging_next AUTHORIZATION {owner}")  # as a rebuild does
        auditor = roles_of("auditor", await admin.fetchval("SELECT current_database()")).login
        assert await admin.fetchval("SELECT has_schema_privilege($1, 'flagging_next', 'USAGE')", auditor)
        await admin.execute("DROP SCHEMA flagging_next")

        # A cluster that was lost whole has no such login yet, and the file tells of it.
        await admin.execute(f"DROP OWNED BY {auditor}")
        await admin.execute(f"DROP ROLE {auditor}")
        await restore_schema(url, "flagging", file)
        assert not await auditor_may_read(url)
    finally:
        await admin.close()
    stack.processes["flagging"].start()
    assert await (await an_auditor(stack)).recount(DISTRICT, seed=bytes(16)) == []


async def test_a_landing_topic_made_anew_accuses_nobody_and_still_tells_what_is_lost(
    stack: Stack, audit: Callable[[], Awaitable[list[Found]]]
) -> None:
    """The last one: the days before stood on the former log alone."""
    topic, _ = landing_topics(DISTRICT)
    await make_anew(stack, topic)
    # Where the former log had what went back, this one has marks: as many records, none of them bad.
    again = [*marks(students=STUDENTS, days=range(5), seed=5, feed="full", version=9)]
    await stack.land(DISTRICT, again)

    async def is_told() -> bool:
        async with stack.sql("ingest") as connection:
            return bool(await connection.fetchval("SELECT true FROM stopped_partition WHERE topic = $1", topic))

    await eventually(is_told, "the topic is another")
    places = (stack.database.address, stack.kafka)
    await set_position(*places, topic=topic, partition=0, to="start", services=["ingest"])
    await stack.settled()
    assert await audit() == []

    mend = await seeded(stack, lose_a_mark)
    try:
        (found,) = await audit()
        assert (found.day.day, found.differs.lost) == (SEEDED, 1)
    finally:
        await mend()

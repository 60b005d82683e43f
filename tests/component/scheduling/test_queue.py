"""The queue as the desk reads it: tabs that count, filters, pages that don't shift, families found by name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.runtime.roles import enter_for_people
from services.scheduling.store import queue
from services.scheduling.store.queue import Cursor, View
from tests.component.scheduling.waiting import absences, request_of, today, waiting_families
from tests.component.visit_events import World, contact

HARTFORD = View(districts=("hartford",))


async def read(world: World, view: View = HARTFORD, **more: Any) -> list[queue.Queued]:
    async with world.pool.acquire() as connection:
        return await queue.read_queue(connection, view, today=today(), as_of=datetime.now(UTC), **more)


async def counted(world: World, view: View = HARTFORD) -> queue.Counts:
    async with world.pool.acquire() as connection:
        return await queue.count_by_stage(connection, view, today=today(), as_of=datetime.now(UTC))


async def found(world: World, words: str, districts: tuple[str, ...] = ("hartford",)) -> list[queue.Queued]:
    async with world.pool.acquire() as connection, connection.transaction():
        await enter_for_people(connection, ",".join(districts))
        return await queue.find_families(connection, words=words, districts=districts)


async def set_of(world: World, number: int, columns: str, *values: Any) -> None:
    await world.pool.execute(f"UPDATE request SET {columns} WHERE household_key = $1", request_of(number), *values)


@asynccontextmanager
async def heard_of_changes(world: World) -> AsyncIterator[tuple[Any, list[str]]]:
    """A connection that listens as the pages' streams do, and what it has heard."""
    told: list[str] = []

    def hear(*heard: object) -> None:
        told.append(str(heard[3]))

    async with world.pool.acquire() as listener:
        channel = f"{await listener.fetchval('SELECT current_schema()')}_changes"
        await listener.add_listener(channel, hear)
        yield listener, told
        await listener.remove_listener(channel, hear)


async def test_promises_come_first_then_points_then_the_longest_wait(world: World) -> None:
    await waiting_families(world.deliver)
    await set_of(world, 4, "pinned = true")
    rows = await read(world)

    assert rows[0].household_key == request_of(4)
    points = [row.points for row in rows[1:]]
    assert points == sorted(points, reverse=True)
    assert [row.order for row in rows] == sorted(row.order for row in rows)


async def test_pages_follow_each_other_without_gap_or_repeat_whatever_is_added_before(world: World) -> None:
    await waiting_families(world.deliver, 24)
    whole = [row.request_id for row in await read(world)]
    seen: list[UUID] = []
    after: Cursor | None = None
    while page := await read(world, after=after, limit=7):
        seen += [row.request_id for row in page]
        last = page[-1]
        after = Cursor(pinned=last.pinned, points=last.points, opened_at=last.opened_at, request_id=last.request_id)
        await world.deliver("absence-flags", absences(5000 + len(seen), missed=20, household_number=5000 + len(seen)))
    assert seen == whole


async def test_each_tab_counts_what_it_shows_under_the_filters(world: World) -> None:
    await waiting_families(world.deliver)
    await set_of(world, 1, "stage = 'contacting'")
    await set_of(world, 2, "stage = 'closed', closed_because = 'moved'")
    counts = await counted(world)
    assert (counts.by_stage, counts.closed, counts.open) == ({"new": 6, "contacting": 1}, 1, 7)

    for view in (
        View(districts=("hartford",), language="es"),
        View(districts=("hartford",), school="H02"),
        View(districts=("hartford",), grade_band="3-5"),
        View(districts=("hartford",), interpreter=True),
        View(districts=("hartford",), owner="nobody"),
    ):
        assert (await counted(world, view)).open == len(await read(world, view)), view


@pytest.mark.parametrize(
    ("view", "families"),
    [
        ({"language": "es"}, {0, 7}),
        ({"language": "pl", "interpreter": True}, {2}),
        ({"interpreter": True}, {2, 6}),
        ({"school": "H01"}, {0, 2, 4, 6}),
        ({"grade_band": "9-12"}, {1, 6}),
        ({"grade_band": "pk-2"}, {2, 5}),
        ({"language": "es", "grade_band": "3-5", "school": "H02"}, {7}),
        ({"language": "vi"}, set()),
    ],
)
async def test_filters_take_what_they_say(world: World, view: dict[str, Any], families: set[int]) -> None:
    await waiting_families(world.deliver)
    rows = await read(world, View(districts=("hartford",), **view))
    assert {row.household_key for row in rows} == {request_of(number) for number in families}


async def test_age_owner_and_promise_are_views_too(world: World) -> None:
    await waiting_families(world.deliver)
    day, until = today(), datetime.now(UTC) + timedelta(minutes=9)
    await set_of(world, 0, "due_on = $2", day - timedelta(days=1))
    await set_of(world, 1, "due_on = $2", day)
    await set_of(world, 2, "due_on = $2, contact_again_on = $3", day - timedelta(days=9), day + timedelta(days=9))
    await set_of(world, 3, "claimed_by = 'ben', claimed_until = $2", until)
    await set_of(world, 4, "claimed_by = 'ben', claimed_until = $2", until - timedelta(hours=1))
    await set_of(world, 5, "pinned = true")

    async def families(**view: Any) -> set[UUID]:
        return {row.household_key for row in await read(world, View(districts=("hartford",), **view))}

    assert await families(age="overdue") == {request_of(0)}
    assert await families(age="today") == {request_of(1)}
    assert await families(age="paused") == {request_of(2)}
    assert await families(age="within") == {request_of(number) for number in (3, 4, 5, 6, 7)}
    assert request_of(4) in await families(owner="nobody"), "a lapsed lease holds nothing"
    assert request_of(3) not in await families(owner="nobody")
    assert await families(promise=True) == {request_of(5)}


async def test_another_district_sees_and_counts_nothing(world: World) -> None:
    await waiting_families(world.deliver)
    danbury = View(districts=("danbury",))
    assert await read(world, danbury) == []
    assert (await counted(world, danbury)).open == 0
    assert await found(world, "Delgado", ("danbury",)) == []
    (row,) = (await read(world))[:1]
    async with world.pool.acquire() as connection:
        assert await queue.read_row(connection, request_id=row.request_id, districts=("danbury",)) is None
        assert await queue.version_of(connection, request_id=row.request_id, districts=("danbury",)) is None
    assert len(await read(world, View(districts=None))) == 8, "who sees everything sees it"


@pytest.mark.parametrize(
    ("words", "family"),
    [
        ("Delgado", 0),
        ("delgdo", 0),
        ("mia delgado", 0),
        ("Wisniewska", 2),
        ("wisnievska", 2),
        ("etienne", 3),
        ("Oneill", 5),
        ("rodrigues", 7),
        ("860 555 0004", 4),
        ("0004", 4),
    ],
)
async def test_a_family_is_found_however_its_name_is_spelled(world: World, words: str, family: int) -> None:
    await waiting_families(world.deliver)
    rows = await found(world, words)
    assert rows[0].household_key == request_of(family)
    assert rows[0].names


async def test_the_reference_finds_one_request(world: World) -> None:
    await waiting_families(world.deliver)
    row = (await read(world))[3]
    assert [each.request_id for each in await found(world, row.reference.upper())] == [row.request_id]


async def test_the_search_holds_to_the_scopes_of_its_transaction_whatever_it_is_asked_for(world: World) -> None:
    """It runs as the owner of the rows, whom no rule bounds: its own one is tried, past every other."""
    await waiting_families(world.deliver)
    row = (await read(world))[3]
    searches = (
        ("SELECT count(*) FROM households_called($1, 9)", "Delgado"),
        ("SELECT count(*) FROM households_of_digits($1)", "8605550004"),
        ("SELECT count(*) FROM households_of_reference($1)", row.reference),
    )
    async with world.pool.acquire() as connection, connection.transaction():
        for scopes, is_theirs in (("hartford", True), ("danbury,hartford", True), ("*", True),
                                  ("danbury", False), ("hartfor", False), ("", False)):  # fmt: skip
            await enter_for_people(connection, scopes)
            for statement, sought in searches:
                assert bool(await connection.fetchval(statement, sought)) is is_theirs, (scopes, statement)


async def test_nothing_is_found_for_what_is_no_name(world: World) -> None:
    await waiting_families(world.deliver)
    for words in ("zzzz qqqq", "%", "_", "'; DROP TABLE request; --", "<script>", "\\", "0000000000"):
        assert await found(world, words) == [], words


async def test_a_household_without_contact_data_waits_like_any_other(world: World) -> None:
    await world.deliver("absence-flags", absences(1, missed=9, household_number=77))
    (row,) = await read(world)
    assert (row.language, row.interpreter_needed, row.grades) == (None, False, ("3",))
    await world.deliver("household-contacts", contact(77, language="ht"))
    assert [each.language for each in await read(world, View(districts=("hartford",), language="ht"))] == ["ht"]


async def test_every_new_version_is_told_and_a_new_price_is_not(world: World) -> None:
    async with heard_of_changes(world) as (listener, told):
        await world.deliver("absence-flags", absences(1, missed=9, household_number=1))
        row = await world.pool.fetchrow("SELECT request_id, version FROM request")
        assert row is not None
        await world.pool.execute("UPDATE request SET waiting_points = waiting_points + 5")
        await world.pool.execute("UPDATE request SET version = version + 1")
        # What was sent before this answer has arrived before it.
        await listener.fetchval("SELECT 1")
    key = row["request_id"]
    assert [line for line in told if line.startswith(str(key))][-1] == f"{key} {row['version'] + 1} hartford"
    assert len(told) == 2


async def test_a_batch_of_thousands_says_only_look_again(world: World) -> None:
    async with heard_of_changes(world) as (listener, told):
        await world.deliver("absence-flags", *(absences(n, missed=9, household_number=n) for n in range(1, 302)))
        await listener.fetchval("SELECT 1")
    assert told == ["*"]

"""A simulated state whose visits have a known effect, told as events: what the projections then say it is."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from services.reporting.reports import published
from services.reporting.rules.effect import Panel, effect_by_month, month_number, still_chronically_absent
from services.reporting.rules.effect_tables import effect_shown, effect_tables, flagged_students, still_shown
from services.reporting.rules.spans import span_until_cut_off
from services.reporting.rules.tables import STATE
from services.reporting.store import effect_queries
from tests.component.reporting.conftest import ReportingWorld
from tests.component.reporting.planted_events import month, told
from tests.component.visit_events import flag
from tests.delivering import transactions
from tests.unit.reporting.simulated_state import simulate
from tests.zones import HERE

STATE_OF_SEED = simulate(3, students=2500)
BATCH = 2000


@pytest.fixture
def panel() -> Panel:
    return STATE_OF_SEED.panel


async def deliver_all(world: ReportingWorld, panel: Panel) -> None:
    for topic, happened in told(panel).items():
        for start in range(0, len(happened), BATCH):
            await world.deliver(topic, *happened[start : start + BATCH])


async def test_the_projections_recover_the_planted_effect(world: ReportingWorld, panel: Panel) -> None:
    await deliver_all(world, panel)
    span = span_until_cut_off(date(2026, 6, 30), HERE)
    async with world.pool.acquire() as connection:
        rows = await effect_queries.flagged_students(
            connection, until=span.until, end_day=span.end_day, time_zone=HERE.key
        )

    projected = flagged_students(rows)
    tables = effect_tables(projected, school_year=span.school_year, as_of=span.until, cut_off=None)
    for found, expected in zip(effect_by_month(projected.panel), effect_by_month(panel), strict=True):
        assert (found.students, found.compared) == (expected.students, expected.compared)
        assert (found.effect, found.standard_error, found.naive) == pytest.approx(
            (expected.effect, expected.standard_error, expected.naive)
        )
    for each in effect_by_month(projected.panel)[1:5]:
        assert each.low is not None
        assert each.high is not None
        assert each.naive is not None
        assert each.low <= STATE_OF_SEED.truth[each.months_since] <= each.high < each.naive
    assert still_chronically_absent(projected.panel) == still_chronically_absent(panel)
    assert sorted({*projected.band.tolist()}) == ["9-12", "K-5"]

    month_after = next(line for line in tables["effect"].lines if line.keys == (STATE, "1"))
    assert month_after.numbers == tuple(effect_shown(effect_by_month(panel)[1]).values())
    (state_line,) = (line for line in tables["still-chronic"].lines if line.keys == (STATE,))
    assert state_line.numbers == tuple(still_shown(still_chronically_absent(panel)).values())


async def test_up_to_a_cut_off_later_visits_and_months_are_unknown(world: ReportingWorld, panel: Panel) -> None:
    await deliver_all(world, panel)
    span = span_until_cut_off(date(2026, 1, 31), HERE)
    january = month_number(year=2026, month=1)
    async with world.pool.acquire() as connection:
        rows = await effect_queries.flagged_students(
            connection, until=span.until, end_day=span.end_day, time_zone=HERE.key
        )
    assert rows
    assert max(row["flag_month"] for row in rows) == january
    assert max(row["visit_month"] for row in rows if row["visit_month"] is not None) == january
    assert {max(row["months"]) for row in rows} == {january}


async def test_a_flag_counts_from_its_first_day_whatever_came_after(world: ReportingWorld) -> None:
    levels = ((1, "at_risk", 3), (2, "none", 20), (3, "chronically_absent", 12))
    flags = [flag(1, version=number, level=level, as_of=date(2025, 11, day)) for number, level, day in levels]
    await world.deliver("absence-flags", *reversed(flags))
    await world.deliver("student-months", month(1, date(2025, 10, 1), 20, 2))
    span = span_until_cut_off(date(2025, 11, 30), HERE)
    async with world.pool.acquire() as connection:
        (row,) = await effect_queries.flagged_students(
            connection, until=span.until, end_day=span.end_day, time_zone=HERE.key
        )
        cleared_only = await world.pool.fetchval("SELECT first_flagged_on FROM flag")
    assert row["flag_month"] == month_number(year=2025, month=11)
    assert cleared_only == date(2025, 11, 3)
    assert (row["visit_month"], row["months"], row["days_absent"]) == (None, [24309], [2])


async def test_who_is_told_late_was_flagged_in_the_month_in_which_the_line_was_reached(world: ReportingWorld) -> None:
    reached = date(2025, 12, 12)
    by_level = flag(1, as_of=date(2026, 3, 20), first_reached=reached)
    by_any = flag(1, version=2, as_of=date(2026, 3, 20), first_reached=reached, first_flagged=date(2025, 11, 3))
    for told_late, expected in ((by_level, reached), (by_any, date(2025, 11, 3))):
        await world.deliver("flags", told_late)
        assert await world.pool.fetchval("SELECT first_flagged_on FROM flag") == expected


async def test_a_release_may_read_longer_than_a_batch_may(world: ReportingWorld) -> None:
    span = span_until_cut_off(date(2026, 1, 31), HERE)
    pool: Any = world.pool
    hurried = await asyncpg.connect(*pool._connect_args, command_timeout=0.2)
    async with world.pool.acquire() as other:
        await other.execute("BEGIN; LOCK TABLE student_month")
        held = asyncio.create_task(other.execute("SELECT pg_sleep(0.6); COMMIT"))
        try:
            assert (
                await effect_queries.flagged_students(
                    hurried, until=span.until, end_day=span.end_day, time_zone=HERE.key
                )
                == []
            )
            await held
        finally:
            await hurried.close()


async def test_the_effect_is_published_once_and_read_as_json_csv_page_and_chart(
    world: ReportingWorld, panel: Panel
) -> None:
    assert (await world.ask("/v1/effect", "state")).status_code == 404
    await deliver_all(world, panel)
    assert await published.publish(transactions(world.pool), now=datetime(2026, 7, 16, tzinfo=UTC), zone=HERE)

    told_to_state = await world.told("/v1/effect", "state")
    assert [*told_to_state] == ["effect", "effect-by-band", "still-chronic", "still-chronic-by-band"]
    assert told_to_state["effect"]["cut_off"] == "2026-06-30"
    naive = next(each for each in told_to_state["effect"]["measures"] if each["name"] == "naive")
    assert "includes natural recovery" in naive["title"]
    month_after = next(each for each in told_to_state["effect"]["lines"] if each["months_since"] == "1")
    assert month_after["effect_low"] < month_after["effect"] < month_after["effect_high"] < month_after["naive"]
    assert {each["band"] for each in told_to_state["effect-by-band"]["lines"]} == {"K-5", "9-12"}

    csv = (await world.ask("/v1/effect.csv?cut_off=2026-06-30", "state")).text.splitlines()
    assert csv[0].startswith(
        "district,months_since,effect_students,effect_compared,effect,effect_low,effect_high,naive"
    )
    assert len(csv) == 1 + len(told_to_state["effect"]["lines"])

    page = (await world.ask("/state", "state")).text
    assert page.index('id="effect"') < page.index('id="effect-method"') < page.index('id="still-chronic"')
    for name in ("effect", "effect-by-band", "still-chronic"):
        chart = await world.ask(f"/charts/published/{name}.svg", "state")
        assert (chart.status_code, chart.headers["content-type"]) == (200, "image/svg+xml")
    assert "natural recovery" in (await world.ask("/charts/published/effect.svg?width=narrow", "state")).text


@pytest.mark.parametrize("path", ["/v1/effect", "/v1/effect.csv"])
async def test_the_effect_is_for_those_who_signed_in(world: ReportingWorld, path: str) -> None:
    assert (await world.http.get(path)).status_code == 401
    assert (await world.ask(f"{path}?cut_off=yesterday", "state")).status_code == 422

"""A desk that was at work before requests had a life: its rows come along."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from deploy.local import provision
from services.runtime.migrate import migrate
from services.runtime.settings import Settings
from services.runtime.web.context import Context
from services.scheduling.app import service
from services.scheduling.handlers.pricing import price_waiting
from tests.component.visit_events import household, student
from tests.delivering import RecordingPublisher

OPENED = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


async def test_requests_of_the_first_schema_are_dated_told_and_priced(fresh_database: str, tmp_path: Path) -> None:
    url = (await provision(fresh_database, ["scheduling"]))["scheduling"]
    first = tmp_path / "scheduling" / "migrations"
    first.mkdir(parents=True)
    shutil.copy(service.migrations / "0001_scheduling.sql", first)
    async with asyncpg.create_pool(url, min_size=1, max_size=3) as pool:
        async with pool.acquire() as connection:
            await migrate(connection, first)
            await connection.execute(
                """
                INSERT INTO flagged_student (student_key, household_key, district, school, level, days_absent,
                                             days_enrolled, school_year, version)
                VALUES ($1, $2, 'hartford', 'H01', 'at_risk', 3, 30, 2026, 1)
                """,
                student(1),
                household(1),
            )
            await connection.execute(
                "INSERT INTO request (household_key, district, school, opened_at, version, stage)"
                " VALUES ($1, 'hartford', 'H01', $2, 3, 'contacting')",
                household(1),
                OPENED,
            )
            await connection.execute(
                "INSERT INTO contact_attempt (request_id, request_version, answer, made_by, made_at)"
                " SELECT request_id, 3, 'not_reached', 'ana', $1 FROM request",
                OPENED,
            )
            await migrate(connection, service.migrations)
        await price_waiting(Context(Settings.model_construct(), pool, RecordingPublisher()))  # type: ignore[arg-type]

        (request,) = await pool.fetch("SELECT * FROM request")
        assert (request["aged_from"], request["base_points"], request["rule_version"]) == (OPENED.date(), 100, 1)
        history = await pool.fetch("SELECT version, what, to_stage FROM request_history")
        assert [tuple(row) for row in history] == [(3, "opened", "contacting")]
        assert await pool.fetchval("SELECT way FROM contact_attempt") == "call"

"""Logs written before efforts and pay were known are kept, read and paid for."""

import shutil
from pathlib import Path
from uuid import UUID

import asyncpg

from deploy.local import provision
from services.runtime.migrate import migrate
from services.visitlog.app import FOLDER
from services.visitlog.rules.form import Log

VISIT, LOG = UUID(int=1), UUID(int=2)
BODY = (
    '{"ended_at": "2026-10-05T15:40:00Z", "follow_up": null, "outcome": "took_place", "pair": ["ana", "ben"],'
    ' "referrals": [], "started_at": "2026-10-05T15:00:00Z", "visit_id": "00000000-0000-0000-0000-000000000001"}'
)


async def test_a_log_of_before_has_its_efforts(fresh_database: str, tmp_path: Path) -> None:
    url = (await provision(fresh_database, ["visitlog"]))["visitlog"]
    first = tmp_path / "visitlog" / "migrations"
    first.mkdir(parents=True)
    shutil.copy(FOLDER / "migrations" / "0001_visitlog.sql", first)
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection, first)
        await connection.execute(
            "INSERT INTO visit (visit_id, request_id, household_key, district, cancelled, request_version)"
            " VALUES ($1, $1, $1, 'hartford', false, 1)",
            VISIT,
        )
        await connection.execute(
            "INSERT INTO visit_log (log_id, visit_id, outcome, started_at, ended_at, pair, body, logged_by, logged_at)"
            " VALUES ($1, $2, 'took_place', '2026-10-05 15:00Z', '2026-10-05 15:40Z', ARRAY['ana', 'ben'], $3, 'ana',"
            " '2026-10-05 20:00Z')",
            LOG,
            VISIT,
            BODY,
        )

        await migrate(connection, FOLDER / "migrations")

        efforts = await connection.fetch("SELECT visitor_id, minutes FROM effort ORDER BY visitor_id")
        assert [tuple(row) for row in efforts] == [("ana", 40), ("ben", 40)]
        assert await connection.fetchval("SELECT written_at = logged_at FROM visit_log")
        # The phone that sends it again, hearing of no answer, is told "known": new fields make no log another one.
        standing = Log.model_validate_json(await connection.fetchval("SELECT body FROM visit_log"))
        assert standing.in_one_spelling() == Log.model_validate_json(BODY).in_one_spelling()
    finally:
        await connection.close()

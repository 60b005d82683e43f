"""Appointments from before there were bookings: the migration books what does not overlap, and nothing gets lost."""

import shutil
from pathlib import Path

import asyncpg

from deploy.local import provision
from services.runtime.migrate import migrate
from services.scheduling.app import service

_AGREED_BEFORE = """
    INSERT INTO visitor (visitor_id, district, leap101_valid_from, leap101_valid_until)
    SELECT name, 'hartford', '2026-01-01', '2027-12-31' FROM unnest(ARRAY['ana', 'ben', 'cem', 'dia']) AS name;
    INSERT INTO request (request_id, household_key, district, school, stage, opened_at)
    SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, gen_random_uuid(), 'hartford', 'H01', 'paired', now()
    FROM generate_series(1, 4) AS n;
    INSERT INTO visit (visit_id, request_id, state)
    SELECT request_id, request_id, CASE WHEN right(request_id::text, 1) = '4' THEN 'cancelled' ELSE 'scheduled' END
    FROM request;
    INSERT INTO appointment (visit_id, revision, starts_at, place, language, first_visitor, second_visitor, made_by,
                             made_at)
    SELECT ('00000000-0000-0000-0000-00000000000' || visit)::uuid, revision, starts_at::timestamptz, 'home', 'en', one,
           other, 'ana', '2026-09-01T12:00Z'
    FROM (VALUES (1, 1, '2026-12-01T15:00Z', 'ana', 'ben'),
                 (1, 2, '2026-12-01T20:00Z', 'ana', 'ben'),  -- moved: only this one stands
                 (2, 1, '2026-12-01T15:00Z', 'ana', 'cem'),  -- at the time that is free again
                 (3, 1, '2026-12-01T20:30Z', 'ben', 'dia'),  -- overlaps the first for ben
                 (4, 1, '2026-12-01T20:00Z', 'cem', 'dia'))  -- cancelled
        AS agreed (visit, revision, starts_at, one, other)
"""


async def test_what_was_agreed_is_booked_and_of_two_that_overlap_the_older_stands(
    fresh_database: str, tmp_path: Path
) -> None:
    before = tmp_path / "scheduling" / "migrations"
    before.mkdir(parents=True)
    for file in sorted(service.migrations.glob("0001_*.sql")):
        shutil.copy(file, before)
    connection = await asyncpg.connect((await provision(fresh_database, ["scheduling"]))["scheduling"])
    try:
        await migrate(connection, before)
        await connection.execute(_AGREED_BEFORE)
        await migrate(connection, service.migrations)

        rows = await connection.fetch("SELECT right(visit_id::text, 1) AS visit, visitor_id FROM booking ORDER BY 1, 2")
        assert [tuple(row) for row in rows] == [("1", "ana"), ("1", "ben"), ("2", "ana"), ("2", "cem"), ("3", "dia")]
        assert await connection.fetchval("SELECT count(*) FROM appointment") == 5
    finally:
        await connection.close()

"""From the oldest release to the newest with all that it kept; the release before beside the newest, and back to it."""

import asyncio
import urllib.request
from pathlib import Path
from uuid import UUID

import pytest

from contracts.services import SERVICES
from services.runtime.revision import known_in, revision_of
from tests.component.flagging.builders import student
from tests.component.runtime.test_databases_of_before import SERVICES as FOLDERS
from tests.component.runtime.test_databases_of_before import kept_in_flagging
from tests.pipeline.conclusions import assert_all_equals_the_oracle, assert_every_event_was_effective_once
from tests.pipeline.releases import (
    NoHistory,
    code_of_the_release_before,
    lay_out_oldest,
    migrate_by_job,
    start_before,
    without_a_way_back,
)
from tests.pipeline.schools import NOW, marks, roster
from tests.pipeline.stack import Stack, eventually, start_stack

DISTRICT, LONG_AGO = "hartford", "danbury"
STUDENTS = range(100, 130)
HOUSEHOLD, REQUEST, VISIT, LOG, RECEIPT = (UUID(int=number) for number in range(0xB1, 0xB6))

# A family of before, from the flag to the log, as each service's first tables kept it.
_SCHEDULING = f"""
INSERT INTO flagged_student (student_key, household_key, district, school, grade, level, days_absent, days_enrolled,
                             school_year, version)
VALUES ('{student(1)}', '{HOUSEHOLD}', '{LONG_AGO}', 'H01', '4', 'chronically_absent', 3, 26, 2026, 5);
INSERT INTO request (request_id, household_key, district, school, stage, version, claimed_by, claimed_until, opened_at)
VALUES ('{REQUEST}', '{HOUSEHOLD}', '{LONG_AGO}', 'H01', 'claimed', 2, 'ana', '2026-10-01T12:00Z', '2026-09-25T20:00Z');
INSERT INTO contact_attempt VALUES ('{REQUEST}', 2, 'later', '2026-10-05', 'ana', '2026-09-28T15:00Z');
INSERT INTO contact_disclosure VALUES ('{REQUEST}', 'ana', '2026-09-28T14:55Z');
"""
_VISITLOG = f"""
INSERT INTO visit VALUES ('{VISIT}', '{REQUEST}', '{HOUSEHOLD}', '{LONG_AGO}', false, '2026-09-29T20:00Z', 'home', 'en',
                          ARRAY['v1', 'v2'], 4);
INSERT INTO visit_log VALUES ('{LOG}', '{VISIT}', 'took_place', '2026-09-29T20:00Z', '2026-09-29T20:45Z',
                              ARRAY['v1', 'v2'], '{{}}', 'v1', '2026-09-29T22:00Z');
INSERT INTO amendment VALUES ('{LOG}', 1, 'both were there', 'v2', '2026-09-30T13:00Z');
"""
# Of a school that flagging knows nothing of: what it tells anew stands over what it told then.
_REPORTING = f"""
INSERT INTO flag VALUES ('{student(2)}', 2026, '{HOUSEHOLD}', '{LONG_AGO}', 'H09', 'chronically_absent', true, 5,
                         '2026-09-25T20:00Z');
INSERT INTO request (request_id, household_key, district, requested_version, agreed_version, last_event_at)
VALUES ('{REQUEST}', '{HOUSEHOLD}', '{LONG_AGO}', 1, 3, '2026-09-28T15:00Z');
INSERT INTO visit VALUES ('{VISIT}', '{HOUSEHOLD}', '{LONG_AGO}', true, '2026-09-29T22:00Z');
INSERT INTO student_month VALUES ('{student(2)}', '{LONG_AGO}', 'H09', '2026-09-01', '4', 21, 3, 5);
INSERT INTO school_day VALUES ('{LONG_AGO}', 'H09', '2026-09-25', 0, 20, 2, 5),
                              ('{LONG_AGO}', 'H09', '2026-09-25', 1, 5, 1, 5);
"""
_INGEST = f"""
INSERT INTO receipt VALUES ('{LONG_AGO}', '{RECEIPT}', 3, 2, 0, 1, '2026-09-01T12:00Z');
INSERT INTO rejected_row VALUES ('{LONG_AGO}', '{RECEIPT}', 3, 'unknown_category', 'category');
"""
# The rest of flagging's is what its own tests keep.
_ENROLLED = f"""
INSERT INTO enrollment (student_key, stint, district, lane, school, household_key, grade, entry_date, exit_day_counts,
                        withdrawn, source_version)
VALUES ('{student(1)}', 'stint-1', '{LONG_AGO}', lane_of('{student(1)}'), 'H01', '{HOUSEHOLD}', '4', '2026-08-31',
        false, false, 1);
"""
_BEFORE = {
    "flagging": _ENROLLED,
    "scheduling": _SCHEDULING,
    "visitlog": _VISITLOG,
    "reporting": _REPORTING,
    "ingest": _INGEST,
}

# The same by today's tables.
_STANDS = {
    "scheduling": f"""
        SELECT f.level, f.days_absent, r.stage, r.version, a.answer, count(*) FROM flagged_student f
        JOIN request r USING (household_key) JOIN contact_attempt a USING (request_id)
        JOIN contact_disclosure d USING (request_id) WHERE f.district = '{LONG_AGO}' GROUP BY 1, 2, 3, 4, 5""",
    "visitlog": f"""
        SELECT outcome, note, sum(effort.minutes), count(*) FROM visit_log
        JOIN visit USING (visit_id) JOIN amendment USING (log_id) JOIN effort USING (log_id)
        WHERE district = '{LONG_AGO}' GROUP BY 1, 2""",
    "reporting": f"""
        SELECT level, completed, agreed_version, m.days_absent, t.students_counted, t.students_absent
        FROM flag f JOIN request USING (household_key, district) JOIN visit USING (household_key, district)
        JOIN student_month m USING (student_key, district, school) JOIN told_day t USING (district, school)
        WHERE district = '{LONG_AGO}' AND school = 'H09'""",
    "ingest": f"""
        SELECT accepted, rejected, reason FROM receipt JOIN rejected_row USING (district, receipt)
        WHERE district = '{LONG_AGO}'""",
    "flagging": f"""
        SELECT level, days_absent, days_enrolled, version >= 5 FROM flag
        WHERE district = '{LONG_AGO}' AND student_key = '{student(1)}'""",
}
_STOOD = {
    "scheduling": ("chronically_absent", 3, "claimed", 2, "later", 1),
    "visitlog": ("took_place", "both were there", 90, 2),
    "reporting": ("chronically_absent", True, 3, 3, 25, 3),
    "ingest": (2, 1, "unknown_category"),
    "flagging": (2, 3, 26, True),
}


async def test_the_oldest_release_becomes_the_newest_with_all_that_it_kept(tmp_path: Path) -> None:
    stack = await start_stack(tmp_path, (DISTRICT, LONG_AGO), ())
    try:
        await lay_out_oldest(stack)
        for service, rows in _BEFORE.items():
            async with stack.sql(service) as connection:
                await connection.execute(rows)
        async with stack.sql("flagging") as connection:
            await kept_in_flagging(connection, LONG_AGO, household=HOUSEHOLD)

        stack.it_is(NOW)
        await asyncio.gather(*(stack.start(name) for name in SERVICES))

        await eventually(lambda: _is_carried_over(stack), "every register is made from what was kept")

        for service in SERVICES:
            said = await asyncio.to_thread(_readiness, stack, service)
            assert said == f"ok\nschema {revision_of(known_in(FOLDERS / service / 'migrations').files)}"
            async with stack.sql(service) as connection:
                assert [tuple(row) for row in await connection.fetch(_STANDS[service])] == [_STOOD[service]]

        await _a_few_weeks(stack, range(30))
        async with stack.sql("scheduling") as connection:
            assert await connection.fetchval("SELECT count(*) FROM request WHERE district = $1", DISTRICT) > 0
    finally:
        await stack.stop()


async def test_the_release_before_is_taken_over_goes_on_beside_the_newest_and_comes_back(tmp_path: Path) -> None:
    try:
        code = code_of_the_release_before(tmp_path)
    except NoHistory as reason:
        pytest.skip(f"the code of the release before can't be had here: {reason}")
    # Open: the release before can't sign in.
    stack = await start_stack(tmp_path, (DISTRICT,), (), secure=False)
    try:
        stack.it_is(NOW)
        await _before(stack, code, *SERVICES)
        await _a_few_weeks(stack, range(10))
        # What adds comes first. Then readers first, and each service while the others go on.
        await asyncio.gather(*(migrate_by_job(stack, name, "pre") for name in SERVICES))
        for name in ("reporting", "scheduling", "visitlog", "flagging", "ingest"):
            await asyncio.to_thread(stack.processes[name].stop)
            await stack.start(name, LEAP_MIGRATIONS="by-job")
        await _a_few_weeks(stack, range(10, 20))
        await assert_all_equals_the_oracle(stack)

        # Readers of before on the newest schema, with the events of today's writers.
        await _before(stack, code, "scheduling", "visitlog", "reporting")
        await _a_few_weeks(stack, range(20, 30))
        await assert_all_equals_the_oracle(stack)
        await assert_every_event_was_effective_once(stack)

        # And back, as far as there is a way.
        await _before(stack, code, *(name for name in ("ingest", "flagging") if name not in without_a_way_back(code)))
        await _a_few_weeks(stack, range(30, 40))
        await assert_all_equals_the_oracle(stack)
        await assert_every_event_was_effective_once(stack)

        # What takes away comes once nobody runs the release before, and finds nothing in its way.
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in stack.processes.values()))
        await asyncio.gather(*(migrate_by_job(stack, name, "post") for name in SERVICES))
    finally:
        await stack.stop()


async def _is_carried_over(stack: Stack) -> bool:
    async with stack.sql("flagging") as connection:
        return not await connection.fetchval("SELECT count(*) FROM school_year WHERE is_stale")


async def _a_few_weeks(stack: Stack, days: range) -> None:
    if not days.start:
        await stack.land(DISTRICT, roster(DISTRICT, students=STUDENTS), roster=True)
    await stack.land(DISTRICT, marks(students=STUDENTS, days=days, seed=days.start))
    await stack.settled()


async def _before(stack: Stack, code: Path, *services: str) -> None:
    """Let the release before take these services over."""
    for process in [await asyncio.to_thread(start_before, stack, code, name) for name in services]:
        await asyncio.to_thread(process.wait_ready)


def _readiness(stack: Stack, service: str) -> str:
    with urllib.request.urlopen(f"{stack.processes[service].operations}/readyz", timeout=5) as answer:
        return str(answer.read().decode())


pytestmark = pytest.mark.asyncio(loop_scope="session")

"""What is kept of a household or a child, by service and kind, as counts: no name, and no number but how many."""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord

from contracts.topics import HOUSEHOLD_CONTACTS, PARTITIONS, landing_topics
from deploy.audit.logs import Logs
from deploy.local.dumps import FORMER
from services.runtime.broker_access import Broker
from services.runtime.delivery.publisher import partition_of

GOES, NUMBER = "goes", "stays as a number, or goes where figures are erased"
REJECTED = "attendance-rejected"


class Whom(NamedTuple):
    """Who it is about: the district's own numbers, and the keys that stand for them."""

    kind: str
    district: str
    numbers: Sequence[str]
    keys: Sequence[UUID]


class Line(NamedTuple):
    """So many rows or records of a kind, where they are kept, and what becomes of them."""

    where: str
    kind: str
    rows: int
    becomes: str


# $1: the keys. Each counts what stands there of them now.
_HOUSEHOLD: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "scheduling": (
        (
            "how to reach them, and what is searched",
            "SELECT count(*) FROM household_contact WHERE household_key = ANY ($1)",
            GOES,
        ),
        (
            "places where they were met",
            """SELECT count(*) FROM appointment JOIN visit USING (visit_id) JOIN request USING (request_id)
               WHERE household_key = ANY ($1) AND place_text IS NOT NULL""",
            GOES,
        ),
        (
            "tries, times and steps of requests",
            """WITH theirs AS (SELECT request_id FROM request WHERE household_key = ANY ($1))
               SELECT (SELECT count(*) FROM contact_attempt JOIN theirs USING (request_id))
                    + (SELECT count(*) FROM request_history JOIN theirs USING (request_id))
                    + (SELECT count(*) FROM offered_time JOIN theirs USING (request_id))""",
            NUMBER,
        ),
    ),
    "visitlog": (
        ("how to reach them", "SELECT count(*) FROM household_contact WHERE household_key = ANY ($1)", GOES),
        (
            "logs with words and notes",
            """SELECT count(*) FROM visit_log JOIN visit USING (visit_id)
               WHERE household_key = ANY ($1) AND wordless IS DISTINCT FROM 'forgotten'""",
            GOES,
        ),
        (
            "additions to logs",
            """SELECT count(*) FROM amendment JOIN visit_log USING (log_id) JOIN visit USING (visit_id)
               WHERE household_key = ANY ($1)""",
            GOES,
        ),
    ),
    "reporting": (
        (
            "rows of requests, visits and referrals",
            """SELECT (SELECT count(*) FROM request WHERE household_key = ANY ($1))
                    + (SELECT count(*) FROM visit_log WHERE household_key = ANY ($1))
                    + (SELECT count(*) FROM referral WHERE household_key = ANY ($1))""",
            NUMBER,
        ),
    ),
}
_REACHED = "SELECT count(*) FROM household_contact WHERE household_key = ANY ($1)"
_NAMED = "SELECT count(*) FROM household_contact WHERE EXISTS (SELECT FROM jsonb_array_elements(students) AS child" + (
    " WHERE (child ->> 'student_key')::uuid = ANY ($1))"
)
_STUDENT: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "scheduling": (
        ("the child's name in a household's data", _NAMED, GOES),
        ("flags with their days", "SELECT count(*) FROM flagged_student WHERE student_key = ANY ($1)", NUMBER),
    ),
    "visitlog": (("the child's name in a household's data", _NAMED, GOES),),
    "flagging": (
        (
            "enrolments, which end or never were",
            "SELECT count(*) FROM enrollment WHERE student_key = ANY ($1) AND NOT withdrawn AND"
            " (exit_date IS NULL OR exit_date > current_date)",
            GOES,
        ),
        ("flags with their days", "SELECT count(*) FROM flag WHERE student_key = ANY ($1)", NUMBER),
    ),
    "reporting": (("months and flags", "SELECT count(*) FROM student_month WHERE student_key = ANY ($1)", NUMBER),),
}


async def kept_of(whom: Whom, *, broker: Broker, admin_url: str) -> list[Line]:
    """Count what is kept of somebody in tables, landing logs, returned copies and contact data."""
    lines = []
    tables = _HOUSEHOLD if whom.kind == "household" else _STUDENT
    for service, questions in tables.items():
        connection = await asyncpg.connect(admin_url, server_settings={"search_path": service})
        try:
            for kind, statement, becomes in questions:
                rows = await connection.fetchval(statement, list(whom.keys))
                lines.append(Line(service, kind, int(rows), becomes))
        finally:
            await connection.close()
    lines.append(Line("ingest", "records set aside", await _dead_letters(whom, admin_url), GOES))
    lines += await _put_aside(whom, admin_url)
    return lines + await _in_topics(whom, broker)


async def _put_aside(whom: Whom, admin_url: str) -> list[Line]:
    """Count what the last restore put aside: tables that no service reads, until the next restore removes them."""
    lines = []
    for service in ("scheduling", "visitlog"):
        connection = await asyncpg.connect(admin_url, server_settings={"search_path": service + FORMER})
        try:
            if await connection.fetchval("SELECT to_regclass('household_contact') IS NOT NULL"):
                statement = _NAMED if whom.kind == "student" else _REACHED
                rows = await connection.fetchval(statement, list(whom.keys))
                lines.append(Line(service + FORMER, "how to reach them", int(rows), "stands: drop that schema by hand"))
        finally:
            await connection.close()
    return lines


def is_about(whom: Whom) -> Callable[[bytes | None], bool]:
    """Give what tells whether bytes hold one of the numbers, and not as a part of a longer one."""
    numbers = b"|".join(re.escape(each.removeprefix("state:").encode()) for each in whom.numbers)
    found = re.compile(rb"(?<![0-9A-Za-z])(?:" + numbers + rb")(?![0-9A-Za-z])")
    return lambda text: bool(text and found.search(text))


async def _dead_letters(whom: Whom, admin_url: str) -> int:
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "ingest"})
    try:
        rows = await connection.fetch(
            "SELECT value, key FROM dead_letter WHERE topic = ANY ($1::text[])", list(landing_topics(whom.district))
        )
    finally:
        await connection.close()
    holds = is_about(whom)
    return sum(1 for row in rows if holds(row[0]) or holds(row[1]))


async def _in_topics(whom: Whom, broker: Broker) -> list[Line]:
    counted = {"landing": 0, "returned": 0, "contacts": 0}
    holds, keys, texts = is_about(whom), {str(each).encode() for each in whom.keys}, [str(each) for each in whom.keys]
    standing: dict[bytes | None, bool] = {}

    def landed(record: ConsumerRecord) -> None:
        counted["landing"] += holds(record.value)

    def returned(record: ConsumerRecord) -> None:
        counted["returned"] += record.key == whom.district.encode() and holds(_original(record.value))

    def told(record: ConsumerRecord) -> None:
        if whom.kind == "household":
            standing[record.key] = record.key in keys and record.value is not None
        else:
            standing[record.key] = any(text.encode() in (record.value or b"") for text in texts)

    async with Logs(broker) as logs:
        landing = await logs.partitions(landing_topics(whom.district))
        await logs.read(await logs.begins(landing), landed)
        back = [each for each in await logs.partitions([REJECTED]) if each.partition == _lane(whom)]
        await logs.read(await logs.begins(back), returned)
        contacts = await logs.partitions([HOUSEHOLD_CONTACTS])
        await logs.read(await logs.begins(contacts), told)
    counted["contacts"] = sum(standing.values())
    return [
        Line("landing topics", "records with the number", counted["landing"], "cut, with all that was applied before"),
        Line(REJECTED, "copies with the number", counted["returned"], "cut, with what went back before"),
        Line(HOUSEHOLD_CONTACTS, "records that stand", counted["contacts"], "replaced now, cleaned within two days"),
    ]


def _lane(whom: Whom) -> int:
    return partition_of(whom.district, PARTITIONS)


def _original(value: bytes | None) -> bytes:
    try:
        told: Any = json.loads(value or b"{}")
        return base64.b64decode(told.get("original", ""))
    except (ValueError, AttributeError):
        return b""

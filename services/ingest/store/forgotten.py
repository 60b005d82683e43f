"""Who is forgotten, by pseudonym; which copies are still to be cleared; and where landing logs were cut."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.events import RetentionPolicy
from contracts.topics import landing_topics
from services.ingest.rules.forgetting import Memory, Remembered, memory_of
from services.runtime.database import Connection

HOUSEHOLD, STUDENT = "household", "student"


async def read_memories(connection: Connection, districts: Collection[str]) -> Mapping[str, Memory]:
    """Read what is remembered of these districts' households and students."""
    rows = await connection.fetch(
        "SELECT owner, kind, subject::text, version, again FROM forgotten WHERE owner = ANY ($1::text[])",
        sorted(districts),
    )
    found: dict[str, tuple[dict[str, Remembered], dict[str, Remembered]]] = {}
    for district, kind, subject, version, again in rows:
        of_kind = found.setdefault(district, ({}, {}))[0 if kind == HOUSEHOLD else 1]
        of_kind[subject] = Remembered(version, again)
    return {district: memory_of(*each) for district, each in found.items()}


async def figures_by_policy(connection: Connection, districts: Collection[str]) -> Mapping[str, str]:
    """Say what districts decided of the figures of those who are forgotten; who decided nothing is left out."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (district) district, retention::text FROM retention_policy
        WHERE district = ANY ($1::text[]) AND effective_from <= (clock_timestamp() AT TIME ZONE
            current_setting('leap.time_zone'))::date
        ORDER BY district, version DESC
        """,
        sorted(districts),
    )
    policies = [(row[0], RetentionPolicy.model_validate_json(row[1])) for row in rows]
    return {district: policy.forgotten_figures for district, policy in policies}


async def drop_dead_letters(connection: Connection, *, district: str, numbers: Iterable[str]) -> None:
    """Drop what was set aside of a district's landing logs and holds one of these numbers, whatever it was."""
    # Not as a part of a longer number. What can't be read may be of anybody: it is looked at as bytes.
    wanted = [re.compile(rb"(?<![0-9A-Za-z])" + re.escape(each.encode()) + rb"(?![0-9A-Za-z])") for each in numbers]
    rows = await connection.fetch(
        "SELECT topic, partition, record_offset, value, key FROM dead_letter WHERE topic = ANY ($1::text[])",
        list(landing_topics(district)),
    )
    gone = [
        tuple(row)[:3] for row in rows if any(each.search((row[3] or b"") + b" " + (row[4] or b"")) for each in wanted)
    ]
    await connection.executemany(
        "DELETE FROM dead_letter WHERE topic = $1 AND partition = $2 AND record_offset = $3", gone
    )


async def want_cut(connection: Connection, districts: Collection[str], *, rejected: bool) -> None:
    """Note that copies of what is forgotten stand in these districts' landing logs: they are cut by the timer.

    `rejected`: and what went back to these districts before.
    """
    await connection.execute(
        """
        INSERT INTO cut_wanted AS kept (district, since, rejected) SELECT district, clock_timestamp(), $2::boolean
        FROM unnest($1::text[]) AS district ORDER BY 1
        ON CONFLICT (district) DO UPDATE
        SET since = excluded.since, rejected = kept.rejected OR excluded.rejected
        """,
        sorted(districts),
        rejected,
    )


async def want_unnamed(connection: Connection, student_key: UUID, district: str) -> None:
    """Note that contact data that was told before may still name a child who is forgotten."""
    await connection.execute(
        "INSERT INTO unnaming_wanted (student_key, district) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        student_key,
        district,
    )


class Cut(NamedTuple):
    """A district's landing logs that may be cut: up to where each was applied, and which log of its name it is."""

    topic: str
    partition: int
    log: int
    before: int


class Wish(NamedTuple):
    """A district whose logs are to be cut, since when, and whether what went back to it is meant too."""

    district: str
    since: datetime
    rejected: bool


async def wanted_cuts(connection: Connection) -> list[Wish]:
    """List the districts whose logs are to be cut."""
    return [Wish(*row) for row in await connection.fetch("SELECT district, since, rejected FROM cut_wanted ORDER BY 2")]


async def cuttable(connection: Connection, district: str) -> list[Cut]:
    """Give up to where a district's landing logs had their effect; nothing while any of that waits to be told.

    What waits lies in these tables alone: were they lost, it would have to be read again.
    """
    rows = await connection.fetch(
        """
        SELECT p.topic, p.partition, max(b.log), p.next_offset
        FROM position p JOIN landing_book b USING (topic, partition)
        WHERE p.consumer_group = 'leap-ingest' AND p.topic = ANY ($1::text[]) AND p.next_offset > 0
          AND NOT EXISTS (SELECT FROM outbox)
          AND NOT EXISTS (SELECT FROM stopped_partition s
                          WHERE (s.consumer_group, s.topic, s.partition) = (p.consumer_group, p.topic, p.partition))
        GROUP BY p.topic, p.partition, p.next_offset ORDER BY p.topic
        """,
        list(landing_topics(district)),
    )
    return [Cut(*row) for row in rows]


async def keep_cut(connection: Connection, cut: Cut) -> None:
    """Remember where a log was cut."""
    await connection.execute(
        """
        INSERT INTO landing_cut AS kept (topic, partition, log, before) VALUES ($1, $2, $3, $4)
        ON CONFLICT (topic, partition) DO UPDATE
        SET before = CASE WHEN kept.log = excluded.log THEN greatest(kept.before, excluded.before)
                          ELSE excluded.before END,
            log = greatest(kept.log, excluded.log)
        WHERE excluded.log >= kept.log
        """,
        *cut,
    )


async def cut_is_done(connection: Connection, wish: Wish) -> None:
    """Strike the wish for a cut, unless there is a newer one."""
    await connection.execute("DELETE FROM cut_wanted WHERE district = $1 AND since = $2", wish.district, wish.since)


async def was_cut(connection: Connection, topic: str, partition: int, begin: int, end: int) -> bool:
    """Tell whether all that is missing at the beginning of a log was cut by us, after it had its effect."""
    return bool(
        await connection.fetchval(
            """
            SELECT before >= $4 FROM landing_cut c WHERE topic = $1 AND partition = $2 AND $3 < $4
              AND log = (SELECT max(log) FROM landing_book b WHERE (b.topic, b.partition) = (c.topic, c.partition))
            """,
            topic,
            partition,
            begin,
            end,
        )
    )


async def to_unname(connection: Connection) -> dict[UUID, str]:
    """Give the forgotten children whom contact data may still name, and their districts."""
    rows = await connection.fetch("SELECT student_key, district FROM unnaming_wanted")
    return {UUID(bytes=row[0].bytes): row[1] for row in rows}


async def unnamed(connection: Connection, students: Collection[UUID]) -> None:
    """Strike the children whom no contact data names any more."""
    await connection.execute("DELETE FROM unnaming_wanted WHERE student_key = ANY ($1::uuid[])", list(students))


async def versions(connection: Connection, keys: Collection[UUID]) -> dict[tuple[str, UUID], Remembered]:
    """Read what is remembered of these households and students."""
    rows = await connection.fetch(
        "SELECT kind, subject, version, again FROM forgotten WHERE subject = ANY ($1::uuid[])", list(keys)
    )
    return {(row[0], UUID(bytes=row[1].bytes)): Remembered(row[2], row[3]) for row in rows}


async def cuts(connection: Connection) -> dict[tuple[str, int], Cut]:
    """Read where landing logs were cut."""
    rows = await connection.fetch("SELECT topic, partition, log, before FROM landing_cut")
    return {(row[0], row[1]): Cut(*row) for row in rows}


async def closing_wanted(connection: Connection) -> bool:
    """Tell whether anybody was forgotten in the last days: parts of the log with their names must close."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM forgotten WHERE forgotten_at > clock_timestamp() - interval '3 days')"
        )
    )


async def keep_policies(connection: Connection, rows: Collection[tuple[str, int, object, str]]) -> None:
    """Keep for how many years districts keep what. Rows: district, version, effective_from, retention (JSON)."""
    await connection.executemany(
        """
        INSERT INTO retention_policy (district, version, effective_from, retention) VALUES ($1, $2, $3, $4::jsonb)
        ON CONFLICT DO NOTHING
        """,
        list(rows),
    )

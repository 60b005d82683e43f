"""Projections of the visits themselves: appointments, logs, contacts, promises, referrals, visitors."""

import asyncpg

from services.reporting.store.projections import Rows, upsert


async def keep_appointments(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each agreed visit's newest version, and the newest version that cancelled it.

    Rows: visit_id, request_id, household_key, district, version, starts_at, minutes, place, language, interpreter,
    follow_up, pair as JSON, cancelled_version, occurred_at. A cancellation tells only the last two.
    """
    newer = "coalesce(EXCLUDED.version, 0) > coalesce(kept.version, 0)"
    newest = ", ".join(
        f"{column} = CASE WHEN {newer} THEN EXCLUDED.{column} ELSE kept.{column} END"
        for column in ("starts_at", "minutes", "place", "language", "interpreter", "follow_up", "pair")
    )
    await upsert(
        connection,
        f"""
        INSERT INTO appointment AS kept (visit_id, request_id, household_key, district, version, starts_at, minutes,
                                         place, language, interpreter, follow_up, pair, cancelled_version,
                                         scheduled_at, last_event_at)
        SELECT DISTINCT ON (visit_id) visit_id, request_id, household_key, district, version, starts_at, minutes,
               place, language, interpreter, follow_up,
               CASE WHEN pair IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(pair::jsonb)) END,
               max(cancelled) OVER same,
               min(occurred_at) FILTER (WHERE version IS NOT NULL) OVER same, max(occurred_at) OVER same
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[], $7::integer[],
                    $8::text[], $9::text[], $10::boolean[], $11::boolean[], $12::text[], $13::bigint[],
                    $14::timestamptz[])
            AS a (visit_id, request_id, household_key, district, version, starts_at, minutes, place, language,
                  interpreter, follow_up, pair, cancelled, occurred_at)
        WINDOW same AS (PARTITION BY visit_id)
        ORDER BY visit_id, version DESC NULLS LAST
        ON CONFLICT (visit_id) DO UPDATE
        SET {newest},
            version = greatest(kept.version, EXCLUDED.version),
            cancelled_version = greatest(kept.cancelled_version, EXCLUDED.cancelled_version),
            scheduled_at = least(kept.scheduled_at, EXCLUDED.scheduled_at),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """,
        rows,
    )


async def keep_visit_logs(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each log as its newest event tells it, and when it was first written.

    Rows: visit_id, log_id, outcome, household_key, district, started_at, ended_at, pair as JSON, place,
    language, efforts as JSON, occurred_at, event_id.
    """
    newer = "(EXCLUDED.last_event_at, EXCLUDED.last_event_id) > (kept.last_event_at, kept.last_event_id)"
    newest = ", ".join(
        f"{column} = CASE WHEN {newer} THEN EXCLUDED.{column} ELSE kept.{column} END"
        for column in (
            "started_at", "ended_at", "pair", "place", "language", "efforts", "last_event_at", "last_event_id",
        )
    )  # fmt: skip
    await upsert(
        connection,
        f"""
        INSERT INTO visit_log AS kept (visit_id, log_id, outcome, household_key, district, started_at, ended_at, pair,
                                       place, language, efforts, logged_at, last_event_at, last_event_id)
        SELECT DISTINCT ON (visit_id, log_id, outcome) visit_id, log_id, outcome, household_key, district, started_at,
               ended_at, ARRAY(SELECT jsonb_array_elements_text(pair::jsonb)), place, language, efforts::jsonb,
               min(occurred_at) OVER (PARTITION BY visit_id, log_id, outcome), occurred_at, event_id
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[],
                    $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::uuid[])
            AS l (visit_id, log_id, outcome, household_key, district, started_at, ended_at, pair, place, language,
                  efforts, occurred_at, event_id)
        ORDER BY visit_id, log_id, outcome, occurred_at DESC, event_id DESC
        ON CONFLICT (visit_id, log_id, outcome) DO UPDATE
        SET {newest}, logged_at = least(kept.logged_at, EXCLUDED.logged_at)
        """,
        rows,
    )


async def keep_contacts(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each attempt to reach a family, once.

    Rows: request_id, version, household_key, district, way, reached, occurred_at.
    """
    await upsert(
        connection,
        """
        INSERT INTO contact (request_id, version, household_key, district, way, reached, occurred_at)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::boolean[],
                             $7::timestamptz[])
        ON CONFLICT (request_id, version) DO NOTHING
        """,
        rows,
    )


async def keep_follow_ups(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each promise of a log, and when it was first told.

    Rows: log_id, kind, due, household_key, district, occurred_at.
    """
    await upsert(
        connection,
        """
        INSERT INTO follow_up AS kept (log_id, kind, due, household_key, district, promised_at)
        SELECT log_id, kind, due, household_key, district, min(occurred_at)
        FROM unnest($1::uuid[], $2::text[], $3::date[], $4::uuid[], $5::text[], $6::timestamptz[])
            AS f (log_id, kind, due, household_key, district, occurred_at)
        GROUP BY log_id, kind, due, household_key, district
        ORDER BY log_id, kind, due
        ON CONFLICT (log_id, kind, due) DO UPDATE
        SET promised_at = least(kept.promised_at, EXCLUDED.promised_at)
        """,
        rows,
    )


async def keep_referrals(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep how far each referral has come.

    Rows: referral_id, household_key, district, resource, furthest (0 offered to 4 closed), occurred_at.
    """
    await upsert(
        connection,
        """
        INSERT INTO referral AS kept (referral_id, household_key, district, resource, furthest, made_at, last_event_at)
        SELECT referral_id, household_key, district, min(resource), max(furthest), min(occurred_at), max(occurred_at)
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[])
            AS r (referral_id, household_key, district, resource, furthest, occurred_at)
        GROUP BY referral_id, household_key, district
        ORDER BY referral_id
        ON CONFLICT (referral_id) DO UPDATE
        SET resource = least(kept.resource, EXCLUDED.resource),
            furthest = greatest(kept.furthest, EXCLUDED.furthest),
            made_at = least(kept.made_at, EXCLUDED.made_at),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """,
        rows,
    )


async def keep_visitors(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each visitor's newest version.

    Rows: visitor_id, district, affiliation, languages as JSON, valid from, valid until, active, version.
    """
    await upsert(
        connection,
        """
        INSERT INTO visitor AS kept (visitor_id, district, affiliation, languages, leap101_valid_from,
                                     leap101_valid_until, active, version)
        SELECT DISTINCT ON (visitor_id) visitor_id, district, affiliation,
               ARRAY(SELECT jsonb_array_elements_text(languages::jsonb)), valid_from, valid_until,
               active, version
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::date[], $7::boolean[],
                    $8::bigint[])
            AS v (visitor_id, district, affiliation, languages, valid_from, valid_until, active, version)
        ORDER BY visitor_id, version DESC
        ON CONFLICT (visitor_id) DO UPDATE
        SET district = EXCLUDED.district, affiliation = EXCLUDED.affiliation, languages = EXCLUDED.languages,
            leap101_valid_from = EXCLUDED.leap101_valid_from, leap101_valid_until = EXCLUDED.leap101_valid_until,
            active = EXCLUDED.active, version = EXCLUDED.version
        WHERE EXCLUDED.version > kept.version
        """,
        rows,
    )

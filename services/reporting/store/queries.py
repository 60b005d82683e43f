"""What the reports read: counts over a span of time, one line per district, as the finest parts they are made of.

`since` and `until` bound what happened (until is excluded); `district` None means all. Days and months are those of the
installation's zone, which the caller turns into moments.
"""

import itertools
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import asyncpg

from services.runtime.database import Connection

Lines = list[dict[str, Any]]

LONGEST_SECONDS = 120

# When each household first came to each step, in the order of measures.STEPS. Whoever reached a step has reached all
# before it: an agreement on the doorstep is one of a household that was contacted.
_HOUSEHOLDS = """
told AS (
    SELECT district, household_key, first_flagged_at AS flagged, NULL::timestamptz AS requested,
           NULL::timestamptz AS contacted, NULL::timestamptz AS agreed, NULL::timestamptz AS scheduled,
           NULL::timestamptz AS visited, NULL::timestamptz AS logged, NULL::timestamptz AS again
    FROM flag
    WHERE first_flagged_at >= $1 AND first_flagged_at < $2 AND ($3::text IS NULL OR district = $3)
    UNION ALL
    SELECT district, household_key, NULL,
           CASE WHEN requested_at < $2 THEN requested_at END, CASE WHEN contacted_at < $2 THEN contacted_at END,
           CASE WHEN agreed_at < $2 THEN agreed_at END, CASE WHEN scheduled_at < $2 THEN scheduled_at END,
           CASE WHEN visited_at < $2 THEN visited_at END, NULL, NULL
    FROM request
    WHERE requested_at >= $1 AND requested_at < $2 AND ($3::text IS NULL OR district = $3)
    UNION ALL
    SELECT district, household_key, NULL, NULL, NULL, NULL, NULL, started_at,
           CASE WHEN place = 1 THEN logged_at END, CASE WHEN place = 2 THEN logged_at END
    FROM (SELECT district, household_key, started_at, logged_at,
                 row_number() OVER (PARTITION BY district, household_key ORDER BY started_at, visit_id) AS place
          FROM visit
          WHERE completed AND started_at >= $1 AND started_at < $2 AND logged_at < $2
                AND ($3::text IS NULL OR district = $3)) AS documented
    WHERE place <= 2
), first AS (
    SELECT district, household_key, min(flagged) AS flagged, min(requested) AS requested,
           min(contacted) AS contacted, min(agreed) AS agreed, min(scheduled) AS scheduled,
           min(visited) AS visited, min(logged) AS logged, min(again) AS again
    FROM told GROUP BY district, household_key
), reached AS (
    SELECT district, household_key, least(flagged, requested, contacted, agreed, scheduled, visited, logged) AS flagged,
           least(requested, contacted, agreed, scheduled, visited, logged) AS requested,
           least(contacted, agreed, scheduled, visited, logged) AS contacted,
           least(agreed, scheduled, visited, logged) AS agreed, least(scheduled, visited, logged) AS scheduled,
           least(visited, logged) AS visited, least(logged, again) AS logged, again
    FROM first
)"""


async def furthest_steps(
    connection: Connection, *, since: datetime, until: datetime, district: str | None = None
) -> Lines:
    """Count households by district and by the furthest step each reached: district, furthest, households."""
    return await lines_of(
        connection,
        f"""
        WITH {_HOUSEHOLDS}
        SELECT district,
               CASE WHEN again IS NOT NULL THEN 'visited_again' WHEN logged IS NOT NULL THEN 'logged'
                    WHEN visited IS NOT NULL THEN 'visited' WHEN scheduled IS NOT NULL THEN 'scheduled'
                    WHEN agreed IS NOT NULL THEN 'agreed' WHEN contacted IS NOT NULL THEN 'contacted'
                    WHEN requested IS NOT NULL THEN 'requested' ELSE 'flagged' END AS furthest,
               count(*) AS households
        FROM reached GROUP BY 1, 2 ORDER BY 1, 2
        """,
        since,
        until,
        district,
    )


async def step_ages(connection: Connection, *, since: datetime, until: datetime, district: str | None = None) -> Lines:
    """Measure the median days from each step to the next: district (None: all), step, days."""
    steps = ("flagged", "requested", "contacted", "agreed", "scheduled", "visited", "logged", "again")
    pairs = ", ".join(
        f"('{'visited_again' if step == 'again' else step}', {former}, {step})"
        for former, step in itertools.pairwise(steps)
    )
    return await lines_of(
        connection,
        f"""
        WITH {_HOUSEHOLDS}
        SELECT district, step, count(*) AS households,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM at - former) / 86400) AS days
        FROM reached CROSS JOIN LATERAL (VALUES {pairs}) AS s (step, former, at)
        WHERE at IS NOT NULL
        GROUP BY GROUPING SETS ((district, step), (step)) ORDER BY 1, 2
        """,
        since,
        until,
        district,
    )


async def days_to_first_visit(
    connection: Connection, *, since: datetime, until: datetime, district: str | None = None
) -> Lines:
    """Measure the days from a household's first flag to its first visit: quartiles, district None: all."""
    return await lines_of(
        connection,
        f"""
        WITH {_HOUSEHOLDS}
        SELECT district, count(*) AS households,
               (percentile_cont(ARRAY[0.25, 0.5, 0.75])
                WITHIN GROUP (ORDER BY extract(epoch FROM visited - flagged) / 86400))::double precision[] AS quartiles
        FROM reached WHERE logged IS NOT NULL
        GROUP BY GROUPING SETS ((district), ()) HAVING count(*) > 0 ORDER BY 1
        """,
        since,
        until,
        district,
    )


async def endings(connection: Connection, *, since: datetime, until: datetime, district: str | None = None) -> Lines:
    """Count requests by district: requested, declined, not_reached, withdrawn.

    A decline counts while no later agreement stands; not reached while the request is closed for that reason.
    """
    return await lines_of(
        connection,
        """
        SELECT district, count(*) AS requests,
               count(*) FILTER (WHERE declined_at < $2 AND declined_version > coalesce(agreed_version, 0)) AS declined,
               count(*) FILTER (WHERE stage = 'closed' AND closed_because = 'not_reached' AND stage_at < $2)
                   AS not_reached,
               count(*) FILTER (WHERE withdrawn_at < $2) AS withdrawn
        FROM request
        WHERE requested_at >= $1 AND requested_at < $2 AND ($3::text IS NULL OR district = $3)
        GROUP BY district ORDER BY district
        """,
        since,
        until,
        district,
    )


async def visits_made(
    connection: Connection, *, since: datetime, until: datetime, district: str | None = None
) -> Lines:
    """Count documented visits per district, and the pay-relevant time of all logs, attempts included."""
    return await lines_of(
        connection,
        """
        WITH made AS (
            SELECT district, count(*) AS visits FROM visit
            WHERE completed AND started_at >= $1 AND started_at < $2 AND logged_at < $2
                  AND ($3::text IS NULL OR district = $3)
            GROUP BY district
        ), paid AS (
            SELECT district, sum(e.minutes)::bigint AS minutes, sum(e.travel_minutes)::bigint AS travel_minutes,
                   sum(e.mileage_tenths)::bigint AS mileage_tenths
            FROM visit_log CROSS JOIN LATERAL
                 jsonb_to_recordset(efforts) AS e (minutes integer, travel_minutes integer, mileage_tenths integer)
            WHERE started_at >= $1 AND started_at < $2 AND logged_at < $2 AND ($3::text IS NULL OR district = $3)
            GROUP BY district
        )
        SELECT district, coalesce(visits, 0) AS visits, coalesce(minutes, 0) AS minutes,
               coalesce(travel_minutes, 0) AS travel_minutes, coalesce(mileage_tenths, 0) AS mileage_tenths
        FROM made FULL JOIN paid USING (district) ORDER BY district
        """,
        since,
        until,
        district,
    )


async def visits_by_month(
    connection: Connection, *, since: datetime, until: datetime, district: str, zone: str
) -> Lines:
    """Count a district's documented visits per month of their start: month, visits, families."""
    return await lines_of(
        connection,
        """
        SELECT date_trunc('month', started_at AT TIME ZONE $4)::date AS month, count(*) AS visits,
               count(DISTINCT household_key) AS families
        FROM visit
        WHERE completed AND started_at >= $1 AND started_at < $2 AND logged_at < $2 AND district = $3
        GROUP BY 1 ORDER BY 1
        """,
        since,
        until,
        district,
        zone,
    )


async def logs_due(
    connection: Connection,
    *,
    since: datetime,
    until: datetime,
    due_on: Mapping[date, date],
    today: date,
    zone: str,
    district: str | None = None,
) -> Lines:
    """Count, per district, appointments whose end has passed by how their log stands.

    in_time and late: logged up to the day that `due_on` gives for the visit's own local day, or after it; waiting and
    overdue: not logged, and `today` is not yet, or is, beyond that day.
    """
    return await lines_of(
        connection,
        """
        WITH due AS (
            SELECT a.district, days.due_on, (v.logged_at AT TIME ZONE $6)::date AS logged_on
            FROM appointment AS a
            JOIN unnest($4::date[], $5::date[]) AS days (day, due_on)
                ON days.day = (a.starts_at AT TIME ZONE $6)::date
            LEFT JOIN visit AS v ON v.visit_id = a.visit_id AND v.logged_at < $2
            WHERE a.starts_at >= $1 AND a.starts_at + a.minutes * INTERVAL '1 minute' < $2
                  AND a.version > coalesce(a.cancelled_version, 0) AND ($3::text IS NULL OR a.district = $3)
        )
        SELECT district,
               count(*) FILTER (WHERE logged_on <= due_on) AS in_time,
               count(*) FILTER (WHERE logged_on > due_on) AS late,
               count(*) FILTER (WHERE logged_on IS NULL AND due_on >= $7) AS waiting,
               count(*) FILTER (WHERE logged_on IS NULL AND due_on < $7) AS overdue
        FROM due GROUP BY district ORDER BY district
        """,
        since,
        until,
        district,
        list(due_on),
        list(due_on.values()),
        zone,
        today,
    )


async def promises(
    connection: Connection, *, since: date, until: date, until_at: datetime, zone: str, district: str | None = None
) -> Lines:
    """Count, per district, promised visits and calls that were due, and those kept within a week of the local day.

    A visit keeps it by having taken place, a call by having reached the family, after the promise was made.
    """
    return await lines_of(
        connection,
        """
        SELECT f.district, count(*) AS promised, count(*) FILTER (WHERE kept) AS kept
        FROM follow_up AS f CROSS JOIN LATERAL (
            SELECT CASE f.kind
                WHEN 'visit' THEN EXISTS (
                    SELECT FROM visit AS v WHERE v.household_key = f.household_key AND v.completed
                        AND v.started_at > f.promised_at AND v.logged_at < $4
                        AND (v.started_at AT TIME ZONE $5)::date <= f.due + 7)
                ELSE EXISTS (
                    SELECT FROM contact AS c WHERE c.household_key = f.household_key AND c.reached
                        AND c.occurred_at > f.promised_at AND c.occurred_at < $4
                        AND (c.occurred_at AT TIME ZONE $5)::date <= f.due + 7)
                END AS kept
        ) AS k
        WHERE f.due >= $1 AND f.due < $2 AND f.promised_at < $4 AND ($3::text IS NULL OR f.district = $3)
        GROUP BY f.district ORDER BY f.district
        """,
        since,
        until,
        district,
        until_at,
        zone,
    )


async def referrals(connection: Connection, *, since: datetime, until: datetime, district: str | None = None) -> Lines:
    """Count referrals by resource and by how far they have come: resource, furthest, referrals."""
    return await lines_of(
        connection,
        """
        SELECT resource, furthest, count(*) AS referrals FROM referral
        WHERE made_at >= $1 AND made_at < $2 AND ($3::text IS NULL OR district = $3)
        GROUP BY resource, furthest ORDER BY resource, furthest
        """,
        since,
        until,
        district,
    )


async def newest_event_at(connection: Connection, *, before: datetime, district: str | None = None) -> datetime | None:
    """Tell how recent what is counted is: the moment of the newest flag, step, log or appointment before another."""
    newest: datetime | None = await connection.fetchval(
        """
        SELECT max(moment) FROM (
            SELECT first_flagged_at AS moment, district FROM flag
            UNION ALL
            SELECT step.moment, district
            FROM request CROSS JOIN LATERAL unnest(
                ARRAY[requested_at, contacted_at, agreed_at, scheduled_at, visited_at, logged_at, declined_at,
                      withdrawn_at, stage_at]) AS step (moment)
            UNION ALL
            SELECT logged_at, district FROM visit_log
            UNION ALL
            SELECT scheduled_at, district FROM appointment
        ) AS happened
        WHERE moment < $1 AND ($2::text IS NULL OR district = $2)
        """,
        before,
        district,
    )
    return newest


async def lines_of(connection: Connection, statement: str, *parameters: Any) -> Lines:
    """Run a query and give its rows as plain mappings."""
    # The server's own limit is the one that counts: short for a page, longer where a release says so.
    rows: list[asyncpg.Record] = await connection.fetch(statement, *parameters, timeout=LONGEST_SECONDS)
    return [dict(row) for row in rows]

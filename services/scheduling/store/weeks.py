"""What a week is planned from: the families that agreed and have no visit ahead, with when they could."""

from datetime import datetime

import asyncpg

from services.scheduling.rules.week import Wanted

MOST_REQUESTS = 200


async def wanted_visits(
    connection: asyncpg.Connection, *, district: str, begins_at: datetime, ends_at: datetime, minutes: int
) -> list[Wanted]:
    """Read the agreed requests of a district, the most urgent 200, with what was offered for the time."""
    rows = await connection.fetch(
        """
        WITH waiting AS (
            SELECT request_id, household_key, school, points, pinned FROM request
            WHERE district = $1 AND stage = 'agreed'
            ORDER BY pinned DESC, points DESC, opened_at, request_id LIMIT $4
        )
        SELECT request_id, household_key, points, pinned, coalesce(c.language, 'en') AS language,
               ARRAY (SELECT school FROM flagged_student AS s WHERE s.household_key = w.household_key)
                   || school AS schools,
               ARRAY (SELECT (begins_at, ends_at) FROM offered_time AS o
                      WHERE o.request_id = w.request_id AND begins_at < $3 AND ends_at > $2
                      ORDER BY begins_at) AS times,
               ARRAY (SELECT (visitor_id, count(*))
                      FROM request AS r JOIN visit USING (request_id) JOIN booking USING (visit_id)
                      WHERE r.household_key = w.household_key AND state = 'completed'
                      GROUP BY visitor_id) AS visits_before
        FROM waiting AS w LEFT JOIN household_contact AS c USING (household_key)
        """,
        district,
        begins_at,
        ends_at,
        MOST_REQUESTS,
    )
    return [
        Wanted(
            request_id=row["request_id"],
            household_key=row["household_key"],
            schools=frozenset(row["schools"]),
            language=row["language"],
            minutes=minutes,
            times=tuple((begins, ends) for begins, ends in row["times"]),
            points=row["points"],
            pinned=row["pinned"],
            visits_before=dict(tuple(pair) for pair in row["visits_before"]),
        )
        for row in rows
    ]

"""The hot path: one statement per batch of marks and retractions."""

from services.flagging.store.changes_sql import CANDIDATES, RULE, TALLIES_DUE, before_and_after

# Years of marks are stored as these numbers: one keeps its meaning for ever, also where its category is gone.
CATEGORY_CODES = {
    None: 0,  # taken back by its source
    "in_attendance": 1,
    "tardy": 2,
    "early_departure": 3,
    "school_activity": 4,
    "remote_learning": 5,
    "in_school_suspension": 6,
    "alternative_education": 7,
    "excused_absence": 8,
    "unexcused_absence": 9,
    "mental_health_day": 10,
    "out_of_school_suspension": 11,
    "expulsion": 12,
}
"""What `mark.category` holds."""

FIRST_ABSENT_CODE = 8
"""From this number on a mark is absent by its name; of two marks that tie, the larger number, an absence, stands.

A further absence is 13. A further presence has no number left below: both rules have to be written anew for it first.
"""

_RECEIPTED = """), receipted AS (
    INSERT INTO outbox (topic, key, event_id, event_type, payload)
    SELECT 'receipt-progress', receipt::text, event_id, 'receipt.progressed.v1', json_build_object(
        'event_type', 'receipt.progressed.v1', 'event_id', event_id, 'occurred_at', $12::text, 'district', district,
        'receipt', receipt, 'accepted', accepted, 'duplicate', rows - accepted)::text
    FROM (
        SELECT receipt, district, rows, coalesce(accepted, 0) AS accepted, gen_random_uuid() AS event_id
        FROM (SELECT receipt, min(district) AS district, count(*) AS rows
              FROM landed WHERE receipt IS NOT NULL GROUP BY receipt) l
        LEFT JOIN (SELECT receipt, count(*) AS accepted
                   FROM newest JOIN applied USING (student_key, school_day, school)
                   WHERE receipt IS NOT NULL GROUP BY receipt) a USING (receipt)
        OFFSET 0
    ) progress
"""


def _apply_marks(*, receipts: bool) -> str:
    """Give the statement for a batch, which tells receipts of their rows only where there are any.

    $1-$7: a mark at each place; parts ($6, $7) may be empty. $8, $9: districts and schools of the places. $10: how many
    marks landed at each. $11: the lane. $12: the moment, $13: receipts.
    """
    arrays, column, progress = (", $13::uuid[]", ", receipt", _RECEIPTED) if receipts else ("", "", "")
    return f"""
WITH landed AS (
    SELECT student_key, school_day, school COLLATE "C" AS school, district COLLATE "C" AS district, category,
        coalesce(present_parts, -1) AS present_parts, coalesce(day_parts, -1) AS day_parts, source_version{column}
    FROM unnest($1::uuid[], $2::date[], $3::int[], $4::int[], $5::bigint[], $6::int[], $7::int[]{arrays})
        AS t (student_key, school_day, place, category, source_version, present_parts, day_parts{column})
    JOIN unnest($8::text[], $9::text[]) WITH ORDINALITY AS p (district, school, place) USING (place)
), newest AS (
    -- Content breaks the tie between equal versions, never arrival.
    SELECT DISTINCT ON (student_key, school_day, school) *
    FROM landed
    ORDER BY student_key, school_day, school, source_version DESC, category DESC, present_parts DESC, day_parts DESC
), applied AS (
    INSERT INTO mark AS m
        (student_key, school_day, school, district, category, present_parts, day_parts, source_version)
    SELECT student_key, school_day, school, district, category, present_parts, day_parts, source_version FROM newest
    ON CONFLICT (student_key, school_day, school) DO UPDATE
    SET category = excluded.category, present_parts = excluded.present_parts, day_parts = excluded.day_parts,
        source_version = excluded.source_version
    WHERE (excluded.source_version, excluded.category, excluded.present_parts, excluded.day_parts)
        > (m.source_version, m.category, m.present_parts, m.day_parts)
    RETURNING m.student_key, m.school_day, m.school, m.district, m.category, m.present_parts, m.day_parts
), dated AS (
    SELECT student_key, school, district, category, school_year,
        set_bit(no_days(), school_day - first_day_of(school_year), 1) AS day,
        -- Less than half of the day attended (absence.is_absent); from {FIRST_ABSENT_CODE} on, absent by its name.
        CASE WHEN present_parts >= 0 AND day_parts >= 0 AND category > 0 THEN 2 * present_parts < day_parts
             ELSE category >= {FIRST_ABSENT_CODE} END AS missed
    FROM (SELECT *, school_year_of(school_day) AS school_year FROM applied OFFSET 0) a
    OFFSET 0
), bits AS (
    SELECT student_key, school_year, school, min(district) AS district, count(*) AS effective,
        bit_or(day) AS touched,
        coalesce(bit_or(day) FILTER (WHERE missed), no_days()) AS missed,
        coalesce(bit_or(day) FILTER (WHERE category = 0), no_days()) AS retracted
    FROM dated GROUP BY student_key, school_year, school
), school AS MATERIALIZED (
    -- Few schools have marks in a batch: each is looked up once, instead of reading every school of the state.
    SELECT s.lane, s.district, s.school, s.school_year, y.completed, y.closed, y.school_days, y.assumed
    FROM (SELECT DISTINCT lane_of(student_key) AS lane, district, school, school_year FROM bits) s
    CROSS JOIN LATERAL (
        SELECT completed, closed, school_days, assumed FROM school_year y
        WHERE y.lane = s.lane AND y.district = s.district AND y.school = s.school AND y.school_year = s.school_year
        OFFSET 0
    ) y
), changed AS (
    MERGE INTO absence_record r
    USING (
        SELECT b.student_key, b.school_year, b.school, b.district, b.touched, b.missed, b.retracted,
            lane_of(b.student_key) AS lane, y.completed, y.closed,
            coalesce(y.school_days, all_days()) AS school_days, coalesce(y.assumed, no_days()) AS assumed
        FROM bits b LEFT JOIN school y
          ON y.lane = lane_of(b.student_key) AND y.district = b.district AND y.school = b.school
         AND y.school_year = b.school_year
        ORDER BY b.student_key
    ) b
    ON r.student_key = b.student_key AND r.school_year = b.school_year AND r.school = b.school
    WHEN MATCHED AND ((r.marked | b.touched) & ~ b.retracted <> r.marked
                      OR (r.missed & ~ b.touched) | b.missed <> r.missed) THEN
        UPDATE SET marked = (r.marked | b.touched) & ~ b.retracted,
                   missed = (r.missed & ~ b.touched) | b.missed,
                   counted = ((r.marked | b.touched) & ~ b.retracted & b.school_days) | (b.assumed & r.enrolled)
    WHEN NOT MATCHED AND b.touched <> b.retracted THEN
        INSERT (student_key, school_year, school, district, lane, marked, missed, counted)
        VALUES (b.student_key, b.school_year, b.school, b.district, b.lane, b.touched & ~ b.retracted, b.missed,
                b.touched & ~ b.retracted & b.school_days)
    RETURNING {before_and_after(days="b", arrived="old.student_key IS NULL")}
), tallied AS (
    INSERT INTO mark_count AS t (district, lane, applied, duplicate)
    SELECT district, $11::int, coalesce(effective, 0), landed - coalesce(effective, 0)
    FROM (SELECT district, sum(landed)::bigint AS landed FROM unnest($8::text[], $10::int[]) AS p (district, landed)
          GROUP BY district) l
    LEFT JOIN (SELECT district, sum(effective)::bigint AS effective FROM bits GROUP BY district) a USING (district)
    ON CONFLICT (district, lane) DO UPDATE
    SET applied = t.applied + excluded.applied, duplicate = t.duplicate + excluded.duplicate
{progress}), {RULE}, {TALLIES_DUE}
{CANDIDATES}"""


APPLY_MARKS = _apply_marks(receipts=False)
APPLY_MARKS_OF_UPLOADS = _apply_marks(receipts=True)

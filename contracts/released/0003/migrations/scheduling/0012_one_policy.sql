-- A district has one policy: what the desk goes by is a part of it, and it is in force from a stated school day.
-- What was decided before was in force at once; half a day earlier is in no zone later than the day of the decision.
ALTER TABLE policy ADD COLUMN effective_from date;
UPDATE policy SET body = jsonb_build_object('desk', body),
                  effective_from = (changed_at AT TIME ZONE 'UTC' - interval '12 hours')::date;
ALTER TABLE policy ALTER COLUMN effective_from SET NOT NULL;

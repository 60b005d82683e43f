-- What was recorded in another form, carried over once nobody writes that any more; the old rows stay as they are.
INSERT INTO disclosed (at, since, times, person, what, scope, whose, purpose, counted)
SELECT last_at, nullif(first_at, last_at), times, person,
       CASE what WHEN 'name' THEN '{name}' WHEN 'log' THEN '{words}' ELSE '{contact}' END::text[], district,
       ARRAY[household_key], purpose, true
FROM disclosure;

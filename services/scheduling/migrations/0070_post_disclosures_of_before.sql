-- What was recorded in another form, carried over once nobody writes that any more; the old rows stay as they are.
INSERT INTO disclosed (at, person, what, scope, whose, purpose, counted)
SELECT shown_at, shown_to, '{contact}', district, ARRAY[household_key],
       CASE why WHEN 'request' THEN 'arrange' WHEN 'search' THEN 'find' WHEN 'day_sheet' THEN 'sheet' ELSE 'confirm' END,
       true
FROM contact_disclosure JOIN request USING (request_id);

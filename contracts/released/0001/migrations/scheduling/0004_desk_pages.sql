-- Names as people remember them: near enough is found.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;

-- The queue as it is shown: what was promised first, then by points, then by who waits longest.
CREATE INDEX request_on_the_desk ON request (district, pinned DESC, points DESC, request_id) INCLUDE (stage)
    WHERE stage <> 'closed';
CREATE INDEX request_on_a_tab ON request (district, stage, pinned DESC, points DESC, request_id);
-- What the tabs count under any filter, without the rows themselves: those are wide.
CREATE INDEX request_to_count ON request (district, stage)
    INCLUDE (school, household_key, due_on, contact_again_on, claimed_by, claimed_until, pinned)
    WHERE stage <> 'closed';
-- The last six digits are what people read to each other on the phone.
CREATE INDEX request_by_reference ON request (right(request_id::text, 6));

-- The filters by grade and by language: a household is in or out without its row being read.
CREATE INDEX flagged_student_by_grade ON flagged_student (district, grade, household_key) WHERE level <> 'none';
CREATE INDEX household_contact_by_language
    ON household_contact (district, language, household_key) INCLUDE (interpreter_needed);

-- Immutable by promise: the dictionary of accents is part of the installation and never edited.
CREATE FUNCTION words_to_find(contact_name text, phones text[], students jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT lower(unaccent(concat_ws(' ', contact_name,
        (SELECT string_agg(concat_ws(' ', child->>'given_name', child->>'family_name'), ' ')
         FROM jsonb_array_elements(students) AS child),
        (SELECT string_agg(regexp_replace(phone, '[^0-9]', '', 'g'), ' ') FROM unnest(phones) AS phone))))
$$;
ALTER TABLE household_contact
    ADD COLUMN words text GENERATED ALWAYS AS (words_to_find(contact_name, phones, students)) STORED;
CREATE INDEX household_contact_by_words ON household_contact USING gin (words gin_trgm_ops);

-- Every new version of a request tells the open desks: its id, its version, and whose it is to know. Nothing else.
-- A batch of flags changes thousands at once: then the desks are told to look again.
CREATE FUNCTION tell_desks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) > 200 FROM changed) THEN
        PERFORM pg_notify(current_schema() || '_changes', '*');
    ELSE
        PERFORM pg_notify(current_schema() || '_changes', request_id || ' ' || version || ' ' || district)
        FROM changed;
    END IF;
    RETURN NULL;
END $$;
-- Points and due days are priced anew every day: that is no new version, and nobody is told.
CREATE FUNCTION tell_desks_of_versions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    versions integer := (SELECT count(*) FROM changed JOIN former USING (request_id)
                         WHERE changed.version <> former.version);
BEGIN
    IF versions > 200 THEN
        PERFORM pg_notify(current_schema() || '_changes', '*');
    ELSIF versions > 0 THEN
        PERFORM pg_notify(current_schema() || '_changes',
                          request_id || ' ' || changed.version || ' ' || changed.district)
        FROM changed JOIN former USING (request_id) WHERE changed.version <> former.version;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_desks_of_new AFTER INSERT ON request
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tell_desks();
CREATE TRIGGER tell_desks_of_changed AFTER UPDATE ON request
    REFERENCING OLD TABLE AS former NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tell_desks_of_versions();

-- The log's wishes are a part of the district's policy, which is decided at the desk and read from its topic. Versions
-- that were set here stay: logs of then have their fields, and the newest stands until the desk decides.
ALTER TABLE log_policy
    ADD COLUMN at_desk boolean NOT NULL DEFAULT false,
    ADD COLUMN effective_from date,
    ALTER COLUMN set_by DROP NOT NULL,
    DROP CONSTRAINT log_policy_pkey,
    ADD PRIMARY KEY (district, at_desk, version),
    -- What the desk decides is in force from a day on.
    ADD CONSTRAINT decided_for_a_day CHECK (NOT at_desk OR effective_from IS NOT NULL);

-- Where an event comes from, told once per transaction and taken by every row written in it, whoever writes it:
-- when the first cause landed (the age of what is done about it counts from there), and the trace it belongs to.
ALTER TABLE outbox
    ADD COLUMN caused_at timestamptz NOT NULL DEFAULT
        coalesce(to_timestamp(nullif(current_setting('leap.caused_at', true), '')::float8), clock_timestamp()),
    ADD COLUMN traceparent text DEFAULT nullif(current_setting('leap.traceparent', true), '');

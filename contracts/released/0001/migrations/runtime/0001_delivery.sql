-- How far each consumer group has got. The row is the fence too: whoever applies a batch holds it locked,
-- so a process that lost its partition finds another position and applies nothing.
CREATE TABLE position (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (consumer_group, topic, partition)
);

-- Events that are true but not yet published. Rows live for milliseconds, so the table is vacuumed eagerly.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- published in this order
    topic text NOT NULL,
    partition int,                                       -- NULL: the key decides
    key text NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    payload text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- The relay is woken by whoever inserts, once per transaction (PostgreSQL folds equal notifications into one).
CREATE FUNCTION outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox_' || TG_TABLE_SCHEMA, '');
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_wake AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_wake();

-- Records that can't be applied, bytes unaltered. They may hold personal data: nobody reads them but to repair them.
CREATE TABLE dead_letter (
    topic text NOT NULL,
    partition int NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,          -- [[name, base64 of the value or null], ...]
    reason text NOT NULL,
    detail text NOT NULL,            -- never a payload
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, partition, record_offset)  -- the same record read again is the same dead letter
);

CREATE INDEX dead_letter_recent ON dead_letter (recorded_at) WHERE reason = 'handler';

-- For commands without a natural key or version of their own.
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (consumer, event_id)  -- one effect per consumer and event
);

-- What only one process may do at a time (publish the outbox, run a timer): whose it is until when, and a number that
-- grows with each holder. Whoever writes as its holder locks the row and finds the number, or writes nothing.
CREATE TABLE lease (
    name text PRIMARY KEY,
    holder uuid NOT NULL,
    token bigint NOT NULL CHECK (token >= 0),
    until timestamptz NOT NULL           -- by this database's clock, which is the only one that is asked
) WITH (fillfactor = 50);                -- renewed every second or two: room for it to happen in place

-- Each topic is a lane of its own: a month's tallies before it do not keep a flag waiting.
CREATE INDEX outbox_lane ON outbox (topic, id);

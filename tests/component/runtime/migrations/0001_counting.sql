CREATE TABLE tally (
    name text PRIMARY KEY,
    total bigint NOT NULL CHECK (total >= 0)  -- a record that counts below zero is one the handler can't apply
);

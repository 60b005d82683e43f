-- What became of every landed record, moved in the transaction that moves the position: so the counts add up to the
-- landing topics' offsets whatever is killed when.
CREATE TABLE landed_count (
    district text   NOT NULL,
    kind     text   NOT NULL CHECK (kind IN ('mark', 'retraction', 'roll', 'roster', 'rejected')),
    records  bigint NOT NULL CHECK (records >= 0),
    PRIMARY KEY (district, kind)
);

-- One upload. The district is part of the key: a record from another district can't move this one's figures.
CREATE TABLE receipt (
    district    text        NOT NULL,
    receipt     uuid        NOT NULL,
    rows        integer     NOT NULL CHECK (rows > 0),
    accepted    integer     NOT NULL DEFAULT 0,
    duplicate   integer     NOT NULL DEFAULT 0,
    rejected    integer     NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (district, receipt)
);

-- Why a row of an upload went back. No value of the row is kept here, only the field and the rule it broke.
CREATE TABLE rejected_row (
    district    text    NOT NULL,
    receipt     uuid    NOT NULL,
    row_number  integer NOT NULL,
    reason      text    NOT NULL,
    detail      text    NOT NULL,
    PRIMARY KEY (district, receipt, row_number),
    FOREIGN KEY (district, receipt) REFERENCES receipt ON DELETE CASCADE
);

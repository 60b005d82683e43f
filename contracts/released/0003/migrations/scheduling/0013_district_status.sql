-- Whether what is computed for a district is told. Every version stays, the newest stands; without one it is live.
CREATE TABLE district_status (
    district   text NOT NULL,
    version    integer NOT NULL CHECK (version >= 1),
    status     text NOT NULL CHECK (status IN ('rehearsal', 'live', 'paused')),
    since      timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (district, version)
);

-- Who is signed in on this service's pages, in every process of it. A row that is missing is a session that is over.
CREATE TABLE session (
    key bytea PRIMARY KEY,               -- keyed hash of what the cookie carries: whoever reads this signs nobody in
    person text NOT NULL,
    mark text NOT NULL,                  -- of the person's sign-in key or provider: with another one it is over
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- written once a minute at most, never per request
    ended_at timestamptz,
    -- Of a session that an identity provider vouches for, and asks to be asked again about:
    provider text,
    told text,                           -- name and groups as the provider told them last, JSON
    sealed bytea,                        -- its tokens, encrypted with the service's secret
    checked_at timestamptz,              -- when the provider last said yes
    checking_until timestamptz,          -- one process asks at a time: a refresh token may be good only once
    CONSTRAINT session_vouched_whole CHECK (num_nulls(provider, told, sealed, checked_at) IN (0, 4))
) WITH (fillfactor = 70);

-- What ended lately is told to the other processes by this.
CREATE INDEX session_ended ON session (ended_at);

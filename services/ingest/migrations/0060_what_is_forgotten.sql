-- Districts in whose landing logs copies stand of what is forgotten, and since when; the timer cuts them.
CREATE TABLE cut_wanted (
    district text COLLATE "C" PRIMARY KEY,
    since    timestamptz NOT NULL,
    rejected boolean NOT NULL  -- and what went back before: in the district's lane of attendance-rejected
);

-- Forgotten children whom contact data that was told before may still name; the timer tells it anew without them.
CREATE TABLE unnaming_wanted (
    student_key uuid PRIMARY KEY,
    district    text COLLATE "C" NOT NULL
);

-- Where a landing log was cut: everything before had its effect. A position that was put back to before it goes on there.
CREATE TABLE landing_cut (
    topic     text NOT NULL,
    partition int NOT NULL,
    log       bigint NOT NULL,  -- landing_book's: which log of that name
    before    bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- For how many years a district keeps what, as it decided.
CREATE TABLE retention_policy (
    district       text COLLATE "C" NOT NULL,
    version        integer NOT NULL,
    effective_from date NOT NULL,
    retention      jsonb NOT NULL,
    PRIMARY KEY (district, version)
);

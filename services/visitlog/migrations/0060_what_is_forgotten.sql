-- When a district last told how to reach a family: for so many years as it decided, it is kept. Of what is there already
-- nobody knows: it counts as told when this came.
ALTER TABLE household_contact ADD COLUMN told_at timestamptz NOT NULL DEFAULT now();

-- Why a log has no words any more: the family wished it, or the district keeps them so long and no longer.
ALTER TABLE visit_log ADD COLUMN wordless text CHECK (wordless IN ('forgotten', 'too_old'));

-- For how many years a district keeps what, as it decided.
CREATE TABLE retention_policy (
    district       text COLLATE "C" NOT NULL,
    version        integer NOT NULL,
    effective_from date NOT NULL,
    retention      jsonb NOT NULL,
    PRIMARY KEY (district, version)
);
SELECT keep_apart('retention_policy', in_scope('district'));

-- A log of a family that is forgotten is taken without its words: the request that brings it has to know.
GRANT SELECT ON forgotten TO leap_people;

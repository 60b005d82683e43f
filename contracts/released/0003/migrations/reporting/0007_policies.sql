-- How many days a district's own policy asks for before its pages count a student. Every version is kept: the one in
-- force on the day up to which a table counts judges it, also one that is decided for a day to come.
CREATE TABLE district_policy (
    district         text NOT NULL,
    version          integer NOT NULL,
    effective_from   date NOT NULL,
    minimum_enrolled integer NOT NULL,
    PRIMARY KEY (district, version)
);

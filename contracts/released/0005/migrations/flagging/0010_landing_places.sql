-- Which landing places of a log were dealt with, in parts of 1,024 offsets (rules/places.py). A mark counts once for its
-- place, however often it is told: ingest publishes again after a crash, and whoever sets a position back has all read
-- again. As ranges: of single marks one for each stretch of them, of landed rolls one for each roll.
CREATE TABLE landing_place (
    district text COLLATE "C" NOT NULL,
    log text COLLATE "C" NOT NULL,
    part bigint NOT NULL,
    places int8multirange NOT NULL,
    PRIMARY KEY (district, log, part)
);

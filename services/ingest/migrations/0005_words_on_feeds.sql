-- How a school reports, by who said so and in which version: what is declared of it (school_year 0; school '' stands for
-- every school of the district), else what its calendar of a year says. told_feed kept whatever was said last, also what
-- a roll said of its own day: of what it holds only a district's word can be told apart, and stands until a newer comes.
CREATE TABLE feed_word (
    district    text NOT NULL,
    school      text COLLATE "C" NOT NULL,
    school_year integer NOT NULL,
    version     bigint NOT NULL,
    feed        text COLLATE "C" NOT NULL CHECK (feed IN ('exceptions', 'full')),
    PRIMARY KEY (district, school, school_year)  -- one word stands for each
);
INSERT INTO feed_word (district, school, school_year, version, feed)
SELECT district, school, 0, -1, feed FROM told_feed WHERE school = '';

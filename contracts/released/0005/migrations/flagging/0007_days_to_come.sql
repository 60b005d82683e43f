-- Of a day to come nothing counts before it has come, however the school reports. Of each school's year: the latest day
-- that is known to have come, and the days after it of which marks came. Whatever could be looked at by the timer has come.
ALTER TABLE school_year
    ADD COLUMN today date NOT NULL DEFAULT '-infinity',
    ADD COLUMN ahead bytea NOT NULL DEFAULT ''::bytea;
UPDATE school_year SET today = (SELECT max(checked_on) FROM school_year);

-- Where marks of days to come are known already, the service makes the school's pages anew: they may count no more.
UPDATE school_year y SET is_stale = true, checked_on = '-infinity'
WHERE isfinite(y.today) AND EXISTS (
    SELECT FROM register_page p, generate_series(
        CASE WHEN isfinite(y.today) THEN greatest(y.today - make_date(y.school_year, 7, 1) + 1, 0) ELSE 366 END, 365) AS n
    WHERE (p.district, p.school, p.school_year) = (y.district, y.school, y.school_year) AND get_bit(p.rolls, n) = 1);

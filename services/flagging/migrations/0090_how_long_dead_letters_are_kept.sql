-- For how many years the district keeps records that could not be applied; 0: for as long as nobody says.
ALTER TABLE policy ADD COLUMN dead_letters_years integer NOT NULL DEFAULT 0;

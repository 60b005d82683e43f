-- For how many years the district keeps records that could not be applied; 0: nobody said.
ALTER TABLE district_policy ADD COLUMN dead_letters_years integer NOT NULL DEFAULT 0;

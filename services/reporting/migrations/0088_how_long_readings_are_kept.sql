-- For how many years a district keeps who read of its families; 0: for as long as nobody says.
ALTER TABLE district_policy ADD COLUMN disclosures_years integer NOT NULL DEFAULT 0;

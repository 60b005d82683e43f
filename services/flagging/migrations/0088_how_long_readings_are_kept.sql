-- For how many years a district keeps who read of its children; 0: for as long as nobody says.
ALTER TABLE policy ADD COLUMN disclosures_years integer NOT NULL DEFAULT 0;

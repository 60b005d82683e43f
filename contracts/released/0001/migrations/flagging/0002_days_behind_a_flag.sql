-- The days behind a flag as they were last told: what is absent here and no longer there was corrected.
ALTER TABLE flag ADD COLUMN absent bit(366) NOT NULL DEFAULT no_days();

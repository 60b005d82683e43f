-- When a district last told how to reach a family: for so many years as it decided, it is kept. Of what is there already
-- nobody knows: it counts as told when this came.
ALTER TABLE household_contact ADD COLUMN told_at timestamptz NOT NULL DEFAULT now();

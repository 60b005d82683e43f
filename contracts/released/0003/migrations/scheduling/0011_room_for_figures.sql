-- Figures come every school day and touch no index: with room on its page a row is renewed where it stands.
ALTER TABLE flagged_student SET (fillfactor = 50);
ALTER TABLE request SET (fillfactor = 70);

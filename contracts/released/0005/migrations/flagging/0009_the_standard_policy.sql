-- The standard policy is version 0: a district's own decisions are counted from 1, and its first could not be told from it.
ALTER TABLE policy DROP CONSTRAINT policy_version_check;
UPDATE policy SET version = 0 WHERE district = '';
ALTER TABLE policy ADD CONSTRAINT policy_version_check CHECK (version >= 1 OR district = '' AND version = 0);

UPDATE flag f SET policy_version = 0
WHERE policy_version = 1 AND NOT EXISTS (SELECT FROM policy p WHERE p.district = f.district AND p.version = 1);
UPDATE flag_history h SET policy_version = 0
FROM flag f
WHERE (f.student_key, f.school_year) = (h.student_key, h.school_year) AND h.policy_version = 1
  AND NOT EXISTS (SELECT FROM policy p WHERE p.district = f.district AND p.version = 1);

-- Requests from people see the rows of their districts, whatever they ask for. What belongs to a visit, a log or a
-- referral is seen by who sees that.
SELECT keep_apart(kept, in_scope('district')) FROM unnest(ARRAY[
    'visit', 'request', 'visitor', 'household_contact', 'school_calendar', 'pay_rate', 'log_policy', 'disclosure'
]::regclass[]) AS kept;

SELECT keep_apart(kept, format('EXISTS (SELECT FROM visit WHERE visit.visit_id = %s.visit_id)', kept))
FROM unnest(ARRAY['visit_log', 'safety_timer']::regclass[]) AS kept;

SELECT keep_apart(kept, format('EXISTS (SELECT FROM visit_log WHERE visit_log.log_id = %s.log_id)', kept))
FROM unnest(ARRAY['amendment', 'effort', 'referral']::regclass[]) AS kept;

SELECT keep_apart('referral_step',
                  'EXISTS (SELECT FROM referral WHERE referral.referral_id = referral_step.referral_id)');

-- Which versions a district took back is nobody's to see.
SELECT keep_apart('household_forgotten', 'false');

GRANT SELECT ON
    visit, request, visitor, household_contact, school_calendar, pay_rate, log_policy, disclosure, visit_log,
    safety_timer, amendment, effort, referral, referral_step
TO leap_people;
-- What visitors and the office write. Amendments append.
GRANT INSERT, UPDATE ON visit, visit_log, safety_timer TO leap_people;
GRANT INSERT ON amendment, effort, referral, referral_step, pay_rate, disclosure TO leap_people;
GRANT UPDATE ON referral TO leap_people;

-- Who saw which family is written once; that it was seen again that day is counted in the same line.
REVOKE UPDATE, DELETE, TRUNCATE ON disclosure FROM leap_service;
GRANT UPDATE (last_at, times) ON disclosure TO leap_service, leap_people;

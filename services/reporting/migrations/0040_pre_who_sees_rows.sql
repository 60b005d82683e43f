-- Requests from people see the rows of their districts, whatever they ask for; a release is everybody's who signs in.
SELECT keep_apart(kept, in_scope('district')) FROM unnest(ARRAY[
    'flag', 'flag_figures', 'request', 'visit', 'visit_log', 'appointment', 'contact', 'follow_up', 'referral',
    'visitor', 'student_month', 'school_month', 'school_day', 'day_tally', 'district_policy'
]::regclass[]) AS kept;

SELECT keep_apart('release', 'true');

GRANT SELECT ON
    flag, flag_figures, request, visit, visit_log, appointment, contact, follow_up, referral, visitor, student_month,
    school_month, school_day, day_tally, district_policy, release
TO leap_people;

-- A view reads its tables as whoever asks: as its owner it would read all of them.
ALTER VIEW told_day SET (security_invoker = true);
ALTER VIEW flag_today SET (security_invoker = true);
GRANT SELECT ON told_day, flag_today TO leap_people;

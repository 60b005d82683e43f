"""What the auditor tells of itself."""

from services.runtime.seen.metric import counter, gauge

# Never back to 0 by a lucky sample: a day that disagreed is looked at in every round until it agrees.
WRONG = gauge("leap_audit_disagreements", "School days of which the tables don't hold what was sent", ["district"])
DAYS = counter("leap_audit_recounts_total", "School days recounted", ["district"])
MARKS = counter("leap_audit_marks_total", "Marks recounted", ["district"])
# Of the last district that was recounted to the end: the auditor itself may be away.
LAST = gauge("leap_audit_last_timestamp_seconds", "When a district was last recounted")

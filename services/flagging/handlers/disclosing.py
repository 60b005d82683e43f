"""What flagging shows of a child: the days and the rule, to whoever works with the child, and to a family that asks."""

from contracts.disclosures import Purpose, What
from services.runtime.web.disclosing import Reading

# By a key and without a name: recorded and not bounded.
DAYS = Reading(what=(What.DAYS,), purpose=Purpose.EXPLAIN, counted=False)
HELD = Reading(what=(What.DAYS,), purpose=Purpose.ANSWER, counted=False)

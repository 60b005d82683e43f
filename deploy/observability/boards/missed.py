"""The first look: would a child who is absent today be seen today?"""

from deploy.observability.panel import Board, asks
from deploy.observability.slo import PROMISES

_EXPECTED = "max by (district) (leap_schools_expected)"
_REPORTED = "max by (district) (leap_schools_reported)"
_FRESH = 'group=~"leap-flagging|leap-scheduling",topic=~"rolls|flags"'

MISSED = Board(
    uid="leap-missed",
    title="Are students being missed?",
    purpose="The first look: would a child who is absent today be seen today?",
    panels=(
        asks(
            "How many districts have reported today, of those expected?",
            ("complete", "leap:districts_complete:count"),
            ("expected", "leap:districts_expected:count"),
            reading="Expected: at least one school has a school day today by its own calendar. Complete: the roll of "
            "every such school is. A holiday expects nobody. Promised: 99 % by 10:00.",
            kind="number",
            width=6,
        ),
        asks(
            "How old is the oldest mark that is not yet decided?",
            ("oldest", 'max(leap:lag:seconds{group=~"leap-ingest|leap-flagging|leap-scheduling"})'),
            reading="From landing to the desk, the worst hop. Where a consumer does not answer, the most it can be. "
            "Normally under a second; the promise is 15 minutes.",
            unit="s",
            kind="number",
            width=6,
            well_below=60,
        ),
        asks(
            "Is every record accounted for?",
            ("{{hop}}", "sum by (hop) (abs(leap:conservation_gap:records))"),
            reading="Records that went into a hop and did not come out. Anything but 0 for ten minutes pages.",
            kind="number",
            width=6,
            well_below=1,
        ),
        asks(
            "How many alerts are firing?",
            ("pages", 'count(ALERTS{alertstate="firing",severity="page"}) or vector(0)'),
            ("tickets", 'count(ALERTS{alertstate="firing",severity="ticket"}) or vector(0)'),
            reading="A page means that a child could be missed. Each alert names its runbook.",
            kind="number",
            width=6,
            well_below=1,
        ),
        asks(
            "Which districts have schools that have not reported?",
            ("{{district}}", f"{_EXPECTED} - {_REPORTED}"),
            reading="Schools with a school day today whose roll is not complete. A roll without a single absence is "
            "complete: quiet is not silent.",
            kind="bars",
            well_below=1,
        ),
        asks(
            "How many marks became a visible decision within 15 minutes?",
            (
                "{{group}}",
                f'sum by (group) (rate(leap_record_age_seconds_bucket{{{_FRESH},le="900.0"}}[1h]))'
                f" / (sum by (group) (rate(leap_record_age_seconds_count{{{_FRESH}}}[1h])) > 0)",
            ),
            reading="Of the last hour: marks decided by flagging, and flags that reached the desk, both counted from "
            "landing. Promised: 99 %.",
            unit="percentunit",
            well_above=0.99,
        ),
        asks(
            "How much of each promise's error budget burns?",
            *(
                (promise.name, f'leap:slo_bad:ratio_rate1h{{slo="{promise.name}"}} / {promise.budget:g} or vector(0)')
                for promise in PROMISES
            ),
            reading="1: exactly as fast as allowed for a month. 14.4 for an hour, or 6 for six hours, pages. The fifth "
            "promise, no conservation gap, has no budget.",
            well_below=6,
        ),
        asks(
            "Does the desk know every flag that stands?",
            ("flagging", "sum(max by (district) (leap_flags))"),
            ("desk", "sum(max by (district) (leap_desk_flags))"),
            ("reports", "sum(max by (district) (leap_report_flags))"),
            reading="Students whose flag stands this school year, as three services know them, to tens: the lines lie "
            "on each other.",
        ),
    ),
)

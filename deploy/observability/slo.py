"""The promises (service level objectives), and how fast a month's error budget may burn before somebody is called."""

from dataclasses import dataclass

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

DECIDED_WITHIN_SECONDS = "900.0"
DESK_WITHIN_SECONDS = "0.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promise. `bad_ratio` is PromQL with WINDOW in it: the share that broke the promise, none where none came."""

    name: str
    alert: str
    promised: float
    sentence: str
    bad_ratio: str
    broken: str
    """What it means for a child or a person when the alert fires."""

    @property
    def budget(self) -> float:
        """Give the share that may go wrong."""
        return round(1 - self.promised, 6)

    def ratio_over(self, window: str) -> str:
        """Name the recorded share over a window."""
        return f'leap:slo_bad:ratio_rate{window}{{slo="{self.name}"}}'


_HOPS = 'group=~"leap-flagging|leap-scheduling",topic=~"rolls|flags"'
# What a district did wrong is not our fault: a record too large to return, a district that was never declared.
_NOT_OURS = "unknown_district|too_large"

PROMISES = (
    Promise(
        name="fresh",
        alert="MarksDecidedLate",
        promised=0.99,
        sentence="99 % of marks become a visible decision within 15 minutes",
        # The worse of two hops, each measured from landing: marks decided, and flags that reached the desk.
        bad_ratio=(
            "max(1 - sum by (group) (rate(leap_record_age_seconds_bucket"
            f'{{{_HOPS},le="{DECIDED_WITHIN_SECONDS}"}}[WINDOW]))'
            f" / (sum by (group) (rate(leap_record_age_seconds_count{{{_HOPS}}}[WINDOW])) > 0))"
        ),
        broken="marks wait longer than a quarter of an hour: children who crossed the line today are not on the desk",
    ),
    Promise(
        name="handled",
        alert="RecordsFailing",
        promised=0.999,
        sentence="99.9 % of records are handled without our fault",
        bad_ratio=(
            f'(sum(rate(leap_records_dead_lettered_total{{reason!~"{_NOT_OURS}"}}[WINDOW])) or vector(0))'
            " / (sum(rate(leap_records_in_total[WINDOW])) > 0)"
        ),
        broken="records are set aside because a service can't apply them: what they say has no effect",
    ),
    Promise(
        name="complete",
        alert="DistrictDaysIncomplete",
        promised=0.99,
        sentence="99 % of expected district-days are complete by 10:00",
        # Recorded only on school days from 10:00 on: nights and holidays neither fill nor empty the budget.
        bad_ratio="avg_over_time(leap:district_days_late:ratio[WINDOW])",
        broken="districts whose school day it is have not completed their rolls: their absent children are not seen",
    ),
    Promise(
        name="desk",
        alert="DeskSlow",
        promised=0.95,
        sentence="95 % of the desk's answers begin within 500 ms",
        bad_ratio=(
            f'1 - sum(rate(leap_http_request_seconds_bucket{{job="scheduling",le="{DESK_WITHIN_SECONDS}"}}[WINDOW]))'
            ' / (sum(rate(leap_http_request_seconds_count{job="scheduling"}[WINDOW])) > 0)'
        ),
        broken="schedulers wait for their pages while families wait for their call",
    ),
)
"""Four of the five. The fifth, a conservation gap of 0, has no budget to burn: any gap pages."""

# (severity, burn rate, long window, short window): 2 % of a month's budget in an hour, 5 % in six, 10 % in one or three
# days. The short window ends the alert soon after the trouble has ended.
BURNS = (
    ("page", 14.4, "1h", "5m"),
    ("page", 6.0, "6h", "30m"),
    ("ticket", 3.0, "1d", "2h"),
    ("ticket", 1.0, "3d", "6h"),
)

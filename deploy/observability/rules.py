"""Recording rules: what boards and alerts share, computed once. The alerts themselves are in alerts.py."""

from dataclasses import dataclass
from importlib import import_module

from contracts.services import SERVICES
from deploy.observability.slo import PROMISES, WINDOWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded series. The comment is for whoever reads the generated file."""

    name: str
    expr: str
    labels: dict[str, str] | None = None

    def as_rule(self) -> dict[str, object]:
        """Give the rule as Prometheus reads it."""
        return {"record": self.name, "expr": self.expr, **({"labels": self.labels} if self.labels else {})}


# A worker that is frozen can't say how far behind it is. What was last known, plus the time since, is the most that
# can be true: what is not known to be small counts as large.
LAG_SECONDS = """max by (group) (leap_lag_seconds)
or
max by (group) (last_over_time(leap_lag_seconds[30m]))
  + (time() - max by (group) (max_over_time(timestamp(leap_lag_seconds)[30m:15s])))"""

_EXPECTED = "max by (district) (leap_schools_expected)"
_REPORTED = "max by (district) (leap_schools_reported)"


# Every process of a service says the same about its counts: the max, not the sum.
def _published_marks(ago: str = "") -> str:
    kinds = 'kind=~"mark|retraction|roll_mark"'
    return f"sum by (district) (max by (district, kind) (leap_landed_total{{{kinds}}}{ago}))"


def _dealt_with_marks(ago: str = "") -> str:
    # 0 where flagging never heard of the district: what it lost whole would else be no gap.
    counted = f"sum by (district) (max by (district, effect) (leap_marks_total{ago}))"
    return f"({counted} or 0 * {_published_marks()})"


_AGO = " offset 2m"


def _gap_between(hop: str, ours: str, group: str) -> str:
    # While the next hop is behind, a difference is not a gap but a wait, which the lag shows. How many are missing is
    # not told: it would be a number of children.
    return (
        f"label_replace(max by (district) (leap_flags_digest) != bool max by (district) ({ours}),"
        f' "hop", "{hop}", "", "")'
        f' and on () (leap:lag:seconds{{group="{group}"}} < 60)'
    )


CONSERVATION = "\nor\n".join(
    (
        'label_replace(max by (district) (leap_landed_gap_records), "hop", "landed", "", "")',
        # Each landing place counts once on both sides. What was published two minutes ago and not dealt with is
        # missing; what was dealt with two minutes ago and not published came from nowhere.
        f"label_replace(clamp_min({_published_marks(_AGO)} - {_dealt_with_marks()}, 0)"
        f' + clamp_max({_published_marks()} - {_dealt_with_marks(_AGO)}, 0), "hop", "decided", "", "")'
        ' and on () (leap:lag:seconds{group="leap-flagging"} < 60)',
        _gap_between("queued", "leap_desk_flags_digest", "leap-scheduling"),
        _gap_between("reported", "leap_report_flags_digest", "leap-reporting"),
    )
)

RECORDS = (
    Record(name="leap:lag:seconds", expr=LAG_SECONDS),
    Record(name="leap:conservation_gap:records", expr=CONSERVATION),
    Record(name="leap:districts_expected:count", expr=f"count({_EXPECTED} > 0) or vector(0)"),
    Record(name="leap:districts_complete:count", expr=f"count({_REPORTED} >= ({_EXPECTED} > 0)) or vector(0)"),
    Record(
        name="leap:district_days_late:ratio",
        expr=(
            "(1 - leap:districts_complete:count / (leap:districts_expected:count > 0))"
            " and on () (max(leap_rolls_due) == 1)"
        ),
    ),
    Record(
        name="leap:record_age:p99_seconds",
        expr=("histogram_quantile(0.99, sum by (group, topic, le) (rate(leap_record_age_seconds_bucket[5m]))) >= 0"),
    ),
    Record(
        name="leap:record_age:p50_seconds",
        expr=("histogram_quantile(0.5, sum by (group, topic, le) (rate(leap_record_age_seconds_bucket[5m]))) >= 0"),
    ),
)


def consumers() -> dict[str, str]:
    """Give each consumer group and the service that declares it: one that is missing is missed by name."""
    return {
        subscription.group: service
        for service in SERVICES
        for subscription in import_module(f"services.{service}.app").service.subscriptions
    }


def promise_records(windows: tuple[str, ...]) -> list[Record]:
    """Give, per promise and window, the share that broke it."""
    return [
        Record(
            name=f"leap:slo_bad:ratio_rate{window}",
            expr=promise.bad_ratio.replace("WINDOW", window),
            labels={"slo": promise.name},
        )
        for promise in PROMISES
        for window in windows
    ]


def recording_groups() -> list[dict[str, object]]:
    """Give the recording rules as Prometheus reads them; long windows are computed less often."""
    short = tuple(window for window in WINDOWS if not window.endswith("d"))
    return [
        {"name": "leap figures", "rules": [each.as_rule() for each in RECORDS]},
        {"name": "leap promises", "rules": [each.as_rule() for each in promise_records(short)]},
        {
            "name": "leap promises over days",
            "interval": "2m",
            "rules": [
                each.as_rule() for each in promise_records(tuple(window for window in WINDOWS if window.endswith("d")))
            ],
        },
    ]

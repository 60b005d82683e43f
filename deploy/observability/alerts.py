"""Alerts: a person is woken (page) only when a child could be missed; everything else waits for the day (ticket)."""

from dataclasses import dataclass
from typing import Literal

from contracts.services import SERVICES
from deploy.observability.rules import consumers
from deploy.observability.slo import BURNS, PROMISES, Promise

RUNBOOKS = "deploy/observability/runbooks"

Severity = Literal["page", "ticket", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. The same name may stand for a page and a ticket; they share a runbook."""

    name: str
    severity: Severity
    expr: str
    wait: str = "0m"
    summary: str
    meaning: str
    labels: dict[str, str] | None = None

    def as_rule(self) -> dict[str, object]:
        """Give the rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            **({"for": self.wait} if self.wait != "0m" else {}),
            "labels": {"severity": self.severity, **(self.labels or {})},
            "annotations": {
                "summary": self.summary,
                "description": self.meaning,
                "runbook": f"{RUNBOOKS}/{self.name}.md",
            },
        }


def _burning(promise: Promise, severity: Severity) -> Alert:
    conditions = [
        f"({promise.ratio_over(long)} > {rate:g} * {promise.budget:g}"
        f" and {promise.ratio_over(short)} > {rate:g} * {promise.budget:g})"
        for burns, rate, long, short in BURNS
        if burns == severity
    ]
    # By slo, so that two recorded windows with different names are one alert.
    return Alert(
        name=promise.alert,
        severity=severity,
        expr="max by (slo) (" + "\nor\n".join(conditions) + ")",
        summary=f"the promise is being broken: {promise.sentence}",
        meaning=promise.broken,
        labels={"slo": promise.name},
    )


_EXPECTED = "max by (district) (leap_schools_expected)"
_REPORTED = "max by (district) (leap_schools_reported)"

_ALERTS: tuple[Alert, ...] = (
    *(_burning(promise, severity) for promise in PROMISES for severity in ("page", "ticket")),
    Alert(
        name="ConservationGap",
        severity="page",
        # The same sign for ten minutes: what is on its way between two readings is not a gap.
        expr=(
            "min_over_time(leap:conservation_gap:records[10m]) > 0"
            " or max_over_time(leap:conservation_gap:records[10m]) < 0"
        ),
        wait="1m",
        summary="records of {{ $labels.district }} are not accounted for at the hop '{{ $labels.hop }}'",
        meaning="what went in is not what came out: a child's absences may have been lost",
    ),
    Alert(
        name="AuditDisagrees",
        severity="page",
        expr="max by (district) (leap_audit_disagreements) > 0",
        wait="5m",
        summary="school days of {{ $labels.district }} are not what the district sent",
        meaning="recounted from the landing log by code that shares nothing with the services: a child's mark is lost, "
        "altered, doubled, or of another child",
    ),
    Alert(
        name="AuditSilent",
        severity="ticket",
        expr="absent(leap_audit_last_timestamp_seconds) or time() - max(leap_audit_last_timestamp_seconds) > 3600",
        wait="15m",
        summary="nothing was recounted for an hour",
        meaning="the auditor is away or can't read the log or the tables: what it would find is found by nobody",
    ),
    Alert(
        name="LogHole",
        severity="page",
        expr="sum by (group) (increase(leap_log_holes_total[1h])) > 0",
        summary="retention removed records before {{ $labels.group }} read them",
        meaning="these records are gone: what districts said with them has to be sent again",
    ),
    Alert(
        name="PartitionStopped",
        severity="page",
        # An answer that fails to come while a broker restarts is over by then.
        expr="max by (group, topic, partition, reason) (leap_stopped_partition) > 0",
        wait="1m",
        summary="{{ $labels.group }} does not read {{ $labels.topic }}/{{ $labels.partition }}: {{ $labels.reason }}",
        meaning="its log is another one than before, or can't be read: what it holds waits for a person's decision",
    ),
    Alert(
        name="ConsumerBehind",
        severity="page",
        expr="leap:lag:seconds > 600",
        wait="1m",
        summary="{{ $labels.group }} is ten minutes behind",
        meaning="in five minutes the promise of a quarter of an hour is broken for the oldest mark",
    ),
    Alert(
        name="LagGrows",
        severity="ticket",
        expr="leap:lag:seconds > 30",
        wait="15s",
        summary="{{ $labels.group }} is behind, or does not answer",
        meaning="the oldest record waits longer than half a minute; normally it is under a second",
    ),
    Alert(
        name="ServiceDown",
        severity="ticket",
        expr=f'up{{job=~"{"|".join(SERVICES)}"}} == 0',
        wait="2m",
        summary="{{ $labels.job }} at {{ $labels.instance }} does not answer",
        meaning="one process is away or frozen; if it was the last one, ConsumerAbsent pages",
    ),
    Alert(
        name="TurnStalled",
        severity="page",
        expr="leap_turn_age_seconds > 60",
        wait="1m",
        summary="the batch loop of {{ $labels.group }} at {{ $labels.instance }} makes no turn",
        meaning="the process answers but consumes nothing; after two minutes it should have ended itself",
    ),
    Alert(
        name="OutboxStuck",
        severity="page",
        expr="max by (job) (leap_outbox_age_seconds) > 300",
        wait="1m",
        summary="events of {{ $labels.job }} wait five minutes to be published",
        meaning="decisions are made and nobody hears of them: flags do not reach the desk",
    ),
    Alert(
        name="DeadLetters",
        severity="ticket",
        expr="sum by (job, reason) (max by (job, reason) (leap_dead_letters)) > 0",
        wait="1m",
        summary="{{ $labels.job }} keeps dead letters: {{ $labels.reason }}",
        meaning="records were set aside, bytes unaltered, and wait for a person to repair them",
    ),
    Alert(
        name="DistrictSilent",
        severity="ticket",
        # Nothing on a holiday (none expected), at night (not due), or for a complete roll with no absence (reported).
        expr=f"({_EXPECTED} > 0 and {_REPORTED} == 0) and on () (max(leap_rolls_due) == 1)",
        wait="15m",
        summary="{{ $labels.district }} has a school day and none of its schools has reported by 10:00",
        meaning="its absent children are not seen today; the district's export or its access may be broken",
    ),
    Alert(
        name="CalendarMissing",
        severity="ticket",
        expr="max by (district) (leap_schools_without_calendar) > 0",
        wait="1h",
        summary="{{ $labels.district }} has schools without a calendar",
        meaning="their silence can't be told from a holiday, and their days enrolled are not known",
    ),
    Alert(
        name="RollsWaiting",
        severity="ticket",
        expr="max by (district) (leap_rolls_waiting) > 0",
        wait="1h",
        summary="{{ $labels.district }} sent marks whose roll nobody completed for three school days",
        meaning="these marks count for nothing: absences are missing from flags, and their month closes incomplete",
    ),
    Alert(
        name="ClaimsOverlap",
        severity="ticket",
        expr="max by (district) (leap_claims_unconfirmed) > 0",
        wait="3d",
        summary="{{ $labels.district }} and another district enrol the same children, and nobody confirmed a transfer",
        meaning="a mover not yet settled, a wrong state number, or somebody who enrols what is not theirs",
    ),
    Alert(
        name="RejectedSurge",
        severity="ticket",
        expr=(
            "sum by (district) (increase(leap_rejected_total[1h])) > 20\nand\n"
            "sum by (district) (increase(leap_rejected_total[1h]))"
            " > 0.1 * sum by (district) (max by (district, kind) (increase(leap_landed_total[1h])))"
        ),
        summary="more than a tenth of what {{ $labels.district }} sends is rejected",
        meaning="its export has changed: the marks it means to send have no effect",
    ),
    Alert(
        name="RequestsWaitTooLong",
        severity="ticket",
        expr='max by (district) (leap_desk_oldest_seconds{stage="new"}) > 7 * 86400',
        wait="1h",
        summary="a request of {{ $labels.district }} has waited a week for somebody to take it up",
        meaning="a family that should be called is not called",
    ),
    Alert(
        name="PoolExhausted",
        severity="ticket",
        expr='leap_pool_connections{state="used"} >= on (job, instance) leap_pool_connections{state="most"}',
        wait="10m",
        summary="{{ $labels.job }} at {{ $labels.instance }} uses every connection it may have",
        meaning="requests and batches wait for each other",
    ),
    Alert(
        name="Rebalancing",
        severity="ticket",
        expr="max by (group) (increase(leap_rebalances_total[15m])) > 6",
        summary="{{ $labels.group }} keeps sharing out its partitions anew",
        meaning="members come and go; nothing is consumed meanwhile",
    ),
    Alert(
        name="TimerFails",
        severity="ticket",
        expr="sum by (job, timer) (increase(leap_timer_failures_total[15m])) > 3",
        summary="the timer {{ $labels.timer }} of {{ $labels.job }} fails again and again",
        meaning="what it does regularly is not done: months do not close, waiting is not priced",
    ),
    Alert(
        name="NotMeasured",
        severity="ticket",
        expr="sum by (job, part) (increase(leap_measure_failures_total[15m])) > 3",
        summary="{{ $labels.job }} can't measure: {{ $labels.part }}",
        meaning="its metrics stand still: boards and alerts that use them are not to be trusted",
    ),
    Alert(
        name="ForeignDistrict",
        severity="ticket",
        expr="sum by (district) (increase(leap_foreign_district_total[1h])) > 0",
        summary="the landing topic of {{ $labels.district }} received another district's records",
        meaning="a mistake in the export, or an attempt to write another district's children; all were rejected",
    ),
    Alert(
        name="AccessRefused",
        severity="ticket",
        expr='sum by (job) (increase(leap_http_request_seconds_count{status=~"401|403|429"}[15m])) > 100',
        summary="{{ $labels.job }} refuses many requests",
        meaning="somebody guesses keys, or a district's upload has lost its token",
    ),
    Alert(
        name="FileBroken",
        severity="ticket",
        expr="max by (job, file) (leap_file_broken) > 0",
        wait="2m",
        summary="the {{ $labels.file }} file can't be used by {{ $labels.job }}",
        meaning="who was added since can't come in, and who was withdrawn since still can",
    ),
    Alert(
        name="ContactsCopied",
        severity="ticket",
        expr="max by (district) (leap_contacts_shown_last_hour) > 200",
        summary="contact data of {{ $labels.district }} was shown more than 200 times in an hour",
        meaning="more than a desk can call: somebody may be copying names and addresses",
    ),
    Alert(
        name="NamesCopied",
        severity="ticket",
        expr="max by (job, role) (leap_disclosures_most_last_hour) > 250",
        summary="one {{ $labels.role }} has read of more than 250 families in an hour at {{ $labels.job }}",
        meaning="half of what is allowed, and more than an hour's work asks for: somebody may be copying them",
    ),
    Alert(
        name="ReadingRefused",
        severity="ticket",
        expr="sum by (job, role) (increase(leap_disclosures_refused_total[1h])) > 0",
        summary="{{ $labels.job }} refused a {{ $labels.role }} who had read of too many families within an hour",
        meaning="the limit of names in an hour was reached: a program in a loop, or somebody who copies names",
    ),
    Alert(
        name="Watchdog",
        severity="none",
        expr="vector(1)",
        summary="the alarm works",
        meaning="always firing: whoever receives it raises the alarm when it stops coming (a dead man's switch)",
    ),
)


def _absent(group: str, service: str) -> Alert:
    return Alert(
        name="ConsumerAbsent",
        severity="page",
        expr=f'absent(leap_lag_seconds{{group="{group}"}})',
        wait="3m",
        summary=f"nobody consumes as {group}",
        meaning=f"no process of {service} reports a partition of this group: its records wait, unseen",
        labels={"service": service, "group": group},
    )


def listed() -> tuple[Alert, ...]:
    """Give every alert, those of the services' own consumer groups last."""
    return (*_ALERTS, *(_absent(group, service) for group, service in consumers().items()))


def alert_group() -> dict[str, object]:
    """Give the alerts as Prometheus reads them."""
    return {"name": "leap alerts", "rules": [each.as_rule() for each in listed()]}

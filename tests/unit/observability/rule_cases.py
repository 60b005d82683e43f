"""What fires and what must not, as minutes of made-up measurements: `'0+5x60'` is 0, 5, 10 ... for an hour."""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.observability.rules import consumers

Labels = Mapping[str, str]

LONG = "x35"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One story: what was measured, and which alerts of that name fire at the end of it. None: it must be quiet."""

    alert: str
    story: str
    series: Mapping[str, str]
    at: str = "30m"
    fires: tuple[Labels, ...] = ()


def _aged(late_of_100: int, length: str, group: str = "leap-flagging", topic: str = "rolls") -> dict[str, str]:
    labels = f'group="{group}",topic="{topic}"'
    return {
        f'leap_record_age_seconds_bucket{{{labels},le="900.0"}}': f"0+{100 - late_of_100}{length}",
        f"leap_record_age_seconds_count{{{labels}}}": f"0+100{length}",
    }


def _desk(slow_of_100: int, length: str) -> dict[str, str]:
    labels = 'job="scheduling",route="/requests",method="GET",status="200"'
    return {
        f'leap_http_request_seconds_bucket{{{labels},le="0.5"}}': f"0+{100 - slow_of_100}{length}",
        f"leap_http_request_seconds_count{{{labels}}}": f"0+100{length}",
    }


def _records(dead_a_minute: str, length: str, reason: str = "handler") -> dict[str, str]:
    return {
        'leap_records_in_total{group="leap-flagging"}': f"0+10000{length}",
        f'leap_records_dead_lettered_total{{group="leap-flagging",reason="{reason}"}}': f"0+{dead_a_minute}{length}",
    }


def _district(name: str, *, expected: int, reported: int, length: str = LONG) -> dict[str, str]:
    return {
        f'leap_schools_expected{{district="{name}"}}': f"{expected}{length}",
        f'leap_schools_reported{{district="{name}"}}': f"{reported}{length}",
    }


def _lag(values: str, group: str = "leap-flagging") -> dict[str, str]:
    return {f'leap_lag_seconds{{group="{group}",topic="rolls",partition="0"}}': values}


DUE = {"leap_rolls_due": f"1{LONG}"}
NIGHT = {"leap_rolls_due": f"0{LONG}"}
ALL_REPORT = {**_district("hartford", expected=40, reported=40), **_district("danbury", expected=20, reported=20)}
HOLIDAY = {**_district("hartford", expected=0, reported=0), **_district("danbury", expected=0, reported=0)}
NOT_BEHIND = {**_lag(f"0{LONG}"), **_lag(f"0{LONG}", "leap-scheduling"), **_lag(f"0{LONG}", "leap-reporting")}


def burning(slo: str, *severities: str) -> tuple[Labels, ...]:
    """Give the alerts of a promise that is being broken."""
    return tuple({"severity": severity, "slo": slo} for severity in severities)


# fmt: off
PROMISE_CASES = (
    Case(
        alert="MarksDecidedLate",
        story="half of the marks take longer than a quarter of an hour: somebody is woken",
        series=_aged(50, LONG),
        fires=burning("fresh", "page", "ticket"),
    ),
    Case(
        alert="MarksDecidedLate",
        story="marks are decided at once, but flags reach the desk late",
        series={**_aged(0, LONG), **_aged(50, LONG, "leap-scheduling", "flags")},
        fires=burning("fresh", "page", "ticket"),
    ),
    Case(
        alert="MarksDecidedLate",
        story="four in a hundred are late, for hours and days: a ticket, nobody is woken",
        series=_aged(4, LONG),
        fires=burning("fresh", "ticket"),
    ),
    Case(
        alert="MarksDecidedLate",
        story="one in two hundred is late: within the promise",
        series={
            **_aged(0, LONG),
            'leap_record_age_seconds_count{group="leap-flagging",topic="rolls"}': f"0+100.5{LONG}",
        },
    ),
    Case(
        alert="MarksDecidedLate",
        story="at night nothing comes, and nothing is late",
        series={
            'leap_record_age_seconds_bucket{group="leap-flagging",topic="rolls",le="900.0"}': f"5000{LONG}",
            'leap_record_age_seconds_count{group="leap-flagging",topic="rolls"}': f"9000{LONG}",
        },
    ),
    Case(
        alert="RecordsFailing",
        story="three in a hundred records can't be applied",
        series=_records("300", LONG),
        fires=burning("handled", "page", "ticket"),
    ),
    Case(
        alert="RecordsFailing",
        story="a district writes records too large to return: its fault, not ours",
        series=_records("300", LONG, "too_large"),
    ),
    Case(alert="RecordsFailing", story="one record in ten thousand, less than promised", series=_records("1", LONG)),
    Case(
        alert="DistrictDaysIncomplete",
        story="after ten o'clock one of two districts has not completed its rolls",
        series={**ALL_REPORT, **_district("danbury", expected=20, reported=19), **DUE},
        fires=burning("complete", "page", "ticket"),
    ),
    Case(
        alert="DistrictDaysIncomplete",
        story="a quiet district that reported zero absences has reported",
        series={**ALL_REPORT, **DUE},
    ),
    Case(alert="DistrictDaysIncomplete", story="on a holiday nobody is expected", series={**HOLIDAY, **DUE}),
    Case(
        alert="DistrictDaysIncomplete",
        story="at night nobody has reported yet",
        series={**_district("hartford", expected=40, reported=0), **NIGHT},
    ),
    Case(
        alert="DeskSlow",
        story="nine of ten pages take longer than half a second",
        series=_desk(90, LONG),
        fires=burning("desk", "page", "ticket"),
    ),
    Case(alert="DeskSlow", story="four in a hundred are slow: within the promise", series=_desk(4, LONG)),
)


def _gap(values: str) -> dict[str, str]:
    return {'leap_landed_gap_records{district="hartford"}': values}


def _marks(published: str, dealt_with: str) -> dict[str, str]:
    return {
        'leap_landed_total{district="hartford",kind="mark",job="ingest",instance="a"}': published,
        'leap_landed_total{district="hartford",kind="mark",job="ingest",instance="b"}': published,
        'leap_marks_total{district="hartford",effect="applied"}': dealt_with,
        'leap_marks_total{district="hartford",effect="unchanged"}': f"0{LONG}",
    }


def _flags(desk: str) -> dict[str, str]:
    return {'leap_flags_digest{district="hartford"}': f"120{LONG}", 'leap_desk_flags_digest{district="hartford"}': desk}


def _gone(hop: str) -> tuple[Labels, ...]:
    return ({"severity": "page", "district": "hartford", "hop": hop},)


CONSERVATION_CASES = (
    Case(alert="ConservationGap", story="one landed record is not accounted for", series=_gap(f"1{LONG}"),
         fires=_gone("landed")),
    Case(alert="ConservationGap", story="more was counted than ever landed", series=_gap(f"-3{LONG}"),
         fires=_gone("landed")),
    Case(alert="ConservationGap", story="a mark was published and flagging never dealt with it",
         series={**_marks(f"500{LONG}", f"499{LONG}"), **NOT_BEHIND}, fires=_gone("decided")),
    Case(alert="ConservationGap", story="flagging never heard of a district whose marks were published",
         series={key: value for key, value in _marks(f"500{LONG}", "").items() if "landed" in key} | NOT_BEHIND,
         fires=_gone("decided")),
    Case(alert="ConservationGap", story="flagging dealt with marks that ingest never published",
         series={**_marks(f"500{LONG}", f"501{LONG}"), **NOT_BEHIND}, fires=_gone("decided")),
    Case(alert="ConservationGap", story="a flag stands and the desk does not know it",
         series={**_flags(f"119{LONG}"), **NOT_BEHIND}, fires=_gone("queued")),
    Case(alert="ConservationGap", story="everything adds up, also while marks flow and two processes tell of them",
         series={**_gap(f"0{LONG}"), **_marks(f"0+100{LONG}", f"0+100{LONG}"), **_flags(f"120{LONG}"), **NOT_BEHIND}),
    Case(alert="ConservationGap", story="the desk is behind: a wait, not a gap",
         series={**_flags(f"90{LONG}"), **_lag(f"0+60{LONG}", "leap-scheduling")}),
    Case(alert="ConservationGap", story="a flag is on its way when the figures are read",
         series={**_flags("120x10 119 120x39"), **NOT_BEHIND}),
)

AUDIT_CASES = (
    Case(alert="AuditDisagrees", story="a day of Hartford is not what was sent",
         series={'leap_audit_disagreements{district="hartford",job="auditor"}': f"1{LONG}"},
         fires=({"severity": "page", "district": "hartford"},)),
    Case(alert="AuditDisagrees", story="every day that was recounted agrees",
         series={'leap_audit_disagreements{district="hartford",job="auditor"}': f"0{LONG}"}),
    Case(alert="AuditSilent", story="the auditor was never heard of", series={"up": f"1{LONG}"},
         fires=({"severity": "ticket"},)),
    Case(alert="AuditSilent", story="a district was recounted a minute ago",
         series={"leap_audit_last_timestamp_seconds": f"0+60{LONG}"}),
)

_STOPPED = (
    'leap_stopped_partition{group="leap-ingest",topic="attendance-in-hartford",partition="0",reason="log_replaced"}'
)
_HOLES = 'leap_log_holes_total{group="leap-flagging"}'

LAG_CASES = (
    Case(alert="LagGrows", story="nothing is consumed and the lag grows", series=_lag("0+60x10"), at="3m",
         fires=({"severity": "ticket", "group": "leap-flagging"},)),
    Case(alert="LagGrows", story="the worker is frozen and can't even say so", series=_lag("0x10 stale _x20"), at="13m",
         fires=({"severity": "ticket", "group": "leap-flagging"},)),
    Case(alert="LagGrows", story="a second worker took over a dead one's partitions: the group is known again",
         series={
             'leap_lag_seconds{group="leap-flagging",topic="rolls",partition="0",instance="a"}': "0x10 stale _x20",
             'leap_lag_seconds{group="leap-flagging",topic="rolls",partition="0",instance="b"}': "0x30",
         }, at="20m"),
    Case(alert="LagGrows", story="a busy morning, a few seconds behind", series=_lag(f"8{LONG}")),
    Case(alert="LagGrows", story="at night nothing comes", series=_lag(f"0{LONG}")),
    Case(alert="ConsumerBehind", story="ten minutes behind", series=_lag(f"0+60{LONG}"), at="15m",
         fires=({"severity": "page", "group": "leap-flagging"},)),
    Case(alert="ConsumerBehind", story="frozen for a quarter of an hour", series=_lag("0x5 stale _x30"), at="20m",
         fires=({"severity": "page", "group": "leap-flagging"},)),
    Case(alert="ConsumerBehind", story="half a minute behind is no reason to wake anybody", series=_lag(f"40{LONG}")),
    Case(alert="ConsumerAbsent", story="nobody consumes as visit log",
         series={key: value for group in consumers() if group != "leap-visitlog"
                 for key, value in _lag(f"0{LONG}", group).items()},
         fires=({"severity": "page", "group": "leap-visitlog", "service": "visitlog"},)),
    Case(alert="ConsumerAbsent", story="every group has its consumer",
         series={key: value for group in consumers() for key, value in _lag(f"0{LONG}", group).items()}),
    Case(alert="ServiceDown", story="flagging does not answer", series={'up{job="flagging",instance="a"}': f"0{LONG}"},
         fires=({"severity": "ticket", "job": "flagging", "instance": "a"},)),
    Case(alert="ServiceDown", story="one answer is missed", series={'up{job="flagging",instance="a"}': "1x28 0 1"}),
    Case(alert="TurnStalled", story="a loop hangs", series={
        'leap_turn_age_seconds{group="leap-flagging",job="flagging",instance="a"}': f"0+60{LONG}"}, at="5m",
        fires=({"severity": "page", "group": "leap-flagging", "job": "flagging", "instance": "a"},)),
    Case(alert="TurnStalled", story="nothing to read for an hour, and the loop turns", series={
        'leap_turn_age_seconds{group="leap-flagging",job="flagging",instance="a"}': f"0.1{LONG}"}),
    Case(alert="PartitionStopped", story="one landing topic was made anew", series={_STOPPED: "1x60"}, at="5m",
         fires=({"severity": "page", "group": "leap-ingest", "topic": "attendance-in-hartford", "partition": "0",
                 "reason": "log_replaced"},)),
    Case(alert="PartitionStopped", story="a broker starts again", series={_STOPPED: "1 stale"}, at="5m"),
    Case(alert="LogHole", story="the log left a hole", series={_HOLES: "0x10 1x50"},
         fires=({"severity": "page", "group": "leap-flagging"},)),
    Case(alert="LogHole", story="the hole is of yesterday", series={_HOLES: "1x60"}),
    Case(alert="OutboxStuck", story="events wait to be published", series={
        'leap_outbox_age_seconds{job="flagging",instance="a"}': f"0+60{LONG}"}, at="10m",
        fires=({"severity": "page", "job": "flagging"},)),
    Case(alert="OutboxStuck", story="a burst waits for seconds", series={
        'leap_outbox_age_seconds{job="flagging",instance="a"}': f"4{LONG}"}),
)

DISTRICT_CASES = (
    Case(alert="DistrictSilent", story="a school day, past ten, and no school has reported",
         series={**ALL_REPORT, **_district("danbury", expected=20, reported=0), **DUE},
         fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="DistrictSilent", story="a holiday", series={**HOLIDAY, **DUE}),
    Case(alert="DistrictSilent", story="at night", series={**_district("danbury", expected=20, reported=0), **NIGHT}),
    Case(alert="DistrictSilent", story="a quiet district that reported zero absences", series={**ALL_REPORT, **DUE}),
    Case(alert="CalendarMissing", story="schools without a calendar for two hours",
         series={'leap_schools_without_calendar{district="danbury"}': "2x120"}, at="70m",
         fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="CalendarMissing", story="the calendar came minutes after the first roll",
         series={'leap_schools_without_calendar{district="danbury"}': "2x10 0x110"}, at="70m"),
    Case(alert="RollsWaiting", story="marks of two school days wait for their roll for hours",
         series={'leap_rolls_waiting{district="danbury"}': "2x120", 'leap_rolls_waiting{district="hartford"}': "0x120"},
         at="70m", fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="RollsWaiting", story="the roll was completed in the morning that was its last",
         series={'leap_rolls_waiting{district="danbury"}': "2x30 0x90"}, at="70m"),
    Case(alert="ClaimsOverlap", story="two districts enrol the same child for days",
         series={'leap_claims_unconfirmed{district="danbury"}': "1x6000"}, at="80h",
         fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="ClaimsOverlap", story="a mover whose transfer is confirmed after two days",
         series={'leap_claims_unconfirmed{district="danbury"}': "1x2880 0x3120"}, at="80h"),
    Case(alert="RejectedSurge", story="half of what it sends goes back", series={
        'leap_rejected_total{district="danbury",reason="wrong_type"}': f"0+5{LONG}",
        'leap_landed_total{district="danbury",kind="rejected"}': f"0+5{LONG}",
        'leap_landed_total{district="danbury",kind="mark"}': f"0+5{LONG}"},
        fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="RejectedSurge", story="a handful among thousands", series={
        'leap_rejected_total{district="danbury",reason="wrong_type"}': f"0+1{LONG}",
        'leap_landed_total{district="danbury",kind="mark"}': f"0+1000{LONG}"}),
    Case(alert="RequestsWaitTooLong", story="nobody took a request up for eight days",
         series={'leap_desk_oldest_seconds{district="danbury",stage="new"}': "691200x120"}, at="70m",
         fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="RequestsWaitTooLong", story="one is being worked on for eight days", series={
        'leap_desk_oldest_seconds{district="danbury",stage="contacting"}': "691200x120",
        'leap_desk_oldest_seconds{district="danbury",stage="new"}': "3600x120"}, at="70m"),
    Case(alert="ForeignDistrict", story="another district's child in this topic",
         series={'leap_foreign_district_total{district="danbury"}': "0x10 1x50"},
         fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="ForeignDistrict", story="it was mended yesterday",
         series={'leap_foreign_district_total{district="danbury"}': f"7{LONG}"}),
    Case(alert="ContactsCopied", story="an address book is copied",
         series={'leap_contacts_shown_last_hour{district="danbury"}': f"900{LONG}"},
         fires=({"severity": "ticket", "district": "danbury"},)),
    Case(alert="NamesCopied", story="one person opens every family",
         series={'leap_disclosures_most_last_hour{job="scheduling",role="scheduler"}': f"300{LONG}"},
         fires=({"severity": "ticket", "job": "scheduling", "role": "scheduler"},)),
    Case(alert="NamesCopied", story="a long morning",
         series={'leap_disclosures_most_last_hour{job="scheduling",role="scheduler"}': f"120{LONG}"}),
    Case(alert="ReadingRefused", story="the limit was reached",
         series={'leap_disclosures_refused_total{job="visitlog",role="visitor"}': "0x10 1x50"},
         fires=({"severity": "ticket", "job": "visitlog", "role": "visitor"},)),
    Case(alert="ReadingRefused", story="it was yesterday",
         series={'leap_disclosures_refused_total{job="visitlog",role="visitor"}': f"3{LONG}"}),
    Case(alert="ContactsCopied", story="a busy desk",
         series={'leap_contacts_shown_last_hour{district="danbury"}': f"45{LONG}"}),
)

_REFUSED = 'leap_http_request_seconds_count{job="scheduling",route="/requests",method="GET",status="401"}'
_FAILED = 'leap_timer_failures_total{job="flagging",timer="settle"}'
_UNREAD = 'leap_measure_failures_total{job="flagging",part="outbox"}'
_SHARED = 'leap_rebalances_total{group="leap-flagging"}'


def _pool(used: int) -> dict[str, str]:
    return {
        'leap_pool_connections{job="scheduling",instance="a",state="used"}': f"{used}{LONG}",
        'leap_pool_connections{job="scheduling",instance="a",state="most"}': f"10{LONG}",
    }


PROCESS_CASES = (
    Case(alert="DeadLetters", story="a record was set aside",
         series={'leap_dead_letters{job="flagging",reason="handler"}': f"1{LONG}"},
         fires=({"severity": "ticket", "job": "flagging", "reason": "handler"},)),
    Case(alert="DeadLetters", story="all were repaired",
         series={'leap_dead_letters{job="flagging",reason="handler"}': "3x10 0x50"}),
    Case(alert="PoolExhausted", story="every connection is used", series=_pool(10),
         fires=({"severity": "ticket", "job": "scheduling", "instance": "a"},)),
    Case(alert="PoolExhausted", story="one is free", series=_pool(9)),
    Case(alert="Rebalancing", story="members come and go", series={_SHARED: f"0+1{LONG}"},
         fires=({"severity": "ticket", "group": "leap-flagging"},)),
    Case(alert="Rebalancing", story="a release", series={_SHARED: "1x20 3x40"}),
    Case(alert="TimerFails", story="closing months fails every minute", series={_FAILED: f"0+1{LONG}"},
         fires=({"severity": "ticket", "job": "flagging", "timer": "settle"},)),
    Case(alert="TimerFails", story="the database restarted once", series={_FAILED: "0x20 2x40"}),
    Case(alert="NotMeasured", story="the outbox can't be counted", series={_UNREAD: f"0+1{LONG}"},
         fires=({"severity": "ticket", "job": "flagging", "part": "outbox"},)),
    Case(alert="NotMeasured", story="one measurement took too long", series={_UNREAD: "0x20 1x40"}),
    Case(alert="AccessRefused", story="somebody guesses keys", series={_REFUSED: f"0+30{LONG}"},
         fires=({"severity": "ticket", "job": "scheduling"},)),
    Case(alert="AccessRefused", story="somebody mistyped theirs", series={_REFUSED: f"0+1{LONG}"}),
    Case(alert="FileBroken", story="somebody edited the people file by hand",
         series={'leap_file_broken{job="scheduling",file="people"}': f"1{LONG}"},
         fires=({"severity": "ticket", "job": "scheduling", "file": "people"},)),
    Case(alert="FileBroken", story="it was mended within the minute",
         series={'leap_file_broken{job="scheduling",file="people"}': "0x20 1 0x20"}, at="21m"),
    Case(alert="Watchdog", story="always", series={"up": f"1{LONG}"}, fires=({"severity": "none"},)),
)

CASES = (*PROMISE_CASES, *CONSERVATION_CASES, *AUDIT_CASES, *LAG_CASES, *DISTRICT_CASES, *PROCESS_CASES)

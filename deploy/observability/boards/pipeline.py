"""What flows, how fast, and what is turned away."""

from deploy.observability.panel import Board, asks

PIPELINE = Board(
    uid="leap-pipeline",
    title="Pipeline",
    purpose="What flows, how fast, and what is turned away, hop by hop.",
    panels=(
        asks(
            "How many records a second come in, per hop?",
            ("{{group}}", "sum by (group) (rate(leap_records_in_total[1m]))"),
            reading="Records taken from Kafka, repeated ones included.",
            unit="cps",
        ),
        asks(
            "What becomes of them?",
            ("applied", "sum(rate(leap_records_applied_total[1m]))"),
            ("repeated", "sum(rate(leap_records_skipped_total[1m]))"),
            ("dead-lettered", "sum(rate(leap_records_dead_lettered_total[1m]))"),
            ("given back", "sum(rate(leap_batch_retries_total[1m]))"),
            reading="Applied: the effect is committed. Repeated: seen again after a crash or a rebalance, no effect. "
            "Given back: batches that will be tried again.",
            unit="cps",
        ),
        asks(
            "How many marks change nothing?",
            ("{{effect}}", "sum by (effect) (max by (district, effect) (rate(leap_marks_total[5m])))"),
            reading="Unchanged: the mark was known, or an older version. Many in a resend, few otherwise.",
            unit="cps",
        ),
        asks(
            "What share of the landed records is rejected?",
            (
                "{{district}}",
                'sum by (district) (max by (district, kind) (rate(leap_landed_total{kind=~"rejected|roll_mark_rejected"'
                "}[15m]))) / "
                "(sum by (district) (max by (district, kind) (rate(leap_landed_total[15m]))) > 0)",
            ),
            reading="Per district. Each goes back to it with its reason. Above a tenth makes a ticket.",
            unit="percentunit",
            well_below=0.1,
        ),
        asks(
            "How long from landing to each hop, for half of the records?",
            ("{{group}} {{topic}}", "leap:record_age:p50_seconds"),
            reading="Median, from the landing of the first cause to the commit at the hop. leap-scheduling "
            "flags is mark to visible request.",
            unit="s",
        ),
        asks(
            "How long from landing to each hop, for the slowest in a hundred?",
            ("{{group}} {{topic}}", "leap:record_age:p99_seconds"),
            reading="99th percentile, otherwise as the median. The promise ends at 900 s.",
            unit="s",
            well_below=900,
        ),
        asks(
            "How large are batches?",
            (
                "{{group}}",
                "sum by (group) (rate(leap_batch_records_sum[5m]))"
                " / sum by (group) (rate(leap_batch_records_count[5m])) >= 0",
            ),
            reading="Records a batch, on average. Near 5,000 (ingest: 10,000), the most allowed: it is catching up.",
        ),
        asks(
            "How long does a batch take?",
            (
                "{{group}}",
                "histogram_quantile(0.99, sum by (group, le) (rate(leap_batch_seconds_bucket[5m]))) >= 0",
            ),
            reading="99th percentile, commit included. Above ten seconds statements are near their time limit.",
            unit="s",
            well_below=10,
        ),
        asks(
            "What do services publish?",
            ("{{job}} {{topic}}", "sum by (job, topic) (rate(leap_outbox_published_total[5m]))"),
            reading="Events a second from the outboxes. Ingest publishes past its outbox and is not here.",
            unit="cps",
        ),
        asks(
            "Did the log ever leave a hole?",
            ("{{group}}", "sum by (group) (leap_log_holes_total)"),
            reading="Times that retention removed records before they were read. Each one is a loss, and pages.",
            well_below=1,
        ),
    ),
)

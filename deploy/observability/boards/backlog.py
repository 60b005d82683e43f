"""What waits, where, and for how long."""

from deploy.observability.panel import Board, asks

BACKLOG = Board(
    uid="leap-backlog",
    title="Backlog",
    purpose="What waits, where, and for how long.",
    panels=(
        asks(
            "How far behind is each consumer?",
            ("{{group}}", "leap:lag:seconds"),
            reading="Age of the oldest record not applied. Grows while nothing is consumed, also when the consumer "
            "itself does not answer.",
            unit="s",
            well_below=30,
        ),
        asks(
            "How many records wait for each consumer?",
            ("{{group}}", "sum by (group) (leap_lag_records)"),
            reading="Between the position stored in PostgreSQL and the log's end.",
        ),
        asks(
            "Do positions reach the log's end?",
            (
                "{{group}} {{topic}}",
                'sum by (group, topic) (leap_log_end_offset{group!="leap-ingest"} - leap_position_offset)',
            ),
            (
                "{{group}} landing topics",
                'sum by (group) (leap_log_end_offset{group="leap-ingest"} - leap_position_offset)',
            ),
            reading="Per topic. A distance that never shrinks is a partition that nobody consumes.",
        ),
        asks(
            "How old is the oldest event in each outbox?",
            ("{{job}}", "max by (job) (leap_outbox_age_seconds)"),
            reading="Decided and not yet told. Five minutes page.",
            unit="s",
            well_below=60,
        ),
        asks(
            "How many events wait in each outbox?",
            ("{{job}}", "max by (job) (leap_outbox_depth)"),
            reading="Counted up to 100,000.",
        ),
        asks(
            "What was sent back, and why?",
            ("{{reason}}", "sum by (reason) (leap_rejected_total) or vector(0)"),
            reading="Rejected records by reason since the processes started.",
            kind="bars",
        ),
        asks(
            "What is quarantined, and why?",
            ("{{job}} {{reason}}", "sum by (job, reason) (max by (job, reason) (leap_dead_letters)) or vector(0)"),
            reading="Dead letters kept until somebody repairs them, bytes unaltered.",
            kind="bars",
            well_below=1,
        ),
        asks(
            "How old is the oldest quarantined record?",
            ("{{job}} {{reason}}", "max by (job, reason) (leap_dead_letter_age_seconds) or vector(0)"),
            reading="It does not get better by waiting.",
            unit="s",
            kind="number",
            well_below=86400,
        ),
        asks(
            "Who waits at the desk?",
            ("{{stage}}", "sum by (stage) (max by (district, stage) (leap_desk_requests)) or vector(0)"),
            reading="Requests by stage, all districts.",
        ),
        asks(
            "How long has the oldest request waited in each stage?",
            ("{{stage}}", "max by (stage) (leap_desk_oldest_seconds) or vector(0)"),
            reading="Since the request was opened. A week in 'new' makes a ticket.",
            unit="s",
        ),
    ),
)

"""Who tries what they may not."""

from deploy.observability.panel import Board, asks

SECURITY = Board(
    uid="leap-security",
    title="Security",
    purpose="Who tries what they may not, and who looks at families' names.",
    panels=(
        asks(
            "Does a district write another district's records?",
            ("{{district}}", "sum by (district) (leap_foreign_district_total)"),
            reading="By the topic they landed in. All were rejected. A mistake in an export, or an attack.",
            kind="bars",
            well_below=1,
        ),
        asks(
            "How many requests are refused?",
            (
                "{{job}} {{status}}",
                'sum by (job, status) (increase(leap_http_request_seconds_count{status=~"401|403"}[15m])) or vector(0)',
            ),
            reading="401 nobody, 403 not this way, in 15 minutes. More than 100 make a ticket.",
            well_below=100,
        ),
        asks(
            "How many requests ask for what is not theirs?",
            (
                "{{job}}",
                'sum by (job) (increase(leap_http_request_seconds_count{status="404"}[15m])) or vector(0)',
            ),
            reading="Another district's id answers 404, as one that does not exist: many are somebody trying ids.",
        ),
        asks(
            "How often is contact data shown?",
            ("{{district}}", "max by (district) (leap_contacts_shown_last_hour) or vector(0)"),
            reading="Disclosures in the last hour, each written down with who and when. More than 200 make a ticket.",
            well_below=200,
        ),
        asks(
            "Of how many families has one person read?",
            ("{{job}} {{role}}", "max by (job, role) (leap_disclosures_most_last_hour) or vector(0)"),
            reading="The most that one person of a role read of in an hour. From 500 on they are refused.",
            well_below=250,
        ),
        asks(
            "What can't be read at all?",
            ("{{group}} {{reason}}", "sum by (group, reason) (leap_records_dead_lettered_total)"),
            reading="Since the processes started. Undeclared districts and records made to break a reader end here.",
            kind="bars",
            well_below=1,
        ),
        asks(
            "How are requests answered?",
            ("{{status}}", "sum by (status) (rate(leap_http_request_seconds_count[5m]))"),
            reading="By status. 5xx is ours, 4xx is theirs.",
            unit="reqps",
        ),
    ),
)

"""What the machines do, and what will run out first."""

from deploy.observability.panel import Board, asks

RESOURCES = Board(
    uid="leap-resources",
    title="Resources",
    purpose="What the machines do, and what will run out first.",
    panels=(
        asks(
            "Who answers?",
            ("{{job}}", "sum by (job) (up)"),
            reading="Processes that answer Prometheus.",
            kind="number",
            well_above=1,
        ),
        asks(
            "Who uses the processor?",
            ("{{job}}", "sum by (job) (rate(process_cpu_seconds_total[1m]))"),
            reading="Cores. One process can use one: at 1 it is the limit, start another.",
        ),
        asks(
            "Who uses the memory?",
            ("{{job}}", "sum by (job) (process_resident_memory_bytes)"),
            reading="Resident bytes. Grows with a backlog (fetch buffers), then stands.",
            unit="bytes",
        ),
        asks(
            "How busy is each consumer with batches?",
            ("{{group}}", "sum by (group) (rate(leap_batch_seconds_sum[1m]))"),
            reading="Share of the time spent in batches. Near 1: it can't take more, start another.",
            unit="percentunit",
        ),
        asks(
            "How many database connections are in use?",
            (
                "{{job}}",
                'max by (job) (leap_pool_connections{state="used"}'
                ' / ignoring (state) leap_pool_connections{state="most"})',
            ),
            reading="Of those a process may have. At 1 for ten minutes: a ticket.",
            unit="percentunit",
            well_below=0.9,
        ),
        asks(
            "Does every loop turn?",
            ("{{group}}", "max by (group) (leap_turn_age_seconds)"),
            reading="Time since the batch loop last made a turn. What liveness looks at.",
            unit="s",
            well_below=60,
        ),
        asks(
            "How often are partitions shared out anew?",
            ("{{group}}", "sum by (group) (increase(leap_rebalances_total[15m]))"),
            reading="Assignments in 15 minutes. One per start or stop of a member is normal.",
        ),
        asks(
            "How long do requests take?",
            (
                "{{job}}",
                "histogram_quantile(0.95, sum by (job, le) (rate(leap_http_request_seconds_bucket[5m]))) >= 0",
            ),
            reading="95th percentile until the answer begins. The desk's promise is half a second.",
            unit="s",
            well_below=0.5,
        ),
        asks(
            "How many requests are answered?",
            ("{{job}}", "sum by (job) (rate(leap_http_request_seconds_count[1m]))"),
            reading="Requests a second.",
            unit="reqps",
        ),
        asks(
            "How many files are open?",
            ("{{job}}", "max by (job) (process_open_fds / process_max_fds)"),
            reading="Of those a process may open.",
            unit="percentunit",
            well_below=0.8,
        ),
        asks(
            "Does anything in the background fail?",
            ("timers", "sum(increase(leap_timer_failures_total[15m])) or vector(0)"),
            ("measurements", "sum(increase(leap_measure_failures_total[15m]))"),
            reading="Failed runs in 15 minutes. A measurement that fails makes these boards old.",
            well_below=1,
        ),
    ),
)

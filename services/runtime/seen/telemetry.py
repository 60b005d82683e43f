"""What can be seen of a service from outside: metrics, and logs that never hold a payload."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from services.runtime.seen.away import OnceAMinute, away
from services.runtime.seen.metric import counter, gauge, histogram, snapshot, weighted_histogram

AGE_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 14_400, 86_400)
"""Seconds. 900 is the promise: a quarter of an hour from landing to decision."""

# -- The way in, per consumer group -----------------------------------------------------------------------------------

# Repeated records included: so in = applied + skipped + dead-lettered, and what is missing was given back.
RECORDS_IN = counter("leap_records_in_total", "Records taken from Kafka", ["group"])
# Records whose effect was committed.
RECORDS_APPLIED = counter("leap_records_applied_total", "Records applied", ["group"])
# Unchanged: applied before, seen again after a crash or a rebalance.
RECORDS_SKIPPED = counter("leap_records_skipped_total", "Records below the stored position, applied before", ["group"])
# Any increase wants a person.
RECORDS_DEAD = counter("leap_records_dead_lettered_total", "Records set aside as dead letters", ["group", "reason"])
# Records that retention removed before they were read: gone. Compaction and the ends of transactions are no holes.
HOLES = counter("leap_log_holes_total", "Times that retention removed records before they were read", ["group"])
# Trouble of the surroundings; lag in seconds says what it costs.
RETRIES = counter("leap_batch_retries_total", "Batches given back for another try", ["group"])
BATCH_SECONDS = histogram(
    "leap_batch_seconds",
    "Time to apply a batch, commit included",
    ["group"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCH_RECORDS = histogram(
    "leap_batch_records",
    "Records in a batch",
    ["group"],
    buckets=(1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000),
)
# A record's timestamp is that of its first cause, so at the last hop this is the whole way. A batch counts with the
# age of the oldest record of each partition: never too favourable. Topic `*`: a subscription by pattern.
RECORD_AGE = weighted_histogram(
    "leap_record_age_seconds",
    "Time from the landing of a record's first cause to the commit of its effect here",
    ["group", "topic"],
    buckets=AGE_BUCKETS,
)

# -- How far behind, worked out when asked, so that a standstill shows ------------------------------------------------

LAG_RECORDS = gauge("leap_lag_records", "Records not yet applied", ["group", "topic", "partition"])
# Grows while nothing is consumed.
LAG_SECONDS = gauge("leap_lag_seconds", "Age of the oldest record not yet applied", ["group", "topic", "partition"])
# Stored in PostgreSQL beside what was applied: the truth, Kafka's own offsets are a hint.
POSITION = gauge("leap_position_offset", "Next offset to apply", ["group", "topic", "partition"])
LOG_END = gauge("leap_log_end_offset", "Offset at the end of the log", ["group", "topic", "partition"])
# Many in a row: members die, or take longer over a batch than the group waits.
REBALANCES = counter("leap_rebalances_total", "Assignments of partitions taken", ["group"])
# What liveness looks at: small also when nothing is there to read. Group `outbox` is the relay.
TURN_AGE = gauge("leap_turn_age_seconds", "Time since the batch loop or the relay last made a turn", ["group"])

# From the table that workers keep: it also shows while nobody runs. 1 each; several processes say the same.
STOPPED = snapshot(
    "gauge",
    "leap_stopped_partition",
    "Partitions that are not read on, and why",
    ["group", "topic", "partition", "reason"],
)

# Their topics wrote most of what another group is seconds behind with; whoever shares its partitions is read.
HELD_BACK = gauge("leap_held_back_partitions", "Partitions not read for the moment, so that others are", ["group"])

# -- The way out ------------------------------------------------------------------------------------------------------

OUTBOX_DEPTH = gauge("leap_outbox_depth", "Events waiting to be published, counted up to 100000")
OUTBOX_AGE = gauge("leap_outbox_age_seconds", "Age of the oldest event waiting to be published")
# One of a service's processes publishes; none for long, or more than one at once: see OutboxStuck.
RELAY_HOLDER = gauge("leap_relay_holder", "Whether this process publishes the outbox")
PUBLISHED = counter("leap_outbox_published_total", "Events published from the outbox", ["topic"])

# -- The process ------------------------------------------------------------------------------------------------------

# Standing, not new: they stay until somebody repairs or discards them.
DEAD_LETTERS = snapshot("gauge", "leap_dead_letters", "Dead letters kept, counted up to 100000", ["reason"])
DEAD_LETTER_AGE = snapshot("gauge", "leap_dead_letter_age_seconds", "Age of the oldest dead letter", ["reason"])
# Two processes of a service that differ for long: an upgrade that stopped halfway.
SCHEMA_REVISION = gauge("leap_schema_revision", "Number of the newest migration that the schema has run", ["owner"])
# State `used` near `most` for long: requests and batches wait for each other.
POOL = gauge("leap_pool_connections", "Connections to the database: used, idle, and the most allowed", ["state"])
TIMER_FAILURES = counter("leap_timer_failures_total", "Runs of a timer that failed", ["timer"])
# A metric that can't be read must not look like one that is well.
MEASURE_FAILURES = counter("leap_measure_failures_total", "Measurements that failed, so that metrics are old", ["part"])
# Who was let in, who was not, and who left: `wrong_key` many times in a minute is somebody who tries keys.
SECURITY = counter("leap_security_events_total", "Sign-ins, refusals and ends of sessions", ["happened"])
# 1: what was known before the change is in force, and a person has to correct the file.
FILE_BROKEN = gauge("leap_file_broken", "Whether a file that is read again when it changes can't be used", ["file"])
# Until the answer begins; streams and the operators' own paths are left out. The promise: 95 % within 0.5.
HTTP_SECONDS = histogram(
    "leap_http_request_seconds",
    "Time from a request to the beginning of its answer",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
# Why: `head`, `body` late; `unread` answers; no `room`; too many from one `address`; `malformed`.
HTTP_CUT_OFF = counter("leap_http_cut_off_total", "Connections ended before their request was through", ["why"])
# Asked for more at once than one person, or all together, may.
HTTP_TOO_MANY = counter("leap_http_too_many_total", "Requests refused since as many are being worked on", ["what"])


def where(error: BaseException) -> dict[str, Any]:
    """Say what failed and where, without the message, which may quote a payload, and who does not answer.

    A warning with the latter is said once a minute.
    """
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    seen: dict[str, Any] = {
        "error": type(error).__qualname__,
        "at": [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)],
    }
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate:
        seen["sqlstate"] = sqlstate
    if error.__cause__ is not None:
        seen["cause"] = type(error.__cause__).__qualname__
    if who := away(error):
        seen["away"] = who
    return seen


def _without_payload(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event.update(where(error))
    return event


def _say_what_was_left_out(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if left_out := getattr(event.get("_record"), "left_out", 0):
        event["left_out"] = left_out
    return event


def _as_text(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def configure_logging(level: str, service: str) -> None:
    """Write one JSON object per line to standard output, other libraries' logs included."""

    def name_service(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        _without_payload,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                _say_what_was_left_out,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_as_text),
            ],
        )
    )
    handler.addFilter(OnceAMinute())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiokafka").setLevel("WARNING")
    logging.getLogger("uvicorn").setLevel("WARNING")

"""What can be seen of a service from outside: metrics, and logs that never hold a payload."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog
from prometheus_client import Counter, Gauge, Histogram

# Records taken from Kafka, repeated ones included.
RECORDS_IN = Counter("leap_records_in", "Records taken from Kafka", ["group"])
# Records whose effect was committed.
RECORDS_APPLIED = Counter("leap_records_applied", "Records applied", ["group"])
# Records dropped because they had been applied before: after a crash or a rebalance.
RECORDS_SKIPPED = Counter("leap_records_skipped", "Records below the stored position", ["group"])
# Records set aside. Any increase wants a person.
RECORDS_DEAD = Counter("leap_records_dead_lettered", "Records set aside as dead letters", ["group", "reason"])
# Offsets the log did not deliver even when read again: compaction, or lost to retention.
HOLES = Counter("leap_log_holes", "Holes in the log that were accepted after a second read", ["group"])
# Batches given back because the database or the broker was in trouble.
RETRIES = Counter("leap_batch_retries", "Batches given back for another try", ["group"])
BATCH_SECONDS = Histogram(
    "leap_batch_seconds",
    "Time to apply a batch",
    ["group"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCH_RECORDS = Histogram(
    "leap_batch_records",
    "Records in a batch",
    ["group"],
    buckets=(1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000),
)
# How far behind: records between the stored position and the log's end.
LAG_RECORDS = Gauge("leap_lag_records", "Records not yet applied", ["group", "topic", "partition"])
# How far behind in time: age of the oldest record not yet applied, worked out when asked, so a standstill shows.
LAG_SECONDS = Gauge("leap_lag_seconds", "Age of the oldest record not yet applied", ["group", "topic", "partition"])
OUTBOX_DEPTH = Gauge("leap_outbox_depth", "Events waiting to be published, counted up to 100000")
OUTBOX_AGE = Gauge("leap_outbox_age_seconds", "Age of the oldest event waiting to be published")
PUBLISHED = Counter("leap_outbox_published", "Events published from the outbox", ["topic"])
TIMER_FAILURES = Counter("leap_timer_failures", "Runs of a timer that failed", ["timer"])


def where(error: BaseException) -> dict[str, Any]:
    """This will say what failed and where without the message, which may quote a payload."""
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
    return seen


def _without_payload(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event.update(where(error))
    return event


def _as_text(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configure_logging(level: str, service: str) -> None:
    """This will write one JSON object per line to standard output, other libraries' logs included."""

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
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_as_text),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiokafka reports every retry of a broker that is away; a line per second says no more than the metrics do.
    logging.getLogger("aiokafka").setLevel("WARNING")
    logging.getLogger("uvicorn").setLevel("WARNING")

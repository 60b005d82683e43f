import io
import json
import logging
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from services.runtime.delivery.batch import is_transient
from services.runtime.seen import telemetry
from services.runtime.seen.away import OnceAMinute


def test_logs_are_json_and_never_quote_what_an_exception_says(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    try:
        telemetry.configure_logging("INFO", "example")
        try:
            raise ValueError("Jane Doe")
        except ValueError:
            logging.getLogger("library").exception("it failed")
            structlog.get_logger("ours").error("ours failed", exc_info=True, count=3)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["event"], line["error"], line["service"]) for line in lines] == [
        ("it failed", "ValueError", "example"),
        ("ours failed", "ValueError", "example"),
    ]
    assert lines[1]["at"][0].startswith("test_telemetry.py:")
    assert "Jane" not in written.getvalue()


def test_who_is_away_is_said_once_a_minute_with_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    said: list[tuple[str, int]] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.name, getattr(record, "left_out", 0)))

    heard = Heard()
    heard.addFilter(OnceAMinute(clock=lambda: now[0]))
    monkeypatch.setattr(logging.getLogger(), "handlers", [heard])
    broker, database = (telemetry.where(each) for each in (KafkaConnectionError(), asyncpg.InterfaceError("x")))
    for second in range(0, 180, 10):
        now[0] = float(second)
        logging.getLogger("aiokafka.client").error("Unable connect to %s", "x")
        logging.getLogger("ours").warning({"event": "outbox not relayed", **broker})
        logging.getLogger("ours").warning({"event": "waiting to try again", **database})
        logging.getLogger("ours").error({"event": "giving up", **broker})
        logging.getLogger("ours").warning({"event": "records set aside"})

    assert said.count(("ours", 0)) == 18 + 18 + 1, "what is no repetition is said each time"
    assert [each for each in said if each[0] == "aiokafka.client"] == [("aiokafka.client", n) for n in (0, 11, 11)]
    assert said.count(("ours", 5)) == 2, "the database is another one that is away"


async def test_a_time_limit_names_whose_call_it_ended() -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    try:
        with pytest.raises(KafkaConnectionError) as refused:
            await producer.start()
    finally:
        await producer.stop()
    assert telemetry.where(refused.value)["away"] == "broker"
    with pytest.raises(ConnectionRefusedError) as nobody:
        await asyncpg.connect("postgresql://x@127.0.0.1:1/x")
    assert telemetry.where(nobody.value)["away"] == "database"
    assert "away" not in telemetry.where(ValueError())


def test_what_json_has_no_word_for_is_written_as_text() -> None:
    event = {
        "group": UUID(int=7), "cut_off": date(2026, 9, 1), "at": datetime(2026, 9, 1, 8, tzinfo=UTC),
        "share": Decimal("1.50"), "limit": float("nan"), "line": "\u2028", "file": Path("a/b"), "error": KeyError("x"),
    }  # fmt: skip
    assert json.loads(telemetry._as_text(event)) == {
        "group": "00000000-0000-0000-0000-000000000007", "cut_off": "2026-09-01", "at": "2026-09-01T08:00:00Z",
        "share": "1.50", "limit": None, "line": "\u2028", "file": "a/b", "error": "'x'",
    }  # fmt: skip
    assert "\n" not in telemetry._as_text({"line": "one\ntwo"}), "one line of the log for one event"


def test_every_metric_carries_the_prefix() -> None:
    metrics = [each for each in vars(telemetry).values() if hasattr(each, "_name")]
    assert len(metrics) >= 12
    assert all(each._name.startswith("leap_") for each in metrics)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(), True),
        (TimeoutError(), True),
        (ValueError(), False),
        (KeyError("x"), False),
        (RecursionError(), False),
    ],
)
def test_only_trouble_of_the_surroundings_passes(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected

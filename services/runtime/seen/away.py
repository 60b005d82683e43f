"""What does not answer for a while: named once in a log line, and said once a minute however many meet it."""

import logging
import time
import traceback
from collections.abc import Callable
from typing import Literal

import asyncpg
from aiokafka.errors import KafkaError

Away = Literal["broker", "database", ""]

SAID_AGAIN_SECONDS = 60.0

# SQLSTATE classes of a server that is not there for us: connections, its resources, its operator.
_SERVER_CLASSES = frozenset({"08", "53", "57"})


def away(error: BaseException) -> Away:
    """Name who does not answer, where that is the trouble."""
    if isinstance(error, KafkaError):
        return "broker"
    if isinstance(error, asyncpg.PostgresError):
        return "database" if (error.sqlstate or "")[:2] in _SERVER_CLASSES else ""
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return "database"
    if isinstance(error, OSError | TimeoutError):
        # Whose call it was. A time limit is raised outside of it, from the call's own end.
        for each in (error, error.__cause__):
            if _passed(each, "/aiokafka/"):
                return "broker"
            if _passed(each, "/asyncpg/"):
                return "database"
    return ""


def is_of_kafka_client(error: BaseException) -> bool:
    """Tell whether the Kafka client alone met the error, in something that nobody of ours waits for."""
    return isinstance(error, KafkaError) or _passed(error, "/aiokafka/")


def _passed(error: BaseException | None, folder: str) -> bool:
    """Tell whether a call in this folder's code was under way."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else ()
    return any(folder in frame.filename for frame in frames)


class OnceAMinute(logging.Filter):
    """Lets a line about what is away pass once a minute, and says with it how many were left out since the last.

    That is our own warnings with a field `away`, and whatever the Kafka client says by itself of its broker.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the line is said; `left_out` of the record is how many were not."""
        subject = _subject(record)
        if not subject:
            return True
        now = self._clock()
        if now - self._said_at.get(subject, -SAID_AGAIN_SECONDS) < SAID_AGAIN_SECONDS:
            self._left_out[subject] = self._left_out.get(subject, 0) + 1
            return False
        self._said_at[subject] = now
        record.left_out = self._left_out.pop(subject, 0)
        return True


def _subject(record: logging.LogRecord) -> str:
    if record.levelno < logging.WARNING:
        return ""
    if record.name.partition(".")[0] == "aiokafka":
        # With an exception it is not the broker but the client itself that is at its end.
        return "" if record.exc_info else "broker"
    if isinstance(record.msg, dict) and record.levelno == logging.WARNING:
        return str(record.msg.get("away", ""))
    return ""

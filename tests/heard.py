"""What is said in the log while a block runs, whatever another test has told the log to leave out."""

import contextlib
from collections.abc import Iterator

import structlog
from structlog.typing import EventDict


@contextlib.contextmanager
def heard() -> Iterator[list[EventDict]]:
    """Collect the lines with their fields; the log is afterwards as it was."""
    before = structlog.get_config()
    structlog.reset_defaults()
    try:
        with structlog.testing.capture_logs() as said:
            yield said
    finally:
        structlog.configure(**before)

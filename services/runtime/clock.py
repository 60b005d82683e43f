"""The time of day: real, or moved by a simulated state that lives in another month than we do."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class _Shift:
    """The seconds by which the clock is moved, as the file last said them."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.seconds = 0.0
        self._seen: tuple[int, int] | None = None

    def read(self) -> float:
        """Read the file again where it changed; one that is away or half written changes nothing."""
        if self.file is None:
            return 0.0
        try:
            status = self.file.stat()
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                self.seconds = float(self.file.read_text())
                self._seen = seen
        except (OSError, ValueError):
            pass
        return self.seconds


_shift = _Shift(None)


def use(file: Path | None) -> None:
    """Take the clock's offset from the file, a number of seconds, from now on; None is the real time.

    For simulated states only. The file is read again when it changes: write a new one and rename it.
    """
    global _shift
    _shift = _Shift(file)
    if file is not None:
        log.warning("the clock is moved: this is a simulated state", seconds=_shift.read())


def now() -> datetime:
    """Give the current moment, in UTC. Rules never call it: they are told."""
    return _moved_by(_shift)


def moved() -> timedelta:
    """Tell how far the clock is moved: what to add to a real moment, such as when a record was appended."""
    return timedelta(seconds=_shift.read())


def now_of(file: Path) -> datetime:
    """Give the moment of whoever uses this file, in UTC, without using it."""
    return _moved_by(_Shift(file))


def _moved_by(shift: _Shift) -> datetime:
    return datetime.fromtimestamp(time.time() + shift.read(), UTC)

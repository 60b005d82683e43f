"""How much a district may send by HTTP, and how often what can't be used goes back with a copy of its own. No I/O.

A district's feed that went wrong, or a token in wrong hands, must cost that district and not its neighbours.
"""

from dataclasses import dataclass, field

from services.ingest.rules.landing import Rejection

MAX_REFUSED_ROWS = 500
"""Behind so many rows of one upload that can't become facts nothing more of it is taken: the file is a wrong one."""

MAX_LINES = 1_000_000
"""Of one upload, blank ones too: 64 MB of line ends are read for seconds and say nothing."""

MAX_UPLOADS_AT_ONCE = 4
"""Of one district, whose bodies lie in temporary files meanwhile."""

REFUSED_AT_ONCE = 100
REFUSED_PER_SECOND = 50.0
"""Each row that goes back costs ingest as much as many that go on: behind a burst of them a district waits."""

COPIES_AT_ONCE = 1_000
COPIES_PER_SECOND = 3.0
"""Rejections that are told one by one; what goes beyond is told together, a range of places for each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a district's uploads may come to in an hour: a year of single marks of the largest fits into a few."""

    bytes: int = 1024 * 1024 * 1024
    rows: int = 5_000_000
    refused: int = 10_000

    def refuses(self, used: "Used", wanted: "Used") -> str:
        """Say why so much more may not be taken in this hour, or nothing."""
        if used.refused >= self.refused:
            return f"over {self.refused} rows of this hour could not be used: correct the feed before you send on"
        if used.bytes + wanted.bytes > self.bytes:
            return f"over {self.bytes} bytes in this hour: send the rest later"
        if used.rows + wanted.rows > self.rows:
            return f"over {self.rows} rows in this hour: send the rest later"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What uploads came to. `refused` are rows, and marks of rolls, that can't become facts."""

    bytes: int = 0
    rows: int = 0
    refused: int = 0


@dataclass(slots=True)
class Bucket:
    """A token bucket for each district: so many at once, then a steady rate."""

    at_once: float
    per_second: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_seconds(self, district: str, *, now: float) -> float:
        """Take one and return 0, or the seconds until there is one again. `now` is on a clock that never goes back."""
        left, since = self._left.get(district, (self.at_once, now))
        left = min(self.at_once, left + (now - since) * self.per_second)
        if left < 1:
            self._left[district] = left, now
            return (1 - left) / self.per_second
        self._left[district] = left - 1, now
        return 0.0


@dataclass(slots=True)
class Debt:
    """A bucket for what is known only afterwards: who has taken more than there was waits until it has come again."""

    at_once: float
    per_second: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_seconds(self, district: str, *, now: float) -> float:
        """Give the seconds until nothing is owed any more, or 0."""
        return max(0.0, -self._now(district, now) / self.per_second)

    def take(self, district: str, amount: float, *, now: float) -> None:
        """Take so much, there or not."""
        self._left[district] = self._now(district, now) - amount, now

    def _now(self, district: str, now: float) -> float:
        left, since = self._left.get(district, (self.at_once, now))
        return min(self.at_once, left + (now - since) * self.per_second)


def copies() -> Bucket:
    """Give every district its full number of rejections that are told one by one."""
    return Bucket(COPIES_AT_ONCE, COPIES_PER_SECOND)


def alike(rejection: Rejection, *, but: str = "") -> tuple[str, str]:
    """Give what rejections that may be told together have in common; `but` is the place inside a roll."""
    return rejection.reason.value, rejection.detail.removeprefix(but)

"""What contestants read, and what a contestant's run came to."""

from dataclasses import dataclass

from tests.bench import referee
from tests.bench.machine import Ground, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the contestants of one contest read: a full topic of a ground, and what is true of the marks in it.

    `name` says how the marks come: another form of the same marks is another input, with the same truth.
    """

    name: str
    ground: Ground
    topic: str
    marks: int
    truth: referee.Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant's run. CPU is per mark, in µs; None where the part's processes can't be asked.

    `machine_share` is how much of all cores they all had together.
    """

    contestant: str
    input: str
    marks: int
    seconds: float
    client_cpu_us: float
    postgres_cpu_us: float | None
    broker_cpu_us: float | None
    peak_megabytes: float
    machine_share: float = 0.0

    @property
    def marks_per_second(self) -> float:
        """Give the rate."""
        return self.marks / self.seconds

    @property
    def own_cpu_us(self) -> float | None:
        """Give the CPU of the client and its PostgreSQL, or None where that can't be asked."""
        return None if self.postgres_cpu_us is None else self.client_cpu_us + self.postgres_cpu_us

    @property
    def all_cpu_us(self) -> float | None:
        """Give the CPU of all processes together, or None where one of them can't be asked."""
        if self.own_cpu_us is None or self.broker_cpu_us is None:
            return None
        return self.own_cpu_us + self.broker_cpu_us


def run_of(contestant: str, records: str, marks: int, used: Reading, peak: float) -> Run:
    """Make a run of what the clocks say passed."""
    return Run(
        contestant=contestant,
        input=records,
        marks=marks,
        seconds=used.wall,
        client_cpu_us=1e6 * used.client / marks,
        postgres_cpu_us=None if used.postgres is None else 1e6 * used.postgres / marks,
        broker_cpu_us=None if used.broker is None else 1e6 * used.broker / marks,
        peak_megabytes=peak,
        machine_share=used.machine_share,
    )

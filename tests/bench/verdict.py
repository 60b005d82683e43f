"""What was promised, what was measured, and whether it holds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.bench.contests import Run

PIPELINE_SECONDS = 20.0
P99_SECONDS = 1.0
SERVICE_MEGABYTES = 300.0

_RATIOS = (
    ("one worker against Quix Streams with changelog", "flagging", "quix", 2.0),
    ("one worker against the in-memory ceiling", "flagging", "in-memory ceiling", 0.5),
    ("one worker against one INSERT per message", "flagging", "one INSERT per message", 200.0),
    ("two workers against one", "flagging, 2 at once", "flagging, 1 at once", 1.8),
    ("ingest against the in-memory ceiling", "ingest", "in-memory ceiling", 0.8),
)


def as_json(run: Run) -> dict[str, Any]:
    """Give a run as JSON holds it."""
    return asdict(run) | {"marks_per_second": run.marks_per_second}


def judge_contests(runs: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Compare the median runs; a peer that could not be had is not judged."""
    return [
        _claim(name, runs[one].marks_per_second / runs[other].marks_per_second, at_least=wanted)
        for name, one, other, wanted in _RATIOS
        if one in runs and other in runs
    ]


def judge_pipeline(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold the state's day and the steady stream against what was promised."""
    claims = [
        _claim("a state's day, landing to report, seconds", found["seconds"], at_most=PIPELINE_SECONDS),
        _claim("records unaccounted for", float(len(found["not_conserved"])), at_most=0.0),
        _claim("requests that never came", float(found["requests_missing"]), at_most=0.0),
        _claim("p99 from landing to open request, seconds", found["p99_seconds"], at_most=P99_SECONDS),
    ]
    claims += [
        _claim(f"peak memory of {service}, MB", megabytes, at_most=SERVICE_MEGABYTES)
        for service, megabytes in found["peak_megabytes"].items()
    ]
    return claims


def print_table(runs: Mapping[str, Run]) -> None:
    """Print a line per contestant, the fastest first."""
    print(f"\n{'':26}{'marks':>10}{'marks/s':>12}{'client µs':>12}{'PostgreSQL µs':>15}{'peak MB':>10}")
    for run in sorted(runs.values(), key=lambda run: -run.marks_per_second):
        server = "" if run.postgres_cpu_us is None else f"{run.postgres_cpu_us:.1f}"
        memory = f"{run.peak_megabytes:.0f}" if run.peak_megabytes else ""
        print(
            f"{run.contestant:26}{run.marks:10,}{run.marks_per_second:12,.0f}"
            f"{run.client_cpu_us:12.1f}{server:>15}{memory:>10}"
        )


def print_claims(claims: list[dict[str, Any]]) -> None:
    """Print each claim with its figure and whether it was met."""
    print()
    for claim in claims:
        wanted = f"at least {claim['at_least']:g}" if "at_least" in claim else f"at most {claim['at_most']:g}"
        print(f"  {'met  ' if claim['met'] else 'SHORT'}  {claim['claim']:52} {claim['figure']:9.2f}  ({wanted})")


def _claim(name: str, figure: float, *, at_least: float | None = None, at_most: float | None = None) -> dict[str, Any]:
    if at_least is not None:
        return {"claim": name, "figure": figure, "at_least": at_least, "met": figure >= at_least}
    assert at_most is not None
    return {"claim": name, "figure": figure, "at_most": at_most, "met": figure <= at_most}

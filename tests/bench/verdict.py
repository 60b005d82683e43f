"""What was promised, what was measured, and whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
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

# All processes counted: a peer that keeps its state in itself has the broker keep it too, ours has PostgreSQL.
_COSTS = (("one worker's CPU against Kafka Streams', all processes", "flagging", "kafka_streams", 0.6),)


def as_json(run: Run) -> dict[str, Any]:
    """Give a run as JSON holds it."""
    return asdict(run) | {"marks_per_second": run.marks_per_second, "all_cpu_us": run.all_cpu_us}


def median_run(runs: Sequence[Run]) -> Run:
    """Give the median of each figure of one contestant's runs: a slow minute may strike the clock or the CPU."""
    return Run(
        contestant=runs[0].contestant,
        marks=runs[0].marks,
        seconds=runs[0].marks / median(run.marks_per_second for run in runs),
        client_cpu_us=median(run.client_cpu_us for run in runs),
        postgres_cpu_us=_median_known([run.postgres_cpu_us for run in runs]),
        broker_cpu_us=_median_known([run.broker_cpu_us for run in runs]),
        peak_megabytes=max(run.peak_megabytes for run in runs),
    )


def judge_contests(runs: Mapping[str, Run]) -> list[dict[str, Any]]:
    """Compare the median runs; a peer that could not be had, or a part whose CPU can't be asked, is not judged."""
    claims = [
        _claim(name, runs[one].marks_per_second / runs[other].marks_per_second, at_least=wanted)
        for name, one, other, wanted in _RATIOS
        if one in runs and other in runs
    ]
    for name, one, other, wanted in _COSTS:
        ours, theirs = (runs[each].all_cpu_us if each in runs else None for each in (one, other))
        if ours is not None and theirs is not None:
            claims.append(_claim(name, ours / theirs, at_most=wanted))
    return claims


def wrong_result(contestant: str) -> dict[str, Any]:
    """Give the broken promise of a contestant that computed something else than the rest."""
    return _claim(f"{contestant}: results that are not the ceiling's", 1.0, at_most=0.0)


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


def print_table(title: str, runs: Mapping[str, Run]) -> None:
    """Print a line per contestant, the fastest first; CPU in µs for each mark, and all of it against one worker's."""
    ours = runs["flagging"].all_cpu_us if "flagging" in runs else None
    heads = f"{'marks/s':>10}{'client':>9}{'PostgreSQL':>12}{'broker':>9}{'all µs':>9}"
    print(f"\n{title:24}{heads}{': ours':>8}{'peak MB':>9}{'marks':>11}")
    for run in sorted(runs.values(), key=lambda run: -run.marks_per_second):
        share = run.all_cpu_us / ours if run.all_cpu_us is not None and ours else None
        print(f"{line(run)}{_known(share, 2):>8}{run.peak_megabytes:9.0f}{run.marks:11,}")


def line(run: Run) -> str:
    """Write who ran, how fast, and the CPU of each part for a mark."""
    parts = f"{run.client_cpu_us:9.1f}{_known(run.postgres_cpu_us):>12}{_known(run.broker_cpu_us):>9}"
    return f"{run.contestant:24}{run.marks_per_second:10,.0f}{parts}{_known(run.all_cpu_us):>9}"


def _known(figure: float | None, places: int = 1) -> str:
    return "" if figure is None else f"{figure:.{places}f}"


def print_claims(claims: list[dict[str, Any]]) -> None:
    """Print each claim with its figure and whether it was met."""
    print()
    for claim in claims:
        wanted = f"at least {claim['at_least']:g}" if "at_least" in claim else f"at most {claim['at_most']:g}"
        print(f"  {'met  ' if claim['met'] else 'SHORT'}  {claim['claim']:52} {claim['figure']:9.2f}  ({wanted})")


def _median_known(figures: list[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None


def _claim(name: str, figure: float, *, at_least: float | None = None, at_most: float | None = None) -> dict[str, Any]:
    if at_least is not None:
        return {"claim": name, "figure": figure, "at_least": at_least, "met": figure >= at_least}
    assert at_most is not None
    return {"claim": name, "figure": figure, "at_most": at_most, "met": figure <= at_most}

"""What was promised, what was measured, and whether it holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

from tests.bench.runs import Run

FLAGGING_US = 6.5
MACHINE_FULL, TWO_WORKERS = 0.9, 1.7
STINT_US = 30.0
DAY_SECONDS = {"single marks": 13.0, "whole rolls": 11.0}
MONTH_SECONDS, P99_SECONDS = 5.0, 1.0
TRICKLE_SHARE = 0.1
MEGABYTES = {"flagging": 200.0}
OTHER_MEGABYTES = 300.0

_RATIOS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    (
        "flagging from rolls against the worker of before, marks/s",
        "flagging on rolls",
        ("flagging before on single marks",),
        2.5,
    ),
    (
        "ingest and flagging against Quix, both from the landing topic, marks/s (goal 4)",
        "ingest and flagging on the landing topic",
        ("quix on the landing topic",),
        2.5,
    ),
)
# All processes counted: a peer that keeps its state in itself has the broker keep it too, ours has PostgreSQL. Where a
# peer keeps its state in two ways, the cheaper one counts.
_COSTS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    (
        "flagging's CPU against Kafka Streams', all processes, single marks",
        "flagging on single marks",
        ("kafka_streams on single marks",),
        0.6,
    ),
    (
        "flagging's CPU against Kafka Streams', all processes, rolls (goal a third)",
        "flagging on rolls",
        ("kafka_streams on rolls", "kafka_streams, by 64 on rolls"),
        0.5,
    ),
)
_ONE, _TWO = "flagging, 1 at once on rolls to share", "flagging, 2 at once on rolls to share"
Claim = dict[str, Any]


def as_json(run: Run) -> dict[str, Any]:
    """Give a run as JSON holds it."""
    return asdict(run) | {"marks_per_second": run.marks_per_second, "all_cpu_us": run.all_cpu_us}


def median_run(runs: Sequence[Run]) -> Run:
    """Give the median of each figure of one contestant's runs: a slow minute may strike the clock or the CPU."""
    return replace(
        runs[0],
        seconds=runs[0].marks / median(run.marks_per_second for run in runs),
        client_cpu_us=median(run.client_cpu_us for run in runs),
        postgres_cpu_us=_median_known([run.postgres_cpu_us for run in runs]),
        broker_cpu_us=_median_known([run.broker_cpu_us for run in runs]),
        peak_megabytes=max(run.peak_megabytes for run in runs),
        machine_share=median(run.machine_share for run in runs),
    )


def judge_contests(runs: Mapping[str, Run]) -> list[Claim]:
    """Compare the median runs; a peer that could not be had, or a part whose CPU can't be asked, is not judged."""
    claims = []
    if "flagging on rolls" in runs and (own := runs["flagging on rolls"].own_cpu_us) is not None:
        claims.append(_claim("flagging from rolls, client and PostgreSQL, us a mark", own, at_most=FLAGGING_US))
    for name, one, others, wanted in _RATIOS:
        theirs = [runs[other].marks_per_second for other in others if other in runs]
        if one in runs and theirs:
            claims.append(_claim(name, runs[one].marks_per_second / max(theirs), at_least=wanted))
    for name, one, others, wanted in _COSTS:
        ours = runs[one].all_cpu_us if one in runs else None
        costs = [cost for other in others if other in runs and (cost := runs[other].all_cpu_us) is not None]
        if ours is not None and costs:
            claims.append(_claim(name, ours / min(costs), at_most=wanted))
    if _ONE in runs and _TWO in runs:
        claims.append(_two_workers(runs[_ONE], runs[_TWO]))
    return claims


def _two_workers(one: Run, two: Run) -> Claim:
    ratio = two.marks_per_second / one.marks_per_second
    # Either will do: a machine that is full can do no more.
    return _claim(
        f"two workers: {two.machine_share:.0%} of the cores theirs (90 %), or {ratio:.2f} of one (1.7)",
        max(two.machine_share / MACHINE_FULL, ratio / TWO_WORKERS),
        at_least=1.0,
    )


def wrong_result(contestant: str) -> Claim:
    """Give the broken promise of a contestant that computed something else than the rest."""
    return _claim(f"{contestant}: results that are not the ceiling's", 1.0, at_most=0.0)


def judge_day(found: Mapping[str, Any]) -> list[Claim]:
    """Hold a state's day against what was promised."""
    landed = found["landed"]
    return [
        _claim(f"a state's day, {landed}, landing to report, seconds", found["seconds"], at_most=DAY_SECONDS[landed]),
        *_conserved(f"a state's day, {landed}", found),
    ]


def judge_month(found: Mapping[str, Any]) -> list[Claim]:
    """Hold a month's close, and what waited beside it, against what was promised."""
    return [
        _claim("a month's close: every school told, seconds", found["told_seconds"], at_most=MONTH_SECONDS),
        _claim("a month's close: p99 from mark to request, seconds", found["p99_seconds"], at_most=P99_SECONDS),
        _claim("a month's close: requests that never came", found["requests_missing"], at_most=0.0),
        *_conserved("a month's close", found),
    ]


def judge_trickle(found: Mapping[str, Any]) -> list[Claim]:
    """Hold a steady stream against what was promised."""
    return [
        _claim("a trickle: p99 from landing to open request, seconds", found["p99_seconds"], at_most=P99_SECONDS),
        _claim("a trickle: requests that never came", found["requests_missing"], at_most=0.0),
        _claim("a trickle: flagging and its PostgreSQL, of a core", found["flagging_share"], at_most=TRICKLE_SHARE),
    ]


def judge_roster(found: Mapping[str, Any]) -> list[Claim]:
    """Hold a roster's load against what was promised."""
    return [
        _claim("a roster: flagging and PostgreSQL, us a stint", found["own_cpu_us"], at_most=STINT_US),
        _claim("a roster: students not enrolled", float(found["missing"]), at_most=0.0),
    ]


def judge_first_load(found: Mapping[str, Any]) -> list[Claim]:
    """Hold a first load against conservation: its time is told, and nothing was promised of it."""
    return _conserved(f"a first load, {found['landed']}", found)


def judge_memory(megabytes: Mapping[str, float]) -> list[Claim]:
    """Hold each service's peak against what was promised."""
    return [
        _claim(f"peak memory of {service}, MB", peak, at_most=MEGABYTES.get(service, OTHER_MEGABYTES))
        for service, peak in megabytes.items()
    ]


def _conserved(what: str, found: Mapping[str, Any]) -> list[Claim]:
    return [_claim(f"{what}: counts that are not exact", float(len(found["not_conserved"])), at_most=0.0)]


def print_table(title: str, runs: Iterable[Run]) -> None:
    """Print a line per contestant, the fastest first; CPU in µs for each mark, and all of it against ours."""
    runs = sorted(runs, key=lambda run: -run.marks_per_second)
    if not runs:
        return
    ours = next((run.all_cpu_us for run in runs if run.contestant in ("flagging", "ingest and flagging")), None)
    heads = f"{'marks/s':>10}{'client':>9}{'PostgreSQL':>12}{'broker':>9}{'all µs':>9}"
    print(f"\n{title:24}{heads}{': ours':>8}{'peak MB':>9}{'marks':>11}")
    for run in runs:
        share = run.all_cpu_us / ours if run.all_cpu_us is not None and ours else None
        print(f"{line(run)}{_known(share, 2):>8}{run.peak_megabytes:9.0f}{run.marks:11,}")


def line(run: Run) -> str:
    """Write who ran, how fast, and the CPU of each part for a mark."""
    parts = f"{run.client_cpu_us:9.1f}{_known(run.postgres_cpu_us):>12}{_known(run.broker_cpu_us):>9}"
    return f"{run.contestant:24}{run.marks_per_second:10,.0f}{parts}{_known(run.all_cpu_us):>9}"


def _known(figure: float | None, places: int = 1) -> str:
    return "" if figure is None else f"{figure:.{places}f}"


def print_claims(claims: Iterable[Claim]) -> None:
    """Print each claim with its figure and whether it was met."""
    print()
    for claim in claims:
        wanted = f"at least {claim['at_least']:g}" if "at_least" in claim else f"at most {claim['at_most']:g}"
        print(f"  {'met  ' if claim['met'] else 'SHORT'}  {claim['claim']:80} {claim['figure']:9.2f}  ({wanted})")


def _median_known(figures: list[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None


def _claim(name: str, figure: float, *, at_least: float | None = None, at_most: float | None = None) -> Claim:
    if at_least is not None:
        return {"claim": name, "figure": figure, "at_least": at_least, "met": figure >= at_least}
    assert at_most is not None
    return {"claim": name, "figure": figure, "at_most": at_most, "met": figure <= at_most}

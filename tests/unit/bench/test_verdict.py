"""A verdict that could not say "short" would be none."""

import dataclasses
from itertools import count
from typing import Any

import pytest

from tests.bench import verdict
from tests.bench.__main__ import in_turn
from tests.bench.contests import Run
from tests.bench.peer_setup import PeerMissing
from tests.bench.referee import WrongResult

PROMISED = {
    "flagging": 80_000.0,
    "quix": 35_000.0,
    "kafka_streams": 30_000.0,
    "in-memory ceiling": 120_000.0,
    "one INSERT per message": 140.0,
    "flagging, 1 at once": 80_000.0,
    "flagging, 2 at once": 150_000.0,
    "ingest": 110_000.0,
}
STATE_DAY = {
    "seconds": 17.0,
    "not_conserved": [],
    "requests_missing": 0,
    "p99_seconds": 0.4,
    "peak_megabytes": {"ingest": 120.0},
}


def run_of(contestant: str, rate: float = 50_000.0, **figures: Any) -> Run:
    run = Run(
        contestant=contestant,
        marks=300_000,
        seconds=300_000 / rate,
        client_cpu_us=20.0 if contestant == "kafka_streams" else 3.0,
        postgres_cpu_us=4.0,
        broker_cpu_us=2.0,
        peak_megabytes=90.0,
    )
    return dataclasses.replace(run, **figures)


def runs(rates: dict[str, float]) -> dict[str, Run]:
    return {name: run_of(name, rate) for name, rate in rates.items()}


def test_what_was_promised_is_met() -> None:
    claims = verdict.judge_contests(runs(PROMISED))

    assert len(claims) == 6
    assert all(claim["met"] for claim in claims)


def test_each_ratio_falls_short_when_its_contestant_is_slow() -> None:
    for slow in ("flagging", "flagging, 2 at once", "ingest"):
        claims = verdict.judge_contests(runs(PROMISED | {slow: PROMISED[slow] / 4}))

        assert not all(claim["met"] for claim in claims), slow


@pytest.mark.parametrize(
    ("figures", "ratio", "met"),
    [
        ({}, 9 / 26, True),
        ({"client_cpu_us": 9.6}, 0.6, True),
        ({"client_cpu_us": 9.8}, 15.8 / 26, False),
        ({"postgres_cpu_us": 10.8}, 15.8 / 26, False),
        ({"broker_cpu_us": 8.8}, 15.8 / 26, False),
    ],
    ids=["cheap", "at the line", "client", "PostgreSQL", "broker"],
)
def test_the_cpu_of_every_process_is_held_against_kafka_streams(
    figures: dict[str, float], ratio: float, met: bool
) -> None:
    measured = {"flagging": run_of("flagging", **figures), "kafka_streams": run_of("kafka_streams")}

    (claim,) = verdict.judge_contests(measured)

    assert claim["figure"] == pytest.approx(ratio)
    assert claim["met"] is met


def test_without_the_brokers_cpu_nothing_is_said_about_all_processes() -> None:
    measured = {
        "flagging": run_of("flagging", broker_cpu_us=None),
        "kafka_streams": run_of("kafka_streams"),
    }

    assert measured["flagging"].all_cpu_us is None
    assert verdict.judge_contests(measured) == []


@pytest.mark.parametrize("peer", ["quix", "kafka_streams"])
def test_a_peer_that_could_not_be_had_is_not_judged(peer: str) -> None:
    claims = verdict.judge_contests(runs({name: rate for name, rate in PROMISED.items() if name != peer}))

    assert len(claims) == 5


def test_the_median_of_each_figure_counts() -> None:
    three = [
        run_of("quix", 10_000.0, client_cpu_us=30.0),
        run_of("quix", 30_000.0, client_cpu_us=20.0, broker_cpu_us=None),
        run_of("quix", 20_000.0, client_cpu_us=90.0, broker_cpu_us=6.0, peak_megabytes=95.0),
    ]

    middle = verdict.median_run(three)

    assert middle.marks_per_second == pytest.approx(20_000.0)
    assert (middle.client_cpu_us, middle.broker_cpu_us, middle.peak_megabytes) == (30.0, 4.0, 95.0)


async def test_who_computes_nonsense_has_no_figure_from_any_round_and_that_is_a_broken_promise() -> None:
    rounds = count(1)

    async def quix() -> Run:
        if next(rounds) == 2:
            raise WrongResult("quix told 3 crossings of 4")
        return run_of("quix")

    async def flagging() -> Run:
        return run_of("flagging")

    async def flink() -> Run:
        raise PeerMissing("flink can't be had here: javac is not installed")

    found: dict[str, Any] = {"runs": [], "missing": [], "wrong": [], "claims": []}
    measured = await in_turn({"quix": quix, "flagging": flagging, "flink": flink}, rounds=3, found=found)

    assert set(measured) == {"flagging"}
    assert [run["contestant"] for run in found["runs"]] == ["flagging"] * 3
    assert found["wrong"] == ["quix told 3 crossings of 4"]
    assert found["missing"] == ["flink can't be had here: javac is not installed"]
    assert [claim["met"] for claim in found["claims"]] == [False]


def test_each_promise_of_the_pipeline_can_be_broken() -> None:
    assert all(claim["met"] for claim in verdict.judge_pipeline(STATE_DAY))
    for broken in (
        {"seconds": 20.1},
        {"not_conserved": ["marks kept: 1 instead of 2"]},
        {"requests_missing": 1},
        {"p99_seconds": 1.2},
        {"peak_megabytes": {"flagging": 301.0}},
    ):
        claims = verdict.judge_pipeline(STATE_DAY | broken)

        assert [claim["met"] for claim in claims].count(False) == 1, broken


def test_the_table_shows_every_part_and_the_sum_against_ours(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {"flagging": run_of("flagging"), "flink": run_of("flink", 60_000.0, broker_cpu_us=11.0)}

    verdict.print_table("on single marks", measured)

    _, heads, first, second = capsys.readouterr().out.split("\n")[:4]
    assert " ".join(heads.split()) == "on single marks marks/s client PostgreSQL broker all µs : ours peak MB marks"
    assert first.split() == ["flink", "60,000", "3.0", "4.0", "11.0", "18.0", "2.00", "90", "300,000"]
    assert second.split()[-3] == "1.00"

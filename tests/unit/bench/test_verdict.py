"""A verdict that could not say "short" would be none."""

import dataclasses
from itertools import count
from typing import Any

import pytest

from tests.bench import verdict
from tests.bench.interleaved import LANDING, ROLLS, SHARED, SINGLE, Turn, in_turn, key
from tests.bench.peer_setup import PeerMissing
from tests.bench.referee import WrongResult
from tests.bench.runs import Run

# Contestant and input: marks a second, and client CPU; PostgreSQL takes 2 us of each, the broker 1.
MEASURED = {
    ("flagging", SINGLE): (70_000.0, 10.0),
    ("flagging before", SINGLE): (60_000.0, 8.0),
    ("kafka_streams", SINGLE): (30_000.0, 40.0),
    ("flagging", ROLLS): (170_000.0, 4.0),
    ("kafka_streams", ROLLS): (40_000.0, 30.0),
    ("kafka_streams, by 64", ROLLS): (60_000.0, 20.0),
    ("ingest and flagging", LANDING): (90_000.0, 12.0),
    ("quix", LANDING): (30_000.0, 30.0),
    ("flagging, 1 at once", SHARED): (170_000.0, 4.0),
    ("flagging, 2 at once", SHARED): (300_000.0, 4.0),
}
DAY = {"landed": "single marks", "seconds": 12.0, "not_conserved": []}
MONTH = {"told_seconds": 4.0, "p99_seconds": 0.6, "requests_missing": 0.0, "not_conserved": []}
TRICKLE = {"p99_seconds": 0.6, "requests_missing": 0.0, "flagging_share": 0.06}
ROSTER = {"own_cpu_us": 25.0, "missing": 0}
MEMORY = {"flagging": 150.0, "ingest": 250.0}


def run_of(contestant: str, rate: float = 50_000.0, *, records: str = SINGLE, **figures: Any) -> Run:
    run = Run(
        contestant=contestant,
        input=records,
        marks=300_000,
        seconds=300_000 / rate,
        client_cpu_us=10.0,
        postgres_cpu_us=2.0,
        broker_cpu_us=1.0,
        peak_megabytes=90.0,
        machine_share=0.6,
    )
    return dataclasses.replace(run, **figures)


def runs(changed: dict[tuple[str, str], tuple[float, float]] | None = None, **figures: Any) -> dict[str, Run]:
    return {
        key(*who): run_of(who[0], rate, records=who[1], client_cpu_us=client, **figures)
        for who, (rate, client) in (MEASURED | (changed or {})).items()
    }


def broken(claims: list[verdict.Claim]) -> list[str]:
    return [claim["claim"] for claim in claims if not claim["met"]]


def test_what_was_promised_is_met() -> None:
    claims = verdict.judge_contests(runs())

    assert len(claims) == 6
    assert broken(claims) == []


@pytest.mark.parametrize(
    ("who", "measured", "told"),
    [
        (("flagging", ROLLS), (170_000.0, 4.6), "flagging from rolls, client and PostgreSQL"),
        (("flagging", ROLLS), (149_000.0, 4.0), "against the worker of before"),
        (("flagging", SINGLE), (70_000.0, 24.0), "all processes, single marks"),
        (("kafka_streams, by 64", ROLLS), (60_000.0, 10.5), "all processes, rolls"),
        (("ingest and flagging", LANDING), (74_000.0, 12.0), "both from the landing topic"),
        (("flagging, 2 at once", SHARED), (280_000.0, 4.0), "two workers"),
    ],
)
def test_each_promise_of_the_contests_can_be_broken(
    who: tuple[str, str], measured: tuple[float, float], told: str
) -> None:
    (claim,) = broken(verdict.judge_contests(runs({who: measured})))

    assert told in claim


def test_two_workers_on_a_full_machine_can_do_no_more() -> None:
    slow = {("flagging, 2 at once", SHARED): (200_000.0, 4.0)}

    assert broken(verdict.judge_contests(runs(slow, machine_share=0.89)))
    assert not broken(verdict.judge_contests(runs(slow, machine_share=0.91)))


@pytest.mark.parametrize(
    ("figures", "ratio", "met"),
    [
        ({}, 13 / 43, True),
        ({"client_cpu_us": 22.7}, 25.7 / 43, True),
        ({"client_cpu_us": 22.9}, 25.9 / 43, False),
        ({"postgres_cpu_us": 15.0}, 26 / 43, False),
        ({"broker_cpu_us": 14.0}, 26 / 43, False),
    ],
    ids=["cheap", "at the line", "client", "PostgreSQL", "broker"],
)
def test_the_cpu_of_every_process_is_held_against_kafka_streams(
    figures: dict[str, Any], ratio: float, met: bool
) -> None:
    measured = {
        key("flagging", SINGLE): run_of("flagging", **figures),
        key("kafka_streams", SINGLE): run_of("kafka_streams", client_cpu_us=40.0),
    }

    (claim,) = verdict.judge_contests(measured)

    assert claim["figure"] == pytest.approx(ratio)
    assert claim["met"] is met


def test_without_the_brokers_cpu_nothing_is_said_about_all_processes() -> None:
    measured = {
        key("flagging", SINGLE): run_of("flagging", broker_cpu_us=None),
        key("kafka_streams", SINGLE): run_of("kafka_streams"),
    }

    assert measured[key("flagging", SINGLE)].all_cpu_us is None
    assert verdict.judge_contests(measured) == []


@pytest.mark.parametrize("who", [("quix", LANDING), ("flagging before", SINGLE), ("kafka_streams", SINGLE)])
def test_a_peer_that_could_not_be_had_is_not_judged(who: tuple[str, str]) -> None:
    measured = runs()
    del measured[key(*who)]

    assert len(verdict.judge_contests(measured)) == 5


def test_a_peer_is_held_to_the_cheaper_of_its_layouts() -> None:
    measured = runs()
    del measured[key("kafka_streams, by 64", ROLLS)]

    figure = {claim["claim"]: claim["figure"] for claim in verdict.judge_contests(measured)}

    assert figure["flagging's CPU against Kafka Streams', all processes, rolls (goal a third)"] == pytest.approx(7 / 33)


def test_the_median_of_each_figure_counts() -> None:
    three = [
        run_of("quix", 10_000.0, client_cpu_us=30.0),
        run_of("quix", 30_000.0, client_cpu_us=20.0, broker_cpu_us=None, machine_share=0.9),
        run_of("quix", 20_000.0, client_cpu_us=90.0, broker_cpu_us=6.0, peak_megabytes=95.0, machine_share=0.7),
    ]

    middle = verdict.median_run(three)

    assert middle.marks_per_second == pytest.approx(20_000.0)
    assert (middle.client_cpu_us, middle.broker_cpu_us, middle.peak_megabytes) == (30.0, 3.5, 95.0)
    assert middle.machine_share == 0.7


async def test_who_computes_nonsense_has_no_figure_from_any_round_and_that_is_a_broken_promise() -> None:
    rounds = count(1)

    async def quix() -> Run:
        if next(rounds) == 2:
            raise WrongResult("quix told 3 crossings of 4")
        return run_of("quix", records=ROLLS)

    async def flagging() -> Run:
        return run_of("flagging")

    async def flink() -> Run:
        raise PeerMissing("flink can't be had here: javac is not installed")

    found: dict[str, Any] = {"runs": [], "missing": [], "wrong": [], "claims": []}
    turns: dict[str, Turn] = {
        key("quix", ROLLS): quix,
        key("quix", SINGLE): flagging,
        key("flagging", SINGLE): flagging,
        "flink": flink,
    }
    measured = await in_turn(turns, rounds=3, found=found)

    assert set(measured) == {key("quix", SINGLE), key("flagging", SINGLE)}
    assert [run["input"] for run in found["runs"]] == [SINGLE] * 6
    assert found["wrong"] == ["quix told 3 crossings of 4"]
    assert found["missing"] == ["flink can't be had here: javac is not installed"]
    assert [claim["met"] for claim in found["claims"]] == [False]


@pytest.mark.parametrize(
    ("landed", "seconds", "met"),
    [("single marks", 12.9, True), ("single marks", 13.1, False), ("whole rolls", 11.1, False)],
)
def test_a_states_day_has_its_seconds_by_how_it_landed(landed: str, seconds: float, met: bool) -> None:
    claims = verdict.judge_day(DAY | {"landed": landed, "seconds": seconds})

    assert claims[0]["met"] is met
    assert claims[1]["met"]


@pytest.mark.parametrize(
    ("judge", "measured", "fault"),
    [
        (verdict.judge_day, DAY, {"not_conserved": ["marks kept: 1 instead of 2"]}),
        (verdict.judge_month, MONTH, {"told_seconds": 5.1}),
        (verdict.judge_month, MONTH, {"p99_seconds": 1.1}),
        (verdict.judge_month, MONTH, {"p99_seconds": float("nan")}),
        (verdict.judge_month, MONTH, {"requests_missing": 1.0}),
        (verdict.judge_month, MONTH, {"not_conserved": ["student months: 1 instead of 2"]}),
        (verdict.judge_trickle, TRICKLE, {"p99_seconds": 1.1}),
        (verdict.judge_trickle, TRICKLE, {"requests_missing": 1.0}),
        (verdict.judge_trickle, TRICKLE, {"flagging_share": 0.11}),
        (verdict.judge_roster, ROSTER, {"own_cpu_us": 31.0}),
        (verdict.judge_roster, ROSTER, {"missing": 1}),
        (verdict.judge_first_load, DAY, {"not_conserved": ["marks kept: 1 instead of 2"]}),
        (verdict.judge_memory, MEMORY, {"flagging": 201.0}),
        (verdict.judge_memory, MEMORY, {"ingest": 301.0}),
    ],
)
def test_each_promise_of_the_state_can_be_broken(judge: Any, measured: dict[str, Any], fault: dict[str, Any]) -> None:
    assert broken(judge(measured)) == []

    assert len(broken(judge(measured | fault))) == 1


def test_the_table_shows_every_part_and_the_sum_against_ours(capsys: pytest.CaptureFixture[str]) -> None:
    measured = [run_of("flagging"), run_of("flink", 60_000.0, broker_cpu_us=14.0)]

    verdict.print_table("on single marks", measured)

    _, heads, first, second = capsys.readouterr().out.split("\n")[:4]
    assert " ".join(heads.split()) == "on single marks marks/s client PostgreSQL broker all µs : ours peak MB marks"
    assert first.split() == ["flink", "60,000", "10.0", "2.0", "14.0", "26.0", "2.00", "90", "300,000"]
    assert second.split()[-3] == "1.00"

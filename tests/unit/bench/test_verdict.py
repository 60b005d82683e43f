"""A verdict that could not say "short" would be none."""

from tests.bench import verdict
from tests.bench.contests import Run

PROMISED = {
    "flagging": 80_000.0,
    "quix": 35_000.0,
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


def runs(rates: dict[str, float]) -> dict[str, Run]:
    return {
        name: Run(contestant=name, marks=300_000, seconds=300_000 / rate, client_cpu_us=3.0)
        for name, rate in rates.items()
    }


def test_what_was_promised_is_met() -> None:
    claims = verdict.judge_contests(runs(PROMISED))

    assert len(claims) == 5
    assert all(claim["met"] for claim in claims)


def test_each_ratio_falls_short_when_its_contestant_is_slow() -> None:
    for slow in ("flagging", "flagging, 2 at once", "ingest"):
        claims = verdict.judge_contests(runs(PROMISED | {slow: PROMISED[slow] / 4}))

        assert not all(claim["met"] for claim in claims), slow


def test_a_peer_that_could_not_be_had_is_not_judged() -> None:
    claims = verdict.judge_contests(runs({name: rate for name, rate in PROMISED.items() if name != "quix"}))

    assert [claim["claim"] for claim in claims if "Quix" in claim["claim"]] == []


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

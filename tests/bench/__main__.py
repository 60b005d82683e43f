"""`python -m tests.bench`: every contestant on the same marks, in turn; then a state's day; then a full desk."""

import argparse
import asyncio
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from deploy.demo.districts import DISTRICTS
from deploy.local import create_topics
from deploy.local.machine import checkout
from services.runtime.delivery.publisher import Publisher
from tests.bench import contests, desk, load, pipeline, referee, verdict
from tests.bench.contests import Run
from tests.bench.machine import Ground
from tests.bench.peer_setup import PeerMissing

MARKS, SHORT_MARKS, LONG_MARKS = 300_000, 20_000, 1_200_000
PER_MESSAGE_MARKS, SHORT_PER_MESSAGE_MARKS = 2_000, 200
ROUNDS, SHORT_ROUNDS = 3, 1
PARTS = ("contests", "pipeline", "desk")
Turn = Callable[[], Awaitable[Run]]
_DISTRICTS = tuple(district.code for district in DISTRICTS)


def main() -> None:
    """Run the benchmark and end with 1 where a promised ratio was not met, or a contestant computed nonsense."""
    arguments = _parse(sys.argv[1:])
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    # This measures this machine: parts that run elsewhere would not be compared on equal terms.
    for given in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"):
        os.environ.pop(given, None)
    # Outside the checkout: `leap down --purge` in another terminal must not take the parts away.
    folder = Path(tempfile.mkdtemp(prefix="leap-bench-"))
    try:
        found = asyncio.run(_measure(arguments, folder))
    finally:
        if arguments.keep:
            print(f"parts and logs are left in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nwritten to {arguments.json}")
    if found["wrong"] or (any(not claim["met"] for claim in found["claims"]) and not arguments.short):
        sys.exit(1)


async def _measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"short": arguments.short, "runs": [], "missing": [], "wrong": [], "claims": []}
    if "contests" in arguments.parts:
        await _contests(arguments, folder / "contests", found)
    if "pipeline" in arguments.parts:
        await _pipeline(arguments, folder / "pipeline", found)
    if "desk" in arguments.parts:
        await _desk(arguments, folder / "desk", found)
    return found


async def _contests(arguments: argparse.Namespace, folder: Path, found: dict[str, Any]) -> None:
    marks = arguments.marks or (SHORT_MARKS if arguments.short else LONG_MARKS if arguments.long else MARKS)
    few = SHORT_PER_MESSAGE_MARKS if arguments.short else PER_MESSAGE_MARKS
    rounds = arguments.rounds or (SHORT_ROUNDS if arguments.short else ROUNDS)
    # Ingest publishes into `attendance`: on a broker of its own it can't lengthen what flagging reads.
    ground, landing_ground = Ground(folder / "facts"), None
    try:
        landing_ground = Ground(folder / "landing", districts=_DISTRICTS)
        await create_topics(ground.broker.address, ())
        await create_topics(landing_ground.broker.address, _DISTRICTS)
        print(f"filling the topics with {marks:,} marks", flush=True)
        await _fill(ground, lambda publisher: load.fill_attendance(publisher, marks))
        await _fill(landing_ground, lambda publisher: load.fill_landing(publisher, marks, _DISTRICTS))
        single_marks = contests.Input(
            name="single marks",
            ground=ground,
            topic="attendance",
            marks=marks,
            truth=referee.truth_of(load.values(marks)),
        )
        turns = {
            **_contestants(single_marks),
            "one INSERT per message": lambda: contests.per_message(single_marks, few),
            "ingest": lambda: contests.ingest(landing_ground, marks),
        }
        runs = await in_turn(turns, rounds=rounds, found=found)
    finally:
        ground.stop()
        if landing_ground:
            landing_ground.stop()
    verdict.print_table(f"on {single_marks.name}", runs)
    found["medians"] = [verdict.as_json(run) for run in runs.values()]
    found["claims"] += verdict.judge_contests(runs)
    verdict.print_claims(found["claims"])


def _contestants(records: contests.Input) -> dict[str, Turn]:
    return {
        "flagging": lambda: contests.flagging(records),
        "in-memory ceiling": lambda: contests.ceiling(records),
        "quix": lambda: contests.peer(records, name="quix"),
        "kafka_streams": lambda: contests.peer(records, name="kafka_streams"),
        "flink": lambda: contests.peer(records, name="flink"),
        contests.together(1): lambda: contests.flagging_together(records, workers=1),
        contests.together(2): lambda: contests.flagging_together(records, workers=2),
    }


async def in_turn(turns: dict[str, Turn], *, rounds: int, found: dict[str, Any]) -> dict[str, Run]:
    """Round after round, so that a slow minute of the machine strikes all alike; the medians of each count.

    Who can't be had is left out. Who computes nonsense has no figure, from no round, and that is a broken promise.
    """
    by_contestant: dict[str, list[Run]] = {}
    for number in range(1, rounds + 1):
        for name, turn in list(turns.items()):
            try:
                run = await turn()
            except PeerMissing as missing:
                print(f"left out: {missing}", flush=True)
                found["missing"].append(str(missing))
                del turns[name]
                continue
            except referee.WrongResult as wrong:
                print(f"no figure: {wrong}", flush=True)
                found["wrong"].append(str(wrong))
                found["claims"].append(verdict.wrong_result(name))
                del turns[name]
                by_contestant.pop(name, None)
                found["runs"] = [run for run in found["runs"] if run["contestant"] != name]
                continue
            by_contestant.setdefault(name, []).append(run)
            found["runs"].append({"round": number, **verdict.as_json(run)})
            print(f"  round {number}  {verdict.line(run)}", flush=True)
    return {name: verdict.median_run(runs) for name, runs in by_contestant.items()}


async def _pipeline(arguments: argparse.Namespace, folder: Path, found: dict[str, Any]) -> None:
    size = pipeline.SHORT_DAY if arguments.short else pipeline.STATE_DAY
    day = pipeline.StateDay(size)
    ground = Ground(folder, districts=day.districts)
    try:
        found["pipeline"] = await pipeline.measure(ground, day)
    finally:
        ground.stop()
    claims = verdict.judge_pipeline(found["pipeline"])
    verdict.print_claims(claims)
    found["claims"] += claims


async def _desk(arguments: argparse.Namespace, folder: Path, found: dict[str, Any]) -> None:
    ground = Ground(folder)
    try:
        await create_topics(ground.broker.address, ())
        found["desk"] = await desk.measure(ground, desk.SHORT if arguments.short else desk.FULL)
    finally:
        ground.stop()
    desk.print_pages(found["desk"])
    claims = desk.judge(found["desk"])
    verdict.print_claims(claims)
    found["claims"] += claims


async def _fill(ground: Ground, fill: Callable[[Publisher], Awaitable[None]]) -> None:
    publisher = Publisher(ground.broker.address, source="bench")
    await publisher.start()
    try:
        await fill(publisher)
    finally:
        await publisher.stop()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="a smoke run: few marks, one round, no verdict")
    length.add_argument("--long", action="store_true", help="1.2 million marks per contestant")
    parser.add_argument("--marks", type=int, help="marks per contestant")
    parser.add_argument("--rounds", type=int, help="how often each contestant has its turn")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--keep", action="store_true", help="leave the parts' folder with its logs")
    parser.add_argument("--json", type=Path, default=checkout() / ".leap" / "bench" / "result.json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

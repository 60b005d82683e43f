"""Random faults on the whole system, round after round: `python -m tests.faults`, or `make faults`.

A run that was interrupted goes on where it was, with what it had stored. 1 where anything was lost, doubled, wrong or
stuck; the table is printed, and written beside what was stored as Markdown and JSON.
"""

import argparse
import asyncio
import logging
import shutil
import sys
from pathlib import Path

from tests.faults import ledger as ledgers
from tests.faults.bed import Shape, can_have_disks, running
from tests.faults.ledger import Ledger
from tests.faults.rounds import DECK, KILLS_A_ROUND, TIMES_A_ROUND, Rounds, kind_of, play_all, say
from tests.faults.town import Town

FOLDER = Path(__file__).parents[2] / ".leap" / "faults"
SHORT = ("database partition", "broker kill -9", "commit unanswered")


async def run(arguments: argparse.Namespace) -> Ledger:
    """Play rounds until there were so many kills, and give what came of it."""
    folder: Path = arguments.folder
    shape = Shape(arguments.brokers, arguments.workers, can_have_disks())
    async with running(folder, shape) as bed:
        ledger = Ledger.of(folder, seed=arguments.seed)
        town = Town(seed=ledger.seed, students=arguments.students)
        rounds = Rounds(bed, town, ledger, load_seconds=arguments.load_seconds)
        try:
            if arguments.short:
                await play_all(rounds, SHORT, kills=4, times=2)
                return ledger
            kills, times = arguments.kills_a_round, arguments.times_a_round
            if arguments.only:
                await play_all(rounds, arguments.only, kills=kills, times=times)
                return ledger
            while not ledger.is_enough(arguments.kills):
                number = len(ledger.rounds)
                await rounds.play(number, kind_of(ledger.seed, number), kills=kills, times=times)
        finally:
            await rounds.stop()
    return ledger


def main() -> int:
    """Run, print the table, and say by the exit code whether it is clean."""
    arguments = _parse(sys.argv[1:])
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if arguments.anew or arguments.short:
        shutil.rmtree(arguments.folder, ignore_errors=True)
    try:
        ledger = asyncio.run(run(arguments))
    except KeyboardInterrupt:
        say("broken off: the same command goes on from here")
        ledger = Ledger.of(arguments.folder, seed=arguments.seed)
    table = ledgers.markdown(ledger)
    for name, text in (("faults.md", table), ("faults.json", ledgers.as_json(ledger))):
        (arguments.folder / name).write_text(text + "\n")
    say(f"written to {arguments.folder}")
    sys.stdout.write(table + "\n")
    return 0 if ledger.is_clean() else 1


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=1000, help="of services; of brokers, databases and lines a tenth as many"
    )
    parser.add_argument(
        "--kills-a-round", type=_some, default=KILLS_A_ROUND, help="of services; more make a run denser"
    )
    parser.add_argument(
        "--times-a-round", type=_some, default=TIMES_A_ROUND, help="the round's own fault is inflicted, at most"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--students", type=int, default=80, help="of each district")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--workers", type=int, choices=(1, 2, 3), default=2, help="of each service")
    parser.add_argument("--load-seconds", type=float, default=20.0, help="over how long a round's day lands")
    parser.add_argument("--short", action="store_true", help="three rounds, in under four minutes")
    parser.add_argument("--only", nargs="+", choices=sorted(set(DECK)), help="a round of each of these kinds")
    parser.add_argument("--anew", action="store_true", help="forget what an earlier run had stored")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args(words)


def _some(word: str) -> int:
    if (number := int(word)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is fewer than one")
    return number


if __name__ == "__main__":
    sys.exit(main())

"""`python -m deploy.demo`: replay the simulated state's school year into the landing topics."""

import argparse
import asyncio
import logging
import sys
from datetime import date, datetime
from functools import partial
from pathlib import Path

from contracts.calendar import school_year_of
from deploy.demo.calendars import last_possible_day, latest_day_worth_replaying
from deploy.demo.replay import UNWATCHED, Around, Progress, replay
from deploy.local.doors import own_door
from services.runtime.broker_access import Broker, Protocol
from services.runtime.settings import zone_from


def main() -> None:
    """Replay what the arguments say and print what each district has sent."""
    # On topics made a moment ago the first sends are retried, and the client says so once per partition.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    arguments = _parse(sys.argv[1:])
    until = last_possible_day(school_year_of(arguments.until)) if arguments.whole_year else arguments.until
    sent = asyncio.run(
        replay(
            broker_of=partial(_broker_of, arguments),
            scale=arguments.scale,
            seed=arguments.seed,
            until=until,
            districts_file=arguments.districts_file,
            around=Around(progress=_show) if sys.stderr.isatty() else UNWATCHED,
        )
    )
    if arguments.report:
        sent.write(arguments.report)
    for district, counts in sent.by_district.items():
        print(
            f"{district:14} {counts.marks:9,} marks {counts.retractions:6,} retractions {counts.rolls:6,} rolls"
            f" {counts.roster:7,} roster {counts.garbage:4,} garbage, of which {counts.repeats:6,} repeats"
        )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--bootstrap", required=True, help="the broker, host:port")
    parser.add_argument("--passwords", type=Path, help="a folder with each district's; without, nobody is asked")
    parser.add_argument("--ca", type=Path, help="who signed the broker's certificate; without, nothing is encrypted")
    parser.add_argument("--districts-file", type=Path, required=True, help="the districts that take part")
    parser.add_argument("--scale", type=_scale, default=0.05, help="share of the real students, 0.01 to 1.0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until", type=date.fromisoformat, default=_today(), help="the last day sent (today)")
    parser.add_argument("--whole-year", action="store_true", help="until the end of that school year")
    parser.add_argument("--report", type=Path, help="write the counts as JSON")
    return parser.parse_args(arguments)


def _broker_of(arguments: argparse.Namespace, district: str) -> Broker:
    if arguments.passwords is None:
        return str(arguments.bootstrap)
    protocol: Protocol = "SASL_PLAINTEXT" if arguments.ca is None else "SASL_SSL"
    door = own_door(arguments.bootstrap, arguments.passwords, protocol=protocol, ca_file=arguments.ca)
    return door.district(district)


def _today() -> date:
    return latest_day_worth_replaying(datetime.now(zone_from()).date())


def _scale(text: str) -> float:
    scale = float(text)
    if not 0.01 <= scale <= 1.0:
        raise argparse.ArgumentTypeError("a scale lies between 0.01 and 1.0")
    return scale


def _show(progress: Progress) -> None:
    share = progress.days_done / progress.days_total
    print(f"\r {progress.day:%b %d}  {share:4.0%}  {progress.records:,} records", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

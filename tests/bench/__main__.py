"""`python -m tests.bench`: every contestant on the same marks, in turn; then what a state does to us; then a full desk.

`--parts` names those that are wanted, and each runs alone.
"""

import argparse
import asyncio
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.local import create_topics
from deploy.local.machine import checkout
from tests.bench import desk, interleaved, roster, state_parts, verdict
from tests.bench.machine import Ground

PARTS = ("contests", "roster", "first-load", *state_parts.PARTS, "desk")


def main() -> None:
    """Run the benchmark and end with 1 where a promise was not met, or a contestant computed nonsense."""
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
    print("\nall that was promised, in one list:")
    verdict.print_claims(found["claims"])
    print(f"\nwritten to {arguments.json}")
    if found["wrong"] or (any(not claim["met"] for claim in found["claims"]) and not arguments.short):
        sys.exit(1)


async def _measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"short": arguments.short, "runs": [], "missing": [], "wrong": [], "claims": []}
    if "contests" in arguments.parts:
        await interleaved.measure(arguments, folder / "contests", found)
    if "roster" in arguments.parts:
        await roster.measure(arguments, folder / "roster", found)
    if "first-load" in arguments.parts:
        await state_parts.first_load(arguments, folder / "first-load", found)
    if set(state_parts.PARTS) & set(arguments.parts):
        await state_parts.measure(arguments, folder / "state", found)
    if "desk" in arguments.parts:
        await _desk(arguments, folder / "desk", found)
    return found


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


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="a smoke run: few marks, one round, no verdict")
    length.add_argument("--long", action="store_true", help="1.2 million marks per contestant")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--marks", type=int, help="contests: marks per contestant")
    parser.add_argument("--rounds", type=int, help="contests: how often each contestant has its turn")
    parser.add_argument("--only", nargs="+", default=(), metavar="WORD", help="contests: those named so, in part")
    parser.add_argument("--students", type=int, help="the state's students, in schools of 504")
    parser.add_argument("--districts", type=int, help="the state's districts")
    parser.add_argument("--seconds", type=int, help="how long the trickle lasts")
    parser.add_argument("--keep", action="store_true", help="leave the parts' folder with its logs")
    parser.add_argument("--json", type=Path, default=checkout() / ".leap" / "bench" / "result.json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

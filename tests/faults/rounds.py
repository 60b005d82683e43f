"""A round: land a day while faults happen, heal, wait until all is worked off, and compare everything."""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
from aiokafka.errors import KafkaError

from contracts.topics import landing_topics
from deploy.commands.position import PositionRefused
from deploy.local import PartFailed
from tests.faults.bed import Bed
from tests.faults.checks import STUCK, WRONG, Checks, by_word, told_shortly, waiting
from tests.faults.inflict import Faults, Skipped
from tests.faults.ledger import Ledger, Round
from tests.faults.operators import Operators, read_on_from_the_start
from tests.faults.proxy import Way
from tests.faults.reading import Reader
from tests.faults.sender import Sender
from tests.faults.town import Town
from tests.pipeline.year.shown import NotShown

# Those whose numbers are promised come more often: a tenth as many as there are kills of services.
DECK = (
    *("broker kill -9", "database kill -9") * 5,
    *("broker partition", "database partition") * 3,
    "freeze", "crash point", "all killed", "sessions ended", "commit unanswered", "slow line", "full disk",
    "clock jump", "rolling restart", "one of three brokers", "landing topic made anew", "database put back",
)  # fmt: skip
ONCE_A_ROUND = frozenset(("rolling restart", "landing topic made anew", "database put back", "all killed"))
KILLS_A_ROUND, TIMES_A_ROUND = 7, 4
SETTLES_WITHIN_SECONDS = 240.0
AGREES_WITHIN_SECONDS = 40.0
_AWAY = (KafkaError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


def kind_of(seed: int, number: int) -> str:
    """Draw the kind of a round: each deck of cards is dealt to its end."""
    deal, card = divmod(number, len(DECK))
    deck = list(DECK)
    random.Random(f"{seed}/deck/{deal}").shuffle(deck)
    return deck[card]


class Rounds:
    """A run on one system. Each round is written down when it is over; one that was interrupted is done again."""

    def __init__(self, bed: Bed, town: Town, ledger: Ledger, *, load_seconds: float) -> None:
        self.bed, self.town, self.ledger = bed, town, ledger
        self.reader = Reader(
            bed.kafka,
            [topic for district in bed.districts for topic in landing_topics(district)],
            bed.folder,
        )
        self.checks = Checks(bed, self.reader)
        self.checks.receipts = ledger.receipts
        self.sender = Sender(bed, town)
        self.agrees_within_seconds = AGREES_WITHIN_SECONDS
        self._load_seconds = load_seconds

    async def stop(self) -> None:
        """Let go of the broker."""
        await self.sender.stop()
        await self.reader.stop()

    async def play(self, number: int, kind: str, *, kills: int = KILLS_A_ROUND, times: int = TIMES_A_ROUND) -> Round:
        """Play one round and write it down."""
        draw = random.Random(f"{self.ledger.seed}/faults/{number}")
        done: Counter[str] = Counter()
        faults = Faults(self.bed, draw, lambda each: done.update([each]))
        operators = Operators(bed=self.bed, sender=self.sender, reader=self.reader, number=number, count=faults.count)
        faults.kinds |= {
            "landing topic made anew": operators.topic_made_anew, "database put back": operators.database_put_back
        }  # fmt: skip
        say(f"round {number}, seed {self.ledger.seed}: {kind}")
        ended_before = Counter(self.bed.ended_by_themselves)
        await self.sender.rosters(number)
        landing = asyncio.create_task(self.sender.attendance(number, seconds=self._load_seconds))
        skipped = ""
        try:
            skipped = await self._inflict(faults, kind, kills=kills, times=times)
        finally:
            await self.heal()
            receipts = await landing
        if not operators.put_back:  # what ingest was told since the copy, receipts too, it does not know any more
            self.ledger.receipts |= receipts
        began = time.monotonic()
        found = operators.found + await self.settle()
        recovery = time.monotonic() - began
        found += await self.compared()
        played = Round(
            number=number, kind=kind, times=dict(done), found=told_shortly(found), counted=by_word(found),
            recovery_seconds=recovery,
            ended_by_themselves=dict(self.bed.ended_by_themselves - ended_before), skipped=skipped,
        )  # fmt: skip
        self.reader.told.wrong.clear()  # told once; what stands wrong in tables is found again in every round
        self.ledger.rounds.append(played)
        self.ledger.write(self.bed.folder)
        say(f"   {dict(done)}, settled after {recovery:.0f} s" + "".join(f"\n   {each}" for each in played.found))
        return played

    async def _inflict(self, faults: Faults, kind: str, *, kills: int, times: int) -> str:
        """Kill workers all the while, and do the round's kind of fault some times in between."""
        inflict, times = faults.kinds[kind], min(times, 1) if kind in ONCE_A_ROUND else times
        every = max(1, kills // max(1, times))
        try:
            for number in range(kills):
                faults.kill_one()
                await faults.some_time(0.2, self._load_seconds / kills)
                if number % every == every - 1 and number // every < times:
                    await inflict()
        except Skipped as why:
            return str(why)
        except (*_AWAY, PartFailed) as error:  # a part that is away for another fault, or is slow to come
            say(f"   {kind} was broken off: {type(error).__name__} {str(error)[:200]}")
        return ""

    async def heal(self) -> None:
        """Make everything good that a round may have left bad."""
        await asyncio.to_thread(self.bed.start_parts)
        for line in self.bed.lines:
            line.turn(Way.OPEN)
            line.lose_answers_to_commits(0)
        self.bed.let_go()
        self.bed.disarm()
        # A run that was broken off between a topic's end and its new beginning leaves the partition as it stopped.
        with suppress(*_AWAY, PositionRefused):
            await read_on_from_the_start(self.bed)

    async def settle(self) -> list[str]:
        """Return when nothing is on its way and every worker is ready, or say what is stuck."""
        until, zeros, left = time.monotonic() + SETTLES_WITHIN_SECONDS, 0, -1
        # Twice nothing: between two looks an event may have gone from one service's outbox to the next.
        while zeros < 2:
            with suppress(*_AWAY):
                left = await waiting(self.bed, self.reader)
                zeros = zeros + 1 if left == 0 and await self.bed.ready() else 0
            if time.monotonic() > until:
                return [f"{STUCK}: {left} records wait after {SETTLES_WITHIN_SECONDS:.0f} s, {await self._not_ready()}"]
            await asyncio.sleep(0.3)  # a poll with a deadline
        return []

    async def _not_ready(self) -> str:
        names = [name for name, each in self.bed.processes.items() if not await asyncio.to_thread(each._says_ready)]
        return f"not ready: {', '.join(names) or 'nobody'}"

    async def compared(self) -> list[str]:
        """Compare until nothing differs, or what differs has not gone after a while: timers have their seconds."""
        until = time.monotonic() + self.agrees_within_seconds
        while True:
            try:
                found = await self.checks.look()
            except (*_AWAY, NotShown) as error:
                found = [f"{WRONG}: could not be asked: {type(error).__name__} {error}"]
            if not found or time.monotonic() > until:
                return found
            await asyncio.sleep(1.0)  # a poll with a deadline


async def play_all(rounds: Rounds, kinds: Sequence[str], *, kills: int, times: int) -> None:
    """Play rounds of these kinds, one after the other."""
    for kind in kinds:
        await rounds.play(len(rounds.ledger.rounds), kind, kills=kills, times=times)


def say(line: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()

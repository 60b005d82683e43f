"""The contests: every contestant in turn, round after round, each form of the same marks on a ground of its own."""

from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from contracts.topics import landing_topics
from deploy.local import create_topics
from services.runtime.delivery.publisher import Publisher
from tests.bench import contests, load, referee, verdict, workers
from tests.bench.contests import BY_PAGE
from tests.bench.machine import Ground
from tests.bench.peer_setup import PeerMissing
from tests.bench.runs import Input, Run

MARKS, SHORT_MARKS, LONG_MARKS = 300_000, 20_000, 1_200_000
PER_MESSAGE_MARKS, SHORT_PER_MESSAGE_MARKS = 2_000, 200
ROUNDS, SHORT_ROUNDS = 3, 1
SINGLE, ROLLS, LANDING, SHARED = "single marks", "rolls", "the landing topic", "rolls to share"
Turn = Callable[[], Awaitable[Run]]


class Size(NamedTuple):
    """How many marks each contestant takes, and how often."""

    marks: int
    shared_marks: int
    few_marks: int
    rounds: int

    @classmethod
    def of(cls, arguments: Namespace) -> "Size":
        """Read what was asked for."""
        marks = arguments.marks or (SHORT_MARKS if arguments.short else LONG_MARKS if arguments.long else MARKS)
        return cls(
            marks=marks,
            # Rebalancing and publishing must not be a large part of it.
            shared_marks=marks if arguments.short or arguments.marks else max(marks, LONG_MARKS),
            few_marks=SHORT_PER_MESSAGE_MARKS if arguments.short else PER_MESSAGE_MARKS,
            rounds=arguments.rounds or (SHORT_ROUNDS if arguments.short else ROUNDS),
        )


async def measure(arguments: Namespace, folder: Path, found: dict[str, Any]) -> None:
    """Fill the topics, let everybody have their turns, and judge the medians."""
    size, grounds = Size.of(arguments), dict[str, Ground]()
    try:
        # Apart: flagging reads every topic of a broker, and on each it is to find one form of the marks.
        for name in (SINGLE, ROLLS, LANDING):
            districts = (load.LANDING_DISTRICT,) if name == LANDING else ()
            grounds[name] = Ground(folder / name.replace(" ", "-"), districts=districts)
            await create_topics(grounds[name].broker.address, districts)
        turns = await _turns(size, grounds, arguments.only)
        runs = await in_turn(turns, rounds=size.rounds, found=found)
    finally:
        for ground in grounds.values():
            ground.stop()
    for name in (SINGLE, ROLLS, LANDING, SHARED):
        verdict.print_table(f"on {name}", [run for run in runs.values() if run.input == name])
    found["medians"] = [verdict.as_json(run) for run in runs.values()]
    claims = verdict.judge_contests(runs)
    verdict.print_claims(claims)
    found["claims"] += claims


async def _turns(size: Size, grounds: dict[str, Ground], only: Iterable[str]) -> dict[str, Turn]:
    print(f"filling the topics with {size.marks:,} marks, each in three forms", flush=True)
    await _fill(grounds[SINGLE], lambda publisher: load.fill_attendance(publisher, size.marks))
    await _fill(grounds[ROLLS], lambda publisher: load.fill_rolls(publisher, size.marks))
    await _fill(grounds[LANDING], lambda publisher: load.fill_landing(publisher, size.marks))
    truth = referee.truth_of(load.values(size.marks))
    single = Input(name=SINGLE, ground=grounds[SINGLE], topic="attendance", marks=size.marks, truth=truth)
    rolls = Input(name=ROLLS, ground=grounds[ROLLS], topic="rolls", marks=size.marks, truth=truth)
    landing = landing_topics(load.LANDING_DISTRICT)[0]
    landed = Input(name=LANDING, ground=grounds[LANDING], topic=landing, marks=size.marks, truth=truth)
    turns: dict[str, Turn] = {
        **_on_facts(single),
        key("flagging before", SINGLE): lambda: workers.flagging_before(single),
        key("one INSERT per message", SINGLE): lambda: contests.per_message(single, size.few_marks),
        **_on_facts(rolls),
        **{
            key(contests.peer_name(name, BY_PAGE), ROLLS): _peer(rolls, name, BY_PAGE)
            for name in ("kafka_streams", "flink", "quix")
        },
        key("ingest and flagging", LANDING): lambda: workers.ingest_and_flagging(landed),
        key("quix", LANDING): lambda: contests.peer(landed, name="quix"),
        key("ingest", LANDING): lambda: workers.ingest(landed),
        **_shared(size, grounds[LANDING]),
    }
    return {name: turn for name, turn in turns.items() if not only or any(word in name for word in only)}


def key(contestant: str, name: str) -> str:
    """Name a contestant of one contest."""
    return f"{contestant} on {name}"


def _on_facts(records: Input) -> dict[str, Turn]:
    return {
        key("flagging", records.name): lambda: workers.flagging(records),
        key("in-memory ceiling", records.name): lambda: contests.ceiling(records),
        **{key(name, records.name): _peer(records, name) for name in ("kafka_streams", "flink", "quix")},
    }


def _peer(records: Input, name: str, layout: str = contests.BY_STUDENT) -> Turn:
    return lambda: contests.peer(records, name=name, layout=layout)


def _shared(size: Size, ground: Ground) -> dict[str, Turn]:
    truth = referee.truth_of(load.values(size.shared_marks))
    shared = Input(name=SHARED, ground=ground, topic="rolls", marks=size.shared_marks, truth=truth)
    messages = load.roll_messages(size.shared_marks)
    return {
        key(workers.at_once(1), SHARED): lambda: workers.together(shared, messages, workers=1),
        key(workers.at_once(2), SHARED): lambda: workers.together(shared, messages, workers=2),
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
                found["runs"] = [each for each in found["runs"] if key(each["contestant"], each["input"]) != name]
                continue
            by_contestant.setdefault(name, []).append(run)
            found["runs"].append({"round": number, **verdict.as_json(run)})
            print(f"  round {number}  {verdict.line(run)}  {run.input}", flush=True)
    return {name: verdict.median_run(runs) for name, runs in by_contestant.items()}


async def _fill(ground: Ground, fill: Callable[[Publisher], Awaitable[None]]) -> None:
    publisher = Publisher(ground.broker.address, source="bench")
    await publisher.start()
    try:
        await fill(publisher)
    finally:
        await publisher.stop()

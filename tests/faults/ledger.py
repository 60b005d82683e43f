"""What was tried and what came of it: written down after every round, read when a run goes on, told as a table."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.checks import DOUBLED, LOST, STUCK, WRONG

_WORDS = (LOST, DOUBLED, WRONG, STUCK)
_FILE = "ledger.json"


@dataclass(slots=True, kw_only=True)
class Round:
    """One round: its seed and number make it again."""

    number: int
    kind: str
    times: dict[str, int]
    found: list[str]
    """The first of what was found; how much there was of each word stands in `counted`."""
    counted: dict[str, int]
    recovery_seconds: float
    ended_by_themselves: dict[str, int] = field(default_factory=dict)
    skipped: str = ""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """All rounds of a run, and what the next one needs to know of them."""

    seed: int
    rounds: list[Round] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, *, seed: int) -> "Ledger":
        """Go on with the folder's ledger, or begin one. An unfinished round is not in it, and is done again."""
        file = folder / _FILE
        if not file.exists():
            return cls(seed=seed)
        written: dict[str, Any] = json.loads(file.read_text())
        written.pop("former", None)  # of a run that kept no records of former topics
        written["rounds"] = [Round(**each) for each in written["rounds"]]
        return cls(**written)

    def write(self, folder: Path) -> None:
        """Write it in one step."""
        arriving = folder / f"{_FILE}.new"
        arriving.write_text(json.dumps(asdict(self), indent=1))
        arriving.rename(folder / _FILE)

    def done(self) -> Counter[str]:
        """Count every single fault so far."""
        done: Counter[str] = Counter()
        for each in self.rounds:
            done.update(each.times)
        return done

    def is_enough(self, kills: int) -> bool:
        """Tell whether there were so many kills of services, and a tenth as many of brokers, databases and lines."""
        done = self.done()
        partitions = done["broker partition"] + done["database partition"]
        tenths = min(done["broker kill -9"], done["database kill -9"], partitions)
        return done["service kill -9"] >= kills and 10 * tenths >= kills

    def is_clean(self) -> bool:
        """Tell whether nothing at all was found."""
        return not any(each.found for each in self.rounds)


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    """Give the table: each kind of fault, how often, what was found in its rounds, and how soon all was done after."""
    of_kind: defaultdict[str, list[Round]] = defaultdict(list)
    for each in ledger.rounds:
        for kind in {*each.times, each.kind}:
            of_kind[kind].append(each)
    done = ledger.done()
    table = []
    for kind in sorted(of_kind, key=lambda each: (-done[each], each)):
        rounds = of_kind[kind]
        # A kill is part of every round: what a round found is told in the line of its own kind, and once.
        own = [each for each in rounds if each.kind == kind]
        seconds = [each.recovery_seconds for each in own or rounds if not each.skipped]
        found = _sum(own)
        table.append(
            {"fault": kind, "times": done[kind], "rounds": len(own), **found}
            | {"recovery_median": round(median(seconds), 1) if seconds else None}
            | {"recovery_worst": round(max(seconds), 1) if seconds else None}
            | {"skipped": next((each.skipped for each in own if each.skipped), "")}
        )
    return table


def markdown(ledger: Ledger) -> str:
    """Write the table for people."""
    head = "| Fault | Times | Rounds | Lost | Doubled | Wrong | Stuck | Recovery, s (median, worst) |"
    said = [f"Seed {ledger.seed}, {len(ledger.rounds)} rounds.", "", head, "|" + "---|" * 8]
    for line in lines(ledger):
        if line["skipped"] and not line["times"]:
            said.append(f"| {line['fault']} | not tried: {line['skipped']} | | | | | | |")
            continue
        seconds = f"{line['recovery_median']}, {line['recovery_worst']}"
        found = " | ".join(str(line[word]) for word in _WORDS)
        said.append(f"| {line['fault']} | {line['times']} | {line['rounds']} | {found} | {seconds} |")
    total = _sum(ledger.rounds)
    said.append(f"| all | {sum(ledger.done().values())} | {len(ledger.rounds)} | "
                + " | ".join(str(total[word]) for word in _WORDS) + " | |")  # fmt: skip
    ended: Counter[str] = Counter()
    for each in ledger.rounds:
        ended.update(each.ended_by_themselves)
    if ended:
        said += ["", f"Services that gave up by themselves and were started again: {dict(ended)}."]
    wrong = [f"round {each.number} ({each.kind}): {what}" for each in ledger.rounds for what in each.found]
    return "\n".join([*said, *(["", *wrong] if wrong else [])])


def _sum(rounds: Iterable[Round]) -> dict[str, int]:
    counted = [each.counted for each in rounds]
    return {word: sum(each.get(word, 0) for each in counted) for word in _WORDS}


def as_json(ledger: Ledger) -> str:
    """Write the table for programs."""
    return json.dumps({"seed": ledger.seed, "clean": ledger.is_clean(), "faults": lines(ledger)}, indent=1)

"""Tables as they leave: lines of numbers, hidden or shown, with their as-of time. What is hidden is not in them at all.

STATE stands for the line of the whole state. JSON and CSV say `*` for a hidden number, as the state's own tables do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from services.reporting.rules import closing, policies
from services.reporting.rules.closing import Lacks
from services.reporting.rules.measures import MEASURES, OF_MONTHS, TABLES, TableKind
from services.reporting.rules.policies import STANDARD, Minimum

STATE = "state"
HIDDEN_MARK = "*"

Number = int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the line is about, its numbers in the order of the table's measures, and which of them are hidden."""

    keys: tuple[str, ...]
    numbers: tuple[Number, ...]
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, final. `cut_off` is the last day it counts where it was published, None where it is of this moment.

    `as_of` is that of what it counts: months that have closed end before the moment. `lacks`: None where nobody knows.
    `policy` says from how many enrolled days on students count. `by_sixes`: its counts are told by sixes.
    """

    name: str
    lines: tuple[Line, ...]
    school_year: int
    as_of: datetime | None
    cut_off: date | None = None
    lacks: Lacks | None = None
    policy: Minimum = STANDARD
    by_sixes: bool = False

    @property
    def kind(self) -> TableKind:
        """Its heading, keys and measures."""
        return TABLES[self.name]

    def of_districts(self, visible: Iterable[str]) -> "Table":
        """Leave out the lines of other districts; the state's line stays."""
        kept = {*visible, STATE}
        lacks = self.lacks and self.lacks.of_districts(kept)
        if "district" not in self.kind.keys:
            return replace(self, lacks=lacks)
        at = self.kind.keys.index("district")
        return replace(self, lacks=lacks, lines=tuple(line for line in self.lines if line.keys[at] in kept))

    def where(self, key: str, value: str) -> "Table":
        """Keep the lines about one value of a key."""
        at = self.kind.keys.index(key)
        return replace(self, lines=tuple(line for line in self.lines if line.keys[at] == value))

    def column(self, measure: str) -> list[tuple[tuple[str, ...], Number, bool]]:
        """Give each line's keys, number and whether it is hidden, for one measure."""
        at = self.kind.measures.index(measure)
        return [(line.keys, line.numbers[at], measure in line.hidden) for line in self.lines]


def line(kind_name: str, keys: Sequence[str], shown: Mapping[str, Number | str]) -> Line:
    """Make a line from numbers by measure; HIDDEN_MARK hides one, a measure not given has no number."""
    measures = TABLES[kind_name].measures
    hidden = frozenset(measure for measure in measures if shown.get(measure) == HIDDEN_MARK)
    numbers = tuple(None if measure in hidden else _number(shown.get(measure)) for measure in measures)
    return Line(keys=tuple(keys), numbers=numbers, hidden=hidden)


def _number(value: Number | str) -> Number:
    assert not isinstance(value, str)
    return value


def as_json(table: Table) -> dict[str, Any]:
    """Make the table's JSON document: definitions, as-of time and lines."""
    kind = table.kind
    return {
        "table": table.name,
        "title": kind.title,
        "school_year": table.school_year,
        "as_of": table.as_of,
        "cut_off": table.cut_off,
        "by_sixes": table.by_sixes,
        "lacks": table.lacks and closing.as_document(table.lacks),
        **({"policy": policies.as_document(table.policy)} if table.name in OF_MONTHS else {}),
        "measures": [
            {"name": each.name, "title": each.title, "definition": each.definition, "unit": each.unit}
            for each in (MEASURES[name] for name in kind.measures)
        ],
        "lines": [_plain(kind, each) for each in table.lines],
    }


def _plain(kind: TableKind, each: Line) -> dict[str, Any]:
    return {
        **dict(zip(kind.keys, each.keys, strict=True)),
        **{
            measure: HIDDEN_MARK if measure in each.hidden else number
            for measure, number in zip(kind.measures, each.numbers, strict=True)
        },
    }


def from_json(name: str, lines: Iterable[Mapping[str, Any]], **of_table: Any) -> Table:
    """Read back the lines that `as_json` wrote."""
    keys = TABLES[name].keys
    return Table(
        name=name,
        lines=tuple(line(name, [str(each[key]) for key in keys], dict(each)) for each in lines),
        **of_table,
    )


def as_rows(table: Table) -> list[list[Number | str]]:
    """Make the rows of a CSV file: a heading, then the lines, each with its as-of time, cut-off and what is missing.

    A number stays a number, so that whoever writes the file can tell it from a text.
    """
    kind = table.kind
    moments = [
        table.cut_off.isoformat() if table.cut_off else "",
        table.as_of.isoformat() if table.as_of else "",
    ]
    missing = closing.as_document(table.lacks)["sentence"] if table.lacks else ""
    minimum = [table.policy.minimum_enrolled] if table.name in OF_MONTHS else []
    named = ["minimum_enrolled_days"] if minimum else []
    rows: list[list[Number | str]] = [[*kind.keys, *kind.measures, "school_year", "cut_off", "as_of", "lacks", *named]]
    for each in table.lines:
        shown = _plain(kind, each)
        numbers = [shown[measure] for measure in kind.measures]
        rows.append([*each.keys, *numbers, table.school_year, *moments, missing, *minimum])
    return rows


def percent(part: Number | str, whole: Number | str) -> Number | str:
    """Give the share in per cent to one place: hidden where a side is hidden, nothing where there is none."""
    if isinstance(part, str) or isinstance(whole, str):
        return HIDDEN_MARK
    if not whole or part is None:
        return None
    return round(100 * part / whole, 1)

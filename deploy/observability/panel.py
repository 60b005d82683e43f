"""A panel is a question: what is asked, the queries that answer it, the unit of the answer, and how to read it."""

from dataclasses import dataclass
from typing import Literal, TypedDict, Unpack

Kind = Literal["number", "bars", "lines"]
Unit = Literal["short", "s", "percentunit", "reqps", "bytes", "cps"]
"""Grafana's names: a count, seconds, a share of 1, per second (requests or records), bytes."""

DISTRICT = "$district"
"""Stands in a query for the district that is chosen on the board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """PromQL, and what its answer is called; `{{label}}` is filled in."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question. `well_below`/`well_above`: the line between green and red, where there is one."""

    question: str
    reading: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Kind = "lines"
    width: int = 12
    well_below: float | None = None
    well_above: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board: a question too, asked by somebody who has a minute."""

    uid: str
    title: str
    purpose: str
    panels: tuple[Panel, ...]
    by_district: bool = False


class Look(TypedDict, total=False):
    """How a panel shows its answer, where that is not a count as lines, half the board wide."""

    unit: Unit
    kind: Kind
    width: int
    well_below: float
    well_above: float


def asks(question: str, *answers: tuple[str, str], reading: str, **look: Unpack[Look]) -> Panel:
    """Make a panel from its question and its (legend, PromQL) pairs."""
    queries = tuple(Query(expr=expr, legend=legend) for legend, expr in answers)
    return Panel(question=question, reading=reading, queries=queries, **look)

"""A made-up state with many small numbers: large districts, tiny ones, schools of one grade band and of all."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from services.reporting.rules.figures import Figures, tables_of
from services.reporting.rules.measures import REFERRAL_STATUSES, STEPS
from services.reporting.rules.tables import Table

CUT_OFF = date(2026, 10, 31)
AS_OF = datetime(2026, 10, 31, 20, 0, tzinfo=UTC)

_GRADES_BY_KIND = {
    "elementary": ("PK", "K", "3", "5"),
    "middle": ("6", "8"),
    "high": ("9", "12"),
    "all": ("1", "7", "10"),
}
_COUNTED = ("students", "chronic")
_CONVERSION = (0.9, 0.8, 0.6, 0.8, 0.7, 0.95, 0.3)


def figures_of(seed: int, *, districts: int = 15, movers: float = 0.0) -> Figures:
    """Counts as the store would give them, drawn by seed. `movers`: the share of whom two districts count."""
    chance = random.Random(seed)
    names = [f"district-{number:02}" for number in range(districts)]
    size_by_district = {name: chance.choice((0.02, 0.1, 0.5, 1.0, 3.0)) for name in names}
    furthest, visits, load = [], [], []
    for name in names:
        reached = [int(size_by_district[name] * chance.randint(40, 120))]
        for share in _CONVERSION:
            reached.append(_drawn(chance, reached[-1], share))
        for step, count, further in zip(STEPS, reached, [*reached[1:], 0], strict=True):
            if count - further:
                furthest.append({"district": name, "furthest": step, "households": count - further})
        made = reached[-2] + reached[-1] + _drawn(chance, reached[-1], 0.4)
        visits.append(
            {
                "district": name,
                "visits": made,
                "minutes": made * chance.randint(60, 120),
                "travel_minutes": made * chance.randint(10, 60),
                "mileage_tenths": made * chance.randint(10, 90),
            }
        )
        visitors = max(2, made // 6)
        load += [{"district": name, "visitor": f"v{n}", "visits": 2 * made // visitors} for n in range(visitors)]
    students = [
        line for name, size in size_by_district.items() for line in _students(chance, name, schools=1 + int(4 * size))
    ]
    return Figures(
        districts=names,
        furthest=furthest,
        ages=[{"district": name, "step": step, "days": 4.0} for name in (*names, None) for step in STEPS[1:]],
        waits=[{"district": name, "quartiles": [4.0, 9.0, 15.0]} for name in (*names, None)],
        endings=[
            {"district": name, **{each: _few(chance, size) for each in ("declined", "not_reached", "withdrawn")}}
            for name, size in size_by_district.items()
        ],
        visits=visits,
        logs=[
            {"district": name, **{each: _few(chance, size) for each in ("in_time", "late", "waiting", "overdue")}}
            for name, size in size_by_district.items()
        ],
        promises=[
            {"district": name, "promised": (due := _few(chance, 4 * size)), "kept": _drawn(chance, due, 0.7)}
            for name, size in size_by_district.items()
        ],
        referrals=[
            {"resource": resource, "furthest": at, "referrals": count}
            for resource in ("food", "health", "housing", "transport", "clothing")
            for at in range(len(REFERRAL_STATUSES))
            if (count := _few(chance, chance.choice((0.1, 1.0, 3.0))))
        ],
        visitors=[{"district": name, "trained": chance.randint(1, 30), "active": 1} for name in names],
        languages=[{"district": name, "language": "es", "trained": 3} for name in names],
        load=load,
        students=students,
        persons=_persons(chance, students, movers=movers) if movers else [],
    )


def grown(figures: Figures, seed: int) -> Figures:
    """The same state a month later: most counts grow by a few, some of them by none; the chronically absent vary."""
    chance = random.Random(seed)

    def few() -> int:
        return chance.choice((0, 0, 0, 1, 1, 2, 3, 5, 8, 20))

    furthest = {(each["district"], each["furthest"]): each["households"] for each in figures.furthest}
    for place in figures.districts:
        furthest[place, STEPS[0]] = furthest.get((place, STEPS[0]), 0) + few()
        for step, further in itertools.pairwise(STEPS):
            moved = min(furthest.get((place, step), 0), few())
            furthest[place, step] = furthest.get((place, step), 0) - moved
            furthest[place, further] = furthest.get((place, further), 0) + moved
    visits = []
    for each in figures.visits:
        once, again = (furthest.get((each["district"], step), 0) for step in STEPS[-2:])
        visits.append(each | {"visits": max(once + 2 * again, each["visits"]) + chance.choice((0, 0, 1, 4))})
    promises = [each | {"kept": each["kept"] + few(), "promised": each["promised"] + 40} for each in figures.promises]
    return replace(
        figures,
        furthest=[{"district": at[0], "furthest": at[1], "households": count} for at, count in furthest.items()],
        visits=visits,
        endings=[each | {name: each[name] + few() for name in ("declined", "not_reached")} for each in figures.endings],
        logs=[each | {name: each[name] + few() for name in ("in_time", "late", "overdue")} for each in figures.logs],
        promises=promises,
        referrals=[each | {"referrals": each["referrals"] + few()} for each in figures.referrals],
        students=[_later(each, few(), chance.choice((-3, -1, 0, 0, 1, 2, 4))) for each in figures.students],
    )


def _later(line: dict[str, Any], more: int, chronic: int) -> dict[str, Any]:
    students = line["students"] + more
    return line | {"students": students, "chronic": min(students, max(0, line["chronic"] + chronic))}


def published_of(figures: Figures) -> dict[str, Table]:
    """What the state would publish of it."""
    return tables_of(figures, published=True, school_year=2026, as_of=AS_OF, cut_off=CUT_OFF)


def _students(chance: random.Random, district: str, *, schools: int) -> list[dict[str, Any]]:
    lines = []
    for number in range(schools):
        kind = chance.choice(("elementary", "elementary", "middle", "high", "all"))
        for grade in _GRADES_BY_KIND[kind]:
            students = chance.choice((4, 9, 25, 60, 90))
            chronic = _drawn(chance, students, chance.choice((0.03, 0.12, 0.2)))
            lines.append(
                {
                    "district": district,
                    "school": f"S{number:02}",
                    "grade": grade,
                    "students": students,
                    "chronic": chronic,
                }
            )
    return lines


def _persons(chance: random.Random, students: list[dict[str, Any]], *, movers: float) -> list[dict[str, Any]]:
    """The state's persons by grade: of some, two districts count one each, and one or none of the two is chronic."""
    lines = []
    for grade in sorted({each["grade"] for each in students}):
        counted, chronic = (sum(each[what] for each in students if each["grade"] == grade) for what in _COUNTED)
        joined = min(_drawn(chance, counted, movers), (counted - chronic) // 2, chronic)
        alone = {"grade": grade, "grades": [grade], "joined": 0}
        lines.append(alone | {"students": counted - 2 * joined, "chronic": chronic - joined})
        if joined:
            lines.append(alone | {"students": joined, "chronic": _drawn(chance, joined, 0.5), "joined": joined})
    return lines


def _drawn(chance: random.Random, of: int, share: float) -> int:
    return sum(chance.random() < share for _ in range(of))


def _few(chance: random.Random, size: float) -> int:
    return int(chance.expovariate(1 / (12 * size)))

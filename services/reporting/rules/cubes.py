"""Counts as sums of their finest parts, so that suppression sees every table in which a part stands at once.

One cube per kind of thing counted: households by furthest step, requests by ending, logs, promises, referrals,
students by school and grade band. A cell's key is (what, where); the state's line is a cell like any other.

A new cube. All that is published about the same things stands in one cube, or two tables tell what each of them hides.

- `add` every part, (row, column) of the finest table, also the empty ones and those no table shows ("not kept").
- `count` each part in every cell it counts in, as often as it does (a household visited twice is two visits).
- `share_of`: the cells that a cell is divided by on a page. It is hidden where one of them is under 20.
- `smallest`: under how many a cell is hidden by itself, if not under 6; 20 for what others are divided by.
- `worth`: how much more a cell would be missed than another of its size, if not alike: others are hidden for its sake.
- `moves`: changes within a row, by column, that leave the cells to be shown as they are. Needed where a part counts
  more than once somewhere, since moving one from a column to another always changes that sum.
- `told`: what a cell says in place of the sum of its parts, where it counts other things (the state's persons, of whom
  two districts count one each). Cells are hidden as if it were the sum: an exchange leaves the difference as it is.
  `few_behind` are those of which the difference would tell about few.
- `group_by_row`: which rows lie close (the schools of a district), to be tried as each other's partners first.

Shares are made of shown cells (`tables.percent`) and hide themselves; medians ask `figures._of_enough`. Last, the
attacker of the tests is told what the new tables say (tests/unit/reporting/attacker.py): it must pin nothing.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.reporting.rules.measures import BANDS, REFERRAL_STATUSES, STEPS, grade_band
from services.reporting.rules.sixes import told
from services.reporting.rules.suppression import SMALLEST_DENOMINATOR, SMALLEST_NUMERATOR, Part, Sum, hidden_cells
from services.reporting.rules.tables import HIDDEN_MARK, STATE, Number

Cell = tuple[str, tuple[str, ...]]
Lines = Iterable[Mapping[str, Any]]


@dataclass(slots=True)
class Cube:
    """Parts with their values, cells as sums of parts, and which cells are hidden.

    Until `suppress` none is, and every count is told exactly; after it, by sixes.
    """

    parts: dict[Part, int] = field(default_factory=dict)
    coefficients: dict[Cell, dict[Part, int]] = field(default_factory=dict)
    share_of: dict[Cell, tuple[Cell, ...]] = field(default_factory=dict)
    smallest: dict[Cell, int] = field(default_factory=dict)
    worth: dict[Cell, int] = field(default_factory=dict)
    group_by_row: dict[Any, Any] = field(default_factory=dict)
    moves: tuple[Mapping[Any, int], ...] = ()
    told: dict[Cell, int] = field(default_factory=dict)
    few_behind: frozenset[Cell] = frozenset()
    hidden: frozenset[Cell] = frozenset()
    by_sixes: bool = False

    def add(self, part: Part, value: int) -> None:
        """Add to a part."""
        self.parts[part] = self.parts.get(part, 0) + value

    def count(self, cell: Cell, part: Part, times: int = 1) -> None:
        """Let a part count in a cell."""
        self.coefficients.setdefault(cell, {})[part] = times

    def cells(self) -> dict[Cell, Sum[Cell]]:
        """Describe the published cells to the rule on small cells."""
        return {
            cell: Sum(
                parts,
                self.share_of.get(cell, ()),
                self._smallest(cell),
                self.worth.get(cell, 1),
            )
            for cell, parts in self.coefficients.items()
        }

    def _smallest(self, cell: Cell) -> int:
        smallest = self.smallest.get(cell, SMALLEST_NUMERATOR)
        value = self._value(cell)
        # What would be told as a few is hidden like a few: six alone is told as the middle of one to six.
        return max(smallest, value + 1) if value and self._told(cell) < SMALLEST_NUMERATOR else smallest

    def suppress(self) -> None:
        """Decide which cells are hidden; what is shown is told by sixes from here on."""
        self.by_sixes = True
        hidden = hidden_cells(self.parts, self.cells(), self.group_by_row, self.moves)
        self.hidden = hidden | self.few_behind | {cell for cell in self.told if self._is_small(cell)}

    def _is_small(self, cell: Cell) -> bool:
        value, wholes = self._value(cell), self.share_of.get(cell, ())
        return 0 < value < self._smallest(cell) or (
            value > 0 and any(self._value(whole) < SMALLEST_DENOMINATOR for whole in wholes)
        )

    def value(self, what: str, *where: str) -> int:
        """Give a cell's true value; only for deciding whether something derived from it may show."""
        return self._value((what, where))

    def _value(self, cell: Cell) -> int:
        if cell in self.told:
            return self.told[cell]
        return sum(times * self.parts[part] for part, times in self.coefficients.get(cell, {}).items())

    def shown(self, what: str, *where: str) -> Number | str:
        """Give a cell as it may be shown."""
        if (what, where) in self.hidden:
            return HIDDEN_MARK
        return self._told((what, where)) if self.by_sixes else self.value(what, *where)

    def _told(self, cell: Cell) -> int:
        parts = [(times, self.parts[part]) for part, times in self.coefficients.get(cell, {}).items()]
        if cell not in self.told:
            return told(parts)
        # The sum less what it differs by, each by its own sixes: exactly told, it would tell how the parts' sixes err.
        # A whole differs by what its bands do: its own six would tell how theirs err.
        finer = [each for each in self.told if each[0] == cell[0] and len(each[1]) > len(cell[1])]
        differ = [self._differs(each) for each in finer]
        if sum(differ) != self._differs(cell):
            differ = [self._differs(cell)]
        return told(parts) - told((1, each) for each in differ)

    def _differs(self, cell: Cell) -> int:
        """Say by how much less a told cell is than the sum of its parts."""
        parts = self.coefficients.get(cell, {})
        return sum(times * self.parts[part] for part, times in parts.items()) - self.told[cell]


def funnel_cube(furthest: Lines, visits: Lines, districts: Iterable[str]) -> Cube:
    """Count households by furthest step, and visits: one, two, or more of a household."""
    # Visits and logged households together tell the few that were visited again. Rather than the visits, the numbers
    # of households are hidden then: two of them visited once are as many visits as one visited twice.
    fewer_households = tuple({"visited_again": 1, "logged": -2, step: 1} for step in STEPS[:-2])
    other_visits = ({"visited_again": 1, "logged": -2}, {"visited_again": 1, "logged": -1, "further_visits": -1})
    cube = Cube(moves=(*other_visits, *fewer_households))
    districts = list(districts)
    visits_by_district = {each["district"]: int(each["visits"]) for each in visits}
    households = {(each["district"], each["furthest"]): int(each["households"]) for each in furthest}
    for district in districts:
        for step in STEPS:
            cube.add((district, step), households.get((district, step), 0))
        once, again = (cube.parts[district, step] for step in STEPS[-2:])
        cube.add((district, "further_visits"), max(0, visits_by_district.get(district, 0) - once - 2 * again))
        for where in (district, STATE):
            for reached, step in enumerate(STEPS):
                for furthest_step in STEPS[reached:]:
                    cube.count((step, (where,)), (district, furthest_step))
            for part, times in (("logged", 1), ("visited_again", 2), ("further_visits", 1)):
                cube.count(("visits", (where,)), (district, part), times)
    for where in (*districts, STATE):
        for former, step in itertools.pairwise(STEPS):
            cube.share_of[step, (where,)] = ((former, (where,)),)
        cube.worth["visits", (where,)] = 10
        # Visits per 100 flagged of fewer than 20: the flagged are hidden then, the visits are the headline.
        cube.smallest["flagged", (where,)] = SMALLEST_DENOMINATOR
        cube.share_of["visits", (where,)] = (("visits", (STATE,)),)
    return cube


def endings_cube(endings: Lines, districts: Iterable[str]) -> Cube:
    """Count requests by how they ended without a visit."""
    return _by_district(endings, ("declined", "not_reached", "withdrawn"), districts)


def logs_cube(logs: Lines, districts: Iterable[str]) -> Cube:
    """Count appointments that are over by how their log stands; each is shown as a share of all."""
    states = ("in_time", "late", "waiting", "overdue")
    districts = list(districts)
    cube = _by_district(logs, states, districts)
    _whole(cube, "due", states, districts)
    return cube


def promises_cube(promises: Lines, districts: Iterable[str]) -> Cube:
    """Count promises that were due, kept ones among them."""
    districts = list(districts)
    lines = [{**each, "open": each["promised"] - each["kept"]} for each in promises]
    cube = _by_district(lines, ("kept", "open"), districts)
    _whole(cube, "promised", ("kept", "open"), districts)
    for where in (*districts, STATE):
        del cube.coefficients["open", (where,)], cube.share_of["open", (where,)]
    return cube


def referrals_cube(referrals: Lines) -> Cube:
    """Count referrals by resource and by how far they have come."""
    cube = Cube()
    found = {(each["resource"], REFERRAL_STATUSES[each["furthest"]]): int(each["referrals"]) for each in referrals}
    for resource in sorted({resource for resource, _ in found}):
        for status in REFERRAL_STATUSES:
            part = (resource, status)
            cube.add(part, found.get(part, 0))
            for where in (resource, STATE):
                cube.count((f"referral_{status}", (where,)), part)
                cube.count(("referrals", (where,)), part)
    return cube


def chronic_cube(students: Lines, persons: Lines = ()) -> Cube:
    """Count students by district, school and grade band, chronically absent ones among them.

    The state's own cells count persons, whose days two districts share.
    """
    cube = Cube()
    for each in students:
        band = grade_band(each["grade"])
        if band is None:
            continue
        district, school = str(each["district"]), str(each["school"])
        row = (district, school)
        cube.group_by_row[row] = district
        chronic, others = (row, (band, "chronic")), (row, (band, "other"))
        cube.add(chronic, int(each["chronic"]))
        cube.add(others, int(each["students"]) - int(each["chronic"]))
        for where in ((STATE,), (district,), (STATE, band), (district, band), ("school", district, school)):
            cube.count(("chronic", where), chronic)
            cube.count(("students", where), chronic)
            cube.count(("students", where), others)
            cube.share_of["chronic", where] = (("students", where),)
            cube.smallest["students", where] = SMALLEST_DENOMINATOR
    _tell_persons(cube, persons)
    return cube


def _tell_persons(cube: Cube, persons: Lines) -> None:
    joined: dict[str, int] = {}
    for each in persons:
        for what in ("students", "chronic"):
            for where in ((STATE,), (STATE, str(grade_band(each["grade"])))):
                cube.told[what, where] = cube.told.get((what, where), 0) + int(each[what])
        for band in {grade_band(grade) for grade in each["grades"]} - {None}:
            joined[str(band)] = joined.get(str(band), 0) + int(each["joined"])
    # All districts' students less the state's are those whom two districts count. Of few of them the difference in the
    # chronically absent would tell more than how many they are.
    whole = {(STATE,)} if 0 < sum(int(each["joined"]) for each in persons) < SMALLEST_NUMERATOR else set()
    few = {band for band, movers in joined.items() if 0 < movers < SMALLEST_NUMERATOR}
    if len(few) == 1 and not whole:
        # One alone would follow from the state's line and the other bands.
        others = sorted((movers, band) for band, movers in joined.items() if band not in few)
        few |= {band for _, band in others[:1]}
    cube.few_behind = frozenset(("chronic", where) for where in {(STATE, band) for band in few} | whole)


def bands_of(cube: Cube, where: str) -> list[str]:
    """Name the bands in which a district, or the state, has students, youngest first."""
    return [band for band in BANDS if ("students", (where, band)) in cube.coefficients]


def _by_district(lines: Lines, columns: tuple[str, ...], districts: Iterable[str]) -> Cube:
    cube = Cube()
    line_by_district = {each["district"]: each for each in lines}
    for district in districts:
        for column in columns:
            cube.add((district, column), int(line_by_district.get(district, {}).get(column, 0)))
            for where in (district, STATE):
                cube.count((column, (where,)), (district, column))
    return cube


def _whole(cube: Cube, whole: str, columns: tuple[str, ...], districts: list[str]) -> None:
    for district in districts:
        for column in columns:
            for where in (district, STATE):
                cube.count((whole, (where,)), (district, column))
                cube.share_of[column, (where,)] = ((whole, (where,)),)

"""A reader who wants to know what is hidden: every published number as an equation, and linear programming.

The attacker knows the tables' definitions, that counts are told by sixes, and everything printed in every release, also
which schools teach which grade bands and which counts only grow; but nothing of how cells were chosen: no code of the
suppression is used here.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

STEPS = ("flagged", "requested", "contacted", "agreed", "scheduled", "visited", "logged", "visited_again")
ROUNDING = 0.05
HIDDEN = "*"
MANY = 500

Documents = Mapping[str, Mapping[str, Any]]
Terms = list[tuple[float, str]]
Row = tuple[dict[tuple[str, str], float], float, float]
"""A sum over columns, each an unknown's `count`, `six` or `some`, and between what it lies."""


@dataclass(slots=True)
class Attacker:
    """Unknown counts and what is known of them. A count lies in its six, from 1; it is zero where there is not `some`.

    `hidden`, `grown`: what the attacker wants: hidden cells, and by how much a cell grew from a release to a later one.
    """

    unknowns: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    hidden: dict[str, Terms] = field(default_factory=dict)
    grown: dict[str, Terms] = field(default_factory=dict)
    cells: dict[str, Terms] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)

    def cell(self, name: str, shown: Any, terms: Terms) -> None:
        """Learn one published cell: what it is told as, or that it is hidden and so not zero."""
        self.unknowns |= {unknown for _, unknown in terms}
        self.cells[name], self.shown[name] = terms, shown
        if shown == HIDDEN:
            self.hidden[name] = terms
            self.rows.append((_counts(terms), 1.0, np.inf))
            return
        # A half is rounded either way.
        self.rows.append((_told(terms), float(shown) - 0.5, float(shown) + 0.5))
        if shown == 0:
            self.rows.append((_counts(terms), 0.0, 0.0))

    def share(self, shown: Any, part: Terms, whole: Terms, per: float = 100.0) -> None:
        """Learn a published share of two told sums, each rounded to a whole, and itself rounded to one place."""
        if shown is None or shown == HIDDEN:
            return
        for end, sign in ((shown - ROUNDING, 1.0), (shown + ROUNDING, -1.0)):
            weighed = [(sign * per * times, unknown) for times, unknown in part]
            weighed += [(-sign * end * times, unknown) for times, unknown in whole]
            self.rows.append((_told(weighed), -0.5 * (per + abs(end)) - 1e-6, np.inf))

    def grows(self, before: Terms, after: Terms) -> None:
        """Learn that a count only grows."""
        self.rows.append((_counts([*after, *((-times, unknown) for times, unknown in before)]), 0.0, np.inf))

    def spans(self, wanted: Mapping[str, Terms], *, whole: bool = False) -> dict[str, tuple[float, float]]:
        """Find the smallest and largest value of each sum that agrees with all that is known.

        `whole`: counts are whole numbers, by integer programming; else by linear programming, which is quicker and
        knows a little less.
        """
        names = sorted(self.unknowns)
        at = {(kind, name): n * 3 + k for n, name in enumerate(names) for k, kind in enumerate(_KINDS)}
        in_sixes: list[Row] = []
        for name in names:
            count, six, some = ("count", name), ("six", name), ("some", name)
            in_sixes += [
                ({count: 1.0, six: -6.0}, -np.inf, 0.0),
                ({count: 1.0, six: -6.0, some: 5.0}, 0.0, np.inf),
                ({six: 1.0, some: -1.0}, 0.0, np.inf),
                ({six: 1.0, some: -MANY}, -np.inf, 0.0),
            ]
        known = _constraint([*self.rows, *in_sixes], at)
        upper = np.tile([np.inf, np.inf, 1.0], len(names))
        found = {}
        for name, terms in wanted.items():
            costs = np.zeros(len(at))
            for times, unknown in terms:
                costs[at["count", unknown]] += times
            ends = []
            for sign in (1.0, -1.0):
                solved = milp(
                    sign * costs,
                    constraints=known,
                    bounds=Bounds(0.0, upper),
                    integrality=np.full(len(at), int(whole)),
                )
                assert solved.status in (0, 3, 4), (name, solved.message)
                ends.append(sign * float(solved.fun) if solved.status == 0 else sign * -np.inf)
            found[name] = (ends[0], ends[1])
        return found


_KINDS = ("count", "six", "some")


def of_exact_counts(attacker: Attacker) -> Attacker:
    """Read the same cells as an attacker would whom counts are told exactly; shares are not needed for it."""
    known = [
        (_counts(attacker.cells[name]), *((1.0, np.inf) if shown == HIDDEN else (shown, shown)))
        for name, shown in attacker.shown.items()
    ]
    return replace(attacker, rows=known)


def _counts(terms: Terms) -> dict[tuple[str, str], float]:
    row: dict[tuple[str, str], float] = {}
    for times, unknown in terms:
        row["count", unknown] = row.get(("count", unknown), 0.0) + times
    return row


def _told(terms: Terms) -> dict[tuple[str, str], float]:
    row: dict[tuple[str, str], float] = {}
    for times, unknown in terms:
        # The middle of 1 to 6 is 3.5.
        row["six", unknown] = row.get(("six", unknown), 0.0) + 6 * times
        row["some", unknown] = row.get(("some", unknown), 0.0) - 2.5 * times
    return row


def _constraint(rows: Sequence[Row], at: Mapping[tuple[str, str], int]) -> LinearConstraint:
    entries = [(times, row, at[column]) for row, (sums, _, _) in enumerate(rows) for column, times in sums.items()]
    values, lines, columns = zip(*entries, strict=True)
    matrix = coo_array((values, (lines, columns)), shape=(len(rows), len(at))).tocsr()
    return LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])


ONLY_GROW = ("visits of ", "due of ", "in_time of ", "late of ", "promised of ", "kept of ", "all of ",
             *(f"{step} of " for step in STEPS))  # fmt: skip
"""Households that reached a step have reached it, and what was promised or due was."""


def attackers_of_releases(releases: Sequence[Documents]) -> dict[str, Attacker]:
    """Read several releases at once, oldest first: what is known of each, and of what lies between them."""
    by_kind: dict[str, Attacker] = {}
    for number, documents in enumerate(releases):
        for kind, alone in attackers(documents).items():
            both = by_kind.setdefault(kind, Attacker())
            both.unknowns |= {f"{unknown} @{number}" for unknown in alone.unknowns}
            both.rows += [
                ({(column, f"{unknown} @{number}"): times for (column, unknown), times in sums.items()}, low, high)
                for sums, low, high in alone.rows
            ]
            for name, terms in alone.cells.items():
                both.cells[f"{name} @{number}"] = [(times, f"{unknown} @{number}") for times, unknown in terms]
                both.shown[f"{name} @{number}"] = alone.shown[name]
    for both in by_kind.values():
        both.hidden = {name: both.cells[name] for name, shown in both.shown.items() if shown == HIDDEN}
        for before, after in itertools.combinations(range(len(releases)), 2):
            for name in [each.removesuffix(f" @{after}") for each in both.cells if each.endswith(f" @{after}")]:
                later, earlier = both.cells[f"{name} @{after}"], both.cells.get(f"{name} @{before}", [])
                both.grown[f"{name} @{before} to @{after}"] = [*later, *((-times, each) for times, each in earlier)]
                if name.startswith(ONLY_GROW):
                    both.grows(earlier, later)
    return by_kind


def attackers(documents: Documents) -> dict[str, Attacker]:
    """Read every table into the equations it belongs to; tables about the same counts go together."""
    return {
        "households and visits": _households(documents),
        "requests": _sums_by_district(documents["endings"], ("declined", "not_reached", "withdrawn")),
        "logs": _logs(documents["logs"]),
        "promises": _promises(documents["follow-ups"]),
        "referrals": _referrals(documents["referrals"]),
        "students": _students(documents),
    }


def _places(document: Mapping[str, Any]) -> tuple[list[str], dict[str, Mapping[str, Any]]]:
    by_place = {line["district"]: line for line in document["lines"]}
    return [place for place in by_place if place != "state"], by_place


def _of(name: str, place: str, districts: list[str]) -> Terms:
    """One district's unknown; the state's is the sum of all."""
    return [(1.0, f"{name} {district}") for district in (districts if place == "state" else [place])]


def _reached(step: str, place: str, districts: list[str]) -> Terms:
    """Households that reached a step: of each, the furthest is this one or a later one."""
    return [term for each in STEPS[STEPS.index(step) :] for term in _of(f"furthest {each}", place, districts)]


def _made(place: str, districts: list[str]) -> Terms:
    """Visits: one of a household visited once, two of one visited again, and the further ones."""
    once, again = _of("furthest logged", place, districts), _of("furthest visited_again", place, districts)
    return [*once, *((2.0, unknown) for _, unknown in again), *_of("further visits", place, districts)]


def _households(documents: Documents) -> Attacker:
    attacker = Attacker()
    districts, funnel = _places(documents["funnel"])
    _, visits = _places(documents["visits"])
    for place in (*districts, "state"):
        for step in STEPS:
            attacker.cell(f"{step} of {place}", funnel[place][step], _reached(step, place, districts))
        made, flagged = _made(place, districts), _reached("flagged", place, districts)
        attacker.cell(f"visits of {place}", visits[place]["visits"], made)
        attacker.share(visits[place]["visits_per_100_flagged"], made, flagged)
        attacker.share(visits[place]["share_of_state"], made, _made("state", districts))
        again, logged = _reached("visited_again", place, districts), _reached("logged", place, districts)
        attacker.share(visits[place]["repeat_share"], again, logged)
    for line in documents["conversions"]["lines"]:
        former = STEPS[STEPS.index(line["step"]) - 1]
        whole = _reached(former, line["district"], districts)
        attacker.share(line["share_of_former"], _reached(line["step"], line["district"], districts), whole)
    return attacker


def _sums_by_district(document: Mapping[str, Any], measures: Iterable[str]) -> Attacker:
    attacker = Attacker()
    districts, lines = _places(document)
    for place in (*districts, "state"):
        for measure in measures:
            attacker.cell(f"{measure} of {place}", lines[place][measure], _of(measure, place, districts))
    return attacker


def _logs(document: Mapping[str, Any]) -> Attacker:
    states = ("in_time", "late", "waiting", "overdue")
    attacker = _sums_by_district(document, states)
    districts, lines = _places(document)
    for place in (*districts, "state"):
        due = [term for state in states for term in _of(state, place, districts)]
        attacker.cell(f"due of {place}", lines[place]["due"], due)
        attacker.share(lines[place]["in_time_share"], _of("in_time", place, districts), due)
    return attacker


def _promises(document: Mapping[str, Any]) -> Attacker:
    attacker = Attacker()
    districts, lines = _places(document)
    for place in (*districts, "state"):
        kept = _of("kept", place, districts)
        promised = [*kept, *_of("open", place, districts)]
        attacker.cell(f"promised of {place}", lines[place]["promised"], promised)
        attacker.cell(f"kept of {place}", lines[place]["kept"], kept)
        attacker.share(lines[place]["kept_share"], kept, promised)
    return attacker


def _referrals(document: Mapping[str, Any]) -> Attacker:
    attacker = Attacker()
    statuses = ("offered", "accepted", "handed_over", "connected", "closed")
    resources = [line["resource"] for line in document["lines"] if line["resource"] != "state"]
    for line in document["lines"]:
        summed = resources if line["resource"] == "state" else [line["resource"]]
        for status in statuses:
            terms = [(1.0, f"{status} {resource}") for resource in summed]
            attacker.cell(f"{status} of {line['resource']}", line[f"referral_{status}"], terms)
        terms = [(1.0, f"{status} {resource}") for status in statuses for resource in summed]
        attacker.cell(f"all of {line['resource']}", line["referrals"], terms)
    return attacker


def _students(documents: Documents) -> Attacker:
    """Two are no published tables: which bands each school teaches, and whether anybody moved, as everyone knows."""
    attacker = Attacker()
    taught: list[tuple[str, str, str]] = documents["schools"]["taught"]

    def unknowns(kind: str, wanted: Iterable[tuple[str, str, str]]) -> Terms:
        return [(1.0, f"{kind} {district} {school} {band}") for district, school, band in wanted]

    def learn(line: Mapping[str, Any], name: str, wanted: list[tuple[str, str, str]]) -> None:
        chronic, other = unknowns("chronic", wanted), unknowns("other", wanted)
        if name.startswith("state") and documents["movers"]["some"]:
            # The state counts persons: by how many they are fewer than the districts' students, or more, nobody knows.
            chronic, other = ([*terms, (1.0, f"more {name} {id(terms)}"), (-1.0, f"fewer {name} {id(terms)}")]
                              for terms in (chronic, other))  # fmt: skip
        students = chronic + other
        attacker.cell(f"chronic of {name}", line["chronic"], chronic)
        attacker.cell(f"students of {name}", line["students"], students)
        attacker.share(line["chronic_rate"], chronic, students)

    for line in documents["chronic"]["lines"]:
        place = line["district"]
        learn(line, place, [each for each in taught if place in (each[0], "state")])
    for line in documents["chronic-by-band"]["lines"]:
        place, band = line["district"], line["band"]
        learn(line, f"{place} {band}", [each for each in taught if place in (each[0], "state") and each[2] == band])
    for line in documents["chronic-by-school"]["lines"]:
        district, school = line["district"], line["school"]
        learn(line, f"{district} {school}", [each for each in taught if each[:2] == (district, school)])
    return attacker

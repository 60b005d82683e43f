"""A reader who wants to know what is hidden: every published number as an equation, and linear programming.

The attacker knows the tables' definitions and everything printed in them, also which schools teach which grade bands,
but nothing of how cells were chosen: no code of the suppression is used here.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

STEPS = ("flagged", "requested", "contacted", "agreed", "scheduled", "visited", "logged", "visited_again")
ROUNDING = 0.05
HIDDEN = "*"

Documents = Mapping[str, Mapping[str, Any]]
Terms = list[tuple[float, str]]


@dataclass(slots=True)
class Attacker:
    """Unknowns, all at least 0, with what is known of them."""

    least: dict[str, float] = field(default_factory=dict)
    exact: list[tuple[Terms, float]] = field(default_factory=list)
    at_most: list[tuple[Terms, float]] = field(default_factory=list)
    hidden: dict[str, Terms] = field(default_factory=dict)

    def cell(self, name: str, shown: Any, terms: Terms) -> None:
        """Learn one published cell: its number, or that it is hidden and so not zero."""
        for _, unknown in terms:
            self.least.setdefault(unknown, 0.0)
        if shown == HIDDEN:
            self.hidden[name] = terms
            self.at_most.append(([(-times, unknown) for times, unknown in terms], -1.0))
        else:
            self.exact.append((terms, float(shown)))

    def share(self, shown: Any, part: Terms, whole: Terms, per: float = 100.0) -> None:
        """Learn a published share, rounded to one place: two inequalities."""
        if shown is None or shown == HIDDEN:
            return
        low, high = shown - ROUNDING, shown + ROUNDING
        self.at_most.append(([(low * t, u) for t, u in whole] + [(-per * t, u) for t, u in part], 1e-6))
        self.at_most.append(([(per * t, u) for t, u in part] + [(-high * t, u) for t, u in whole], 1e-6))

    def spans(self) -> dict[str, tuple[float, float]]:
        """Find, for every hidden cell, the smallest and largest value that agrees with all that is known."""
        unknowns = sorted(self.least)
        at = {name: position for position, name in enumerate(unknowns)}
        equal, upper = _matrix(self.exact, at), _matrix(self.at_most, at)
        equal_to, up_to = [value for _, value in self.exact], [value for _, value in self.at_most]
        found = {}
        for name, terms in self.hidden.items():
            wanted = np.zeros(len(unknowns))
            for times, unknown in terms:
                wanted[at[unknown]] += times
            ends = []
            for sign in (1.0, -1.0):
                solved = linprog(
                    sign * wanted,
                    A_eq=equal,
                    b_eq=equal_to,
                    A_ub=upper,
                    b_ub=up_to,
                    bounds=(0, None),
                    method="highs",
                )
                assert solved.status in (0, 3), (name, solved.message)
                ends.append(sign * float(solved.fun or 0.0) if solved.status == 0 else float("inf"))
            found[name] = (ends[0], ends[1])
        return found


def _matrix(rows: Iterable[tuple[Terms, float]], at: Mapping[str, int]) -> Any:
    entries = [(times, row, at[unknown]) for row, (terms, _) in enumerate(rows) for times, unknown in terms]
    if not entries:
        return None
    values, lines, columns = zip(*entries, strict=True)
    return coo_array((values, (lines, columns)), shape=(max(lines) + 1, len(at))).tocsr()


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


def _households(documents: Documents) -> Attacker:
    attacker = Attacker()
    districts, funnel = _places(documents["funnel"])
    _, visits = _places(documents["visits"])
    for place in (*districts, "state"):
        for step in STEPS:
            attacker.cell(f"{step} of {place}", funnel[place][step], _of(step, place, districts))
        attacker.cell(f"visits of {place}", visits[place]["visits"], _of("visits", place, districts))
        made, flagged = _of("visits", place, districts), _of("flagged", place, districts)
        attacker.share(visits[place]["visits_per_100_flagged"], made, flagged)
        attacker.share(visits[place]["share_of_state"], made, _of("visits", "state", districts))
        again, logged = _of("visited_again", place, districts), _of("logged", place, districts)
        attacker.share(visits[place]["repeat_share"], again, logged)
    for line in documents["conversions"]["lines"]:
        former = STEPS[STEPS.index(line["step"]) - 1]
        whole = _of(former, line["district"], districts)
        attacker.share(line["share_of_former"], _of(line["step"], line["district"], districts), whole)
    for district in districts:
        for former, step in itertools.pairwise(STEPS):
            attacker.at_most.append(([(1, f"{step} {district}"), (-1, f"{former} {district}")], 0))
        # Each household with a log has a visit, each visited again at least two.
        visited = [(1.0, f"logged {district}"), (1.0, f"visited_again {district}"), (-1.0, f"visits {district}")]
        attacker.at_most.append((visited, 0))
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
    attacker = _sums_by_district(document, ("promised", "kept"))
    districts, lines = _places(document)
    for district in districts:
        attacker.at_most.append(([(1, f"kept {district}"), (-1, f"promised {district}")], 0))
    for place in (*districts, "state"):
        kept, promised = _of("kept", place, districts), _of("promised", place, districts)
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

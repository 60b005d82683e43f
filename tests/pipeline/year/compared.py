"""What is shown held against what is true: every difference with where it stands, whose it is, and both values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from tests.pipeline.year.checker import SEVERE, Checker, Child, Judged, Share, Tally
from tests.pipeline.year.shown import Line, Pseudonyms

LEVELS = ("none", "at_risk", "chronically_absent", "severely_chronically_absent")
HIDDEN = "*"
_RECENT = ("last_20_absent", "last_20_counted", "before_20_absent", "before_20_counted", "spell")


class Difference(NamedTuple):
    """One figure that is not what it should be."""

    where: str
    what: str
    whose: str
    shown: Any
    true: Any


class Compared:
    """The truth of one day, by the keys that the services know children by."""

    def __init__(self, checker: Checker, pseudonyms: Mapping[str, Pseudonyms]) -> None:
        self.checker, self._pseudonyms = checker, pseudonyms
        self.child_of = {self.key_of(child): child for child in checker.children}

    def key_of(self, child: Child) -> str:
        """Give the key of a child."""
        return self._pseudonyms[child[0]].student(child[1])

    def household_of(self, child: Child) -> str:
        """Give the key of the household that the child's newest enrolment names."""
        household = self.checker.children[child].newest.household
        return self._pseudonyms[child[0]].household(household) if household else ""

    def requests(self, district: str, shown: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
        """Hold every figure of every request of a district, and look for flagged children whom none of them shows."""
        households: dict[str, str] = {}
        for request in shown:
            for student in request["students"]:
                households[student["student_key"]] = request["household_key"]
                yield from self._figures("the desk", student["student_key"], student)
            yield from self._priced(request)
        for child, judged in self._of(district):
            if judged.level and households.get(self.key_of(child)) != self.household_of(child):
                yield Difference(
                    "the desk", "household", _named(child), households.get(self.key_of(child)), self.household_of(child)
                )

    def _priced(self, request: Mapping[str, Any]) -> Iterator[Difference]:
        if request["stage"] == "closed":
            return  # its points are those of the day on which it closed
        standing = {each["student_key"] for each in request["students"] if each["level"] != "none"}
        priced = {each["student_key"]: each for each in (request["priority"] or {"children": ()})["children"]}
        if priced.keys() != standing:
            yield Difference("points", "children", request["request_id"], sorted(priced), sorted(standing))
        for key, child in priced.items():
            yield from self._figures("points", key, child)
        for clause in request["why"]:
            child = self.child_of.get(clause["student_key"] or "")
            if clause["code"] == "rate" and child and clause["says"] != sentence(self.checker.children[child]):
                yield Difference(
                    "the sentence", "rate", _named(child), clause["says"], sentence(self.checker.children[child])
                )

    def _figures(self, where: str, key: str, shown: Mapping[str, Any]) -> Iterator[Difference]:
        child = self.child_of.get(key)
        if child is None:
            yield Difference(where, "child", key, "shown", "unknown")
            return
        true = self.checker.children[child]
        wanted = {
            "level": LEVELS[true.level],
            "grade": true.grade,
            "days_absent": len(true.absent_days),
            "days_enrolled": len(true.days),
            "as_of": true.as_of and true.as_of.isoformat(),
            "absent_days": [day.isoformat() for day in true.absent_days],
            **dict(zip(_RECENT, true.recent, strict=True)),
        }
        if "school" in shown:
            wanted["school"] = true.school
        for what, value in wanted.items():
            if shown[what] != value:
                yield Difference(where, what, _named(child), shown[what], value)

    def queue(self, requests: Sequence[Mapping[str, Any]], lines: Iterable[Line]) -> Iterator[Difference]:
        """Hold the sentence of each line of the queue: that of one of the household's flagged children."""
        by_id = {each["request_id"]: each for each in requests if each["stage"] != "closed"}
        lines = list(lines)
        seen = {line.request for line in lines}
        for request in by_id.keys() - seen:
            yield Difference("the queue", "line", request, None, "one line")
        for line in lines:
            children = by_id[line.request]["students"] if line.request in by_id else ()
            flagged = [self.child_of[each["student_key"]] for each in children if each["level"] != "none"]
            if flagged and not any(sentence(self.checker.children[child]) in line.says for child in flagged):
                true = [sentence(self.checker.children[child]) for child in flagged]
                yield Difference("the queue", "sentence", _named(flagged[0]), line.says, true)

    def heading(self, request: Mapping[str, Any], says: str) -> Iterator[Difference]:
        """Hold the heading of a request's page: the sentence of every flagged child of the household is in it."""
        for student in request["students"]:
            child = self.child_of.get(student["student_key"])
            is_told = student["level"] != "none" and request["stage"] != "closed"
            if child and is_told and sentence(self.checker.children[child]) not in says:
                yield Difference("the page", "sentence", _named(child), says, sentence(self.checker.children[child]))

    def why(self, child: Child, shown: Mapping[str, Any]) -> Iterator[Difference]:
        """Hold flagging's own answer about a child: level, days and every accumulator."""
        true = self.checker.children[child]
        figures = {
            (each["accumulator"], each.get("school", "")): (each["days_enrolled"], each["days_absent"])
            for each in shown["accumulators"]
        }
        wanted: dict[tuple[str, str], tuple[int, int]] = {
            ("school", school): (len(days), sum(day.absent for day in days)) for school, days in true.by_school.items()
        }
        wanted["district", ""] = (len(true.days), len(true.absent_days))
        for accumulator, value in wanted.items():
            if figures.get(accumulator) != value:
                yield Difference("why", "-".join(accumulator), _named(child), figures.get(accumulator), value)
        answers: dict[str, Any] = {
            "level": LEVELS[true.level],
            "absent_days": [day.isoformat() for day in true.absent_days],
            "as_of": true.as_of and true.as_of.isoformat(),
        }
        for what, answer in answers.items():
            if shown[what] != answer:
                yield Difference("why", what, _named(child), shown[what], answer)

    def own_tables(self, district: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Difference]:
        """Hold a district's own tables: by month, of its newest month also by school, and who is flagged today."""
        closed = self.checker.months_that_closed(district)
        by_month = {month.isoformat(): self.checker.shares(district, month) for month in closed}
        yield from _shares(
            "by month", district, tables["chronic-by-month"], "month",
            {month: shares[""] for month, shares in by_month.items() if "" in shares},
        )  # fmt: skip
        newest = by_month[closed[-1].isoformat()] if closed else {}
        yield from _shares("of the district", district, tables["chronic"], "district",
                           {district: newest[""]} if "" in newest else {})  # fmt: skip
        of_schools = {school: share for school, share in newest.items() if school}
        yield from _shares("by school", district, tables["chronic-by-school"], "school", of_schools)
        shown = {each["grade"]: Tally(each["flagged_students"], each["severe"]) for each in tables["flagged-by-grade"]}
        yield from _differ("flagged by grade", district, shown, self.checker.flagged_by_grade(district))

    def school_tables(
        self, district: str, school: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Iterator[Difference]:
        """Hold a school's own tables."""
        months = {month.isoformat(): self.checker.shares(district, month)
                  for month in self.checker.months_that_closed(district)}  # fmt: skip
        true = {month: shares[school] for month, shares in months.items() if school in shares}
        yield from _shares("a school by month", f"{district} {school}", tables["chronic-by-month"], "month", true)
        levels: defaultdict[str, list[bool]] = defaultdict(list)
        for _, child in self._of(district):
            if child.level and child.school == school:
                levels[child.grade].append(child.level == SEVERE)
        flagged = {grade: Tally(len(each), sum(each)) for grade, each in levels.items()}
        shown = {each["grade"]: Tally(each["flagged_students"], each["severe"]) for each in tables["flagged-by-grade"]}
        yield from _differ("a school's flagged", f"{district} {school}", shown, flagged)

    def months(self, shown: Mapping[tuple[str, str, date, str], Tally]) -> Iterator[Difference]:
        """Hold each child's days of each closed month, by district, school, month and key: all that effects add up."""
        true = {
            (district, school, month, self.key_of((district, number))): tally
            for ((district, school), month), children in self.checker.months.items()
            for number, tally in children.items()
        }
        told = {where: tally for where, tally in shown.items() if tally.counted}
        yield from _differ("student months", "", told, true)

    def flag_months(self, shown: Mapping[str, date]) -> Iterator[Difference]:
        """Hold the month in which each child who was told as flagged was so first: in it effects compare.

        Who was flagged by a mark that was taken back later was told in an earlier one, and that stays.
        """
        for key, told in shown.items():
            child = self.child_of.get(key)
            judged = child and self.checker.children[child]
            day = judged.first_flagged if judged else None
            if child is None or judged is None or day is None or told.replace(day=1) == day.replace(day=1):
                continue
            corrected = any((child[0], stint.school, child[1]) in self.checker.landed.corrected
                            for stint in judged.stints)  # fmt: skip
            if told > day or not corrected:
                yield Difference("effects", "month of the flag", _named(child), told, day)

    def published(self, month: date, lines: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
        """Hold the published shares of districts and of the state, where they are not hidden."""
        districts = {child[0] for child in self.child_of.values()}
        true = {district: self.checker.told([district], month) for district in districts}
        true["state"] = self.checker.told(districts, month, persons=True)
        for line in lines:
            share = true.pop(line["district"])
            for what in ("students", "chronic"):
                if line[what] not in (HIDDEN, getattr(share, what)):
                    yield Difference("published", what, line["district"], line[what], getattr(share, what))
        for district in true:
            yield Difference("published", "line", district, None, "a line")

    def flagged(self, shown: Mapping[str, tuple[str, int, int]]) -> Iterator[Difference]:
        """Hold level and days of everybody whom the desk knows, and look for flagged children whom it does not."""
        for key, child in self.child_of.items():
            judged = self.checker.children[child]
            true = (LEVELS[judged.level], len(judged.absent_days), len(judged.days))
            told = shown.get(key)
            if told != true and (judged.level or told is not None):
                yield Difference("the desk", "flag", _named(child), told, true)

    def school_days(self, shown: Mapping[tuple[str, str, date], Tally]) -> Iterator[Difference]:
        """Hold the tallies of every school's day."""
        true = {tuple(where): tally for where, tally in self.checker.school_days.items()}
        yield from _differ("school days", "", {where: each for where, each in shown.items() if each.counted}, true)

    def _of(self, district: str) -> Iterator[tuple[Child, Judged]]:
        return ((child, judged) for child, judged in self.checker.children.items() if child[0] == district)


def sentence(child: Judged) -> str:
    """Write the days missed as the desk says them; the share is cut off to tenths, never rounded over a line."""
    absent, enrolled = len(child.absent_days), len(child.days)
    whole, tenth = divmod(1000 * absent // enrolled if enrolled else 0, 10)
    percent = f"{whole}.{tenth}" if tenth else str(whole)
    return f"Missed {absent} of {enrolled} days ({percent} %)."


def in_kinds(differences: Iterable[Difference], examples: int = 3) -> list[str]:
    """Say how many there are of each kind, with some of each."""
    kinds: defaultdict[tuple[str, str], list[Difference]] = defaultdict(list)
    for each in differences:
        kinds[each.where, each.what].append(each)
    return [
        f"{where}, {what}: {len(found)}, such as "
        + "; ".join(f"{each.whose}: {each.shown} for {each.true}" for each in found[:examples])
        for (where, what), found in sorted(kinds.items())
    ]


def _shares(
    where: str, whose: str, lines: Sequence[Mapping[str, Any]], key: str, true: Mapping[str, Share]
) -> Iterator[Difference]:
    shown = {str(line[key]): Share(line["students"], line["chronic"]) for line in lines if line["students"]}
    yield from _differ(where, whose, shown, true)


def _differ(where: str, whose: str, shown: Mapping[Any, Any], true: Mapping[Any, Any]) -> Iterator[Difference]:
    for key in sorted({*shown, *true}, key=str):
        if shown.get(key) != true.get(key):
            yield Difference(where, "figures", f"{whose} {key}", shown.get(key), true.get(key))


def _named(child: Child) -> str:
    return " ".join(child)

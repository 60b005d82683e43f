"""An independent reading of what the simulated state sent: newest version wins, half-day rule, calendar, rolls."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from deploy.demo.feed import DistrictDay

_PRESENT = {"in_attendance", "school_activity"}


@dataclass
class District:
    """Everything one district said, as plain facts."""

    calendars: dict[str, tuple[int, set[date], str]] = field(default_factory=dict)
    stints: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    households: dict[str, dict[str, Any]] = field(default_factory=dict)
    marks: dict[tuple[str, date], tuple[int, bool | None]] = field(default_factory=dict)
    rolls: set[tuple[str, date]] = field(default_factory=set)
    garbage: list[bytes] = field(default_factory=list)

    def share_chronic(self) -> float:
        """Give the share of K-12 students with ten enrolled days or more who missed a tenth of them."""
        enrolled, absent, grades = self.days()
        judged = [key for key, days in enrolled.items() if len(days) >= 10 and grades[key] != "PK"]
        return sum(10 * len(absent[key]) >= len(enrolled[key]) for key in judged) / len(judged)

    def days(self) -> tuple[dict[str, set[date]], dict[str, set[date]], dict[str, str]]:
        """Give each student's counted and absent days, and grade."""
        enrolled: dict[str, set[date]] = defaultdict(set)
        absent: dict[str, set[date]] = defaultdict(set)
        grades: dict[str, str] = {}
        for _, stint in self.stints.values():
            key, school = stint["student"], stint["school"]
            grades[key] = stint["grade"]
            _, school_days, feed = self.calendars[school]
            entry, leaves = date.fromisoformat(stint["entry_date"]), stint.get("exit_date")
            for day in school_days:
                if day < entry or (leaves and day > date.fromisoformat(leaves)):
                    continue
                if leaves and day == date.fromisoformat(leaves) and not stint.get("exit_day_counts"):
                    continue
                version_and_absence = self.marks.get((key, day))
                marked = version_and_absence[1] if version_and_absence else None
                if marked is None and (feed == "full" or (school, day) not in self.rolls):
                    continue
                enrolled[key].add(day)
                if marked:
                    absent[key].add(day)
        return enrolled, absent, grades


def read(days: Iterable[DistrictDay]) -> dict[str, District]:
    """Fold all records of a plan into one District per code."""
    districts: dict[str, District] = defaultdict(District)
    for day in days:
        district = districts[day.district]
        for sent in (*day.roster, *day.attendance):
            if sent.kind == "garbage":
                district.garbage.append(sent.value)
            else:
                _take(district, json.loads(sent.value))
    return districts


def _take(district: District, record: dict[str, Any]) -> None:
    match record["type"]:
        case "mark":
            _newest(district.marks, record, _is_absent(record))
        case "retraction":
            _newest(district.marks, record, None)
        case "roll":
            for student, category, version, *parts in record["marks"]:
                mark = {"student": student, "category": category, "version": version, "date": record["date"]}
                _newest(
                    district.marks,
                    mark,
                    _is_absent(mark | dict(zip(("present_parts", "day_parts"), parts, strict=False))),
                )
            if record.get("complete"):
                district.rolls.add((record["school"], date.fromisoformat(record["date"])))
        case "roll_completed":
            district.rolls.add((record["school"], date.fromisoformat(record["date"])))
        case "calendar":
            days = {date.fromisoformat(day) for day in record["school_days"]}
            known = district.calendars.get(record["school"])
            if known is None or known[0] < record["version"]:
                district.calendars[record["school"]] = (record["version"], days, record["feed"])
        case "enrollment":
            stint = district.stints.get(record["id"])
            if stint is None or stint[0] < record["version"]:
                district.stints[record["id"]] = (record["version"], record)
        case "household":
            district.households[record["household"]] = record


def _newest(
    marks: dict[tuple[str, date], tuple[int, bool | None]], record: dict[str, Any], absent: bool | None
) -> None:
    key = (record["student"], date.fromisoformat(record["date"]))
    if key not in marks or marks[key][0] < record["version"]:
        marks[key] = (record["version"], absent)


def _is_absent(record: dict[str, Any]) -> bool:
    if "day_parts" in record:
        return bool(2 * record["present_parts"] < record["day_parts"])
    return record["category"] not in _PRESENT

"""From counted lines to tables: the one place where numbers become cells, hidden or shown."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from services.reporting.rules.cubes import (
    Cube,
    bands_of,
    chronic_cube,
    endings_cube,
    funnel_cube,
    logs_cube,
    promises_cube,
    referrals_cube,
)
from services.reporting.rules.measures import REFERRAL_STATUSES, STEPS
from services.reporting.rules.sixes import told_alone
from services.reporting.rules.suppression import SMALLEST_DENOMINATOR
from services.reporting.rules.tables import HIDDEN_MARK, STATE, Line, Number, Table, line, percent

Lines = list[dict[str, Any]]
Shown = dict[str, Number | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted over one span, of all districts or of one."""

    districts: Sequence[str]
    furthest: Lines
    ages: Lines
    waits: Lines
    endings: Lines
    visits: Lines
    logs: Lines
    promises: Lines
    referrals: Lines
    visitors: Lines
    languages: Lines
    load: Lines
    students: Lines
    persons: Lines


def tables_of(figures: Figures, *, published: bool, **of_table: Any) -> dict[str, Table]:
    """Make every table. Published ones hide what the rule says and have a line for the state.

    `of_table` is what a Table says of itself beside its lines.
    """
    cubes = {
        "funnel": funnel_cube(figures.furthest, figures.visits, figures.districts),
        "endings": endings_cube(figures.endings, figures.districts),
        "logs": logs_cube(figures.logs, figures.districts),
        "promises": promises_cube(figures.promises, figures.districts),
        "referrals": referrals_cube(figures.referrals),
        "chronic": chronic_cube(figures.students, figures.persons),
    }
    if published:
        for cube in cubes.values():
            cube.suppress()
    places = [*figures.districts, *([STATE] if published else [])]
    lines_by_table = {
        **_of_funnel(figures, cubes["funnel"], places, published=published),
        **_of_visitors(figures, cubes["funnel"], places),
        **_of_counts(figures, cubes, places),
        **_of_students(cubes["chronic"], figures.districts, published=published),
    }
    return {name: Table(name=name, lines=tuple(lines), **of_table) for name, lines in lines_by_table.items()}


def _of_funnel(figures: Figures, cube: Cube, places: list[str], *, published: bool) -> dict[str, list[Line]]:
    days = {(each["district"] or STATE, each["step"]): each["days"] for each in figures.ages}
    waits = {each["district"] or STATE: each["quartiles"] for each in figures.waits}

    def conversion(place: str, former: str, step: str) -> Shown:
        reached, before = cube.shown(step, place), cube.shown(former, place)
        return {
            "share_of_former": percent(reached, before),
            "days_since_former": _of_enough(days.get((place, step)), cube, step, place, published=published),
        }

    def visits(place: str) -> Shown:
        made, of_all = cube.shown("visits", place), cube.shown("visits", STATE)
        return {
            "visits": made,
            "share_of_state": percent(made, of_all) if published else None,
            "visits_per_100_flagged": percent(made, cube.shown("flagged", place)),
            "repeat_share": percent(cube.shown("visited_again", place), cube.shown("logged", place)),
        }

    def waited(place: str) -> Shown:
        quartiles = waits.get(place) or [None, None, None]
        names = ("quarter_waited", "half_waited", "three_quarters_waited")
        return {
            name: _of_enough(each, cube, "logged", place, published=published)
            for name, each in zip(names, quartiles, strict=True)
        }

    return {
        "funnel": [line("funnel", [place], {step: cube.shown(step, place) for step in STEPS}) for place in places],
        "conversions": [
            line("conversions", [place, step], conversion(place, former, step))
            for place in places
            for former, step in itertools.pairwise(STEPS)
        ],
        "visits": [line("visits", [place], visits(place)) for place in places],
        "first-visit": [line("first-visit", [place], waited(place)) for place in places],
        "compensation": _compensation(figures, cube, places),
    }


def _of_enough(days: float | None, cube: Cube, what: str, place: str, *, published: bool) -> Number | str:
    """A median of few families would tell of each of them."""
    if days is None:
        return None
    few = cube.value(what, place) < SMALLEST_DENOMINATOR
    return HIDDEN_MARK if published and (few or (what, (place,)) in cube.hidden) else round(days, 1)


def _compensation(figures: Figures, cube: Cube, places: list[str]) -> list[Line]:
    paid = {each["district"]: each for each in figures.visits}

    def total(column: str, place: str) -> int:
        return sum(int(each[column]) for district, each in paid.items() if place in (district, STATE))

    def shown(place: str) -> Shown:
        if ("visits", (place,)) in cube.hidden:
            return dict.fromkeys(("visit_minutes", "travel_minutes", "miles"), HIDDEN_MARK)
        made, shown_as = cube.value("visits", place), cube.shown("visits", place)

        def of_visits(column: str) -> int:
            if not cube.by_sixes or not made:
                return total(column, place)
            # The mean, in whole units, of as many visits as are told: exact sums would tell of each visit added.
            return round(total(column, place) / made) * int(shown_as or 0)

        return {
            "visit_minutes": of_visits("minutes"),
            "travel_minutes": of_visits("travel_minutes"),
            "miles": of_visits("mileage_tenths") / 10,
        }

    return [line("compensation", [place], shown(place)) for place in places]


def _of_visitors(figures: Figures, funnel: Cube, places: list[str]) -> dict[str, list[Line]]:
    visitors = {each["district"]: each for each in figures.visitors}
    loads = {place: [each["visits"] for each in figures.load if place in (each["district"], STATE)] for place in places}

    def of_place(place: str) -> Shown:
        mine = [each for district, each in visitors.items() if place in (district, STATE)]
        # Every visit has two visitors: their load tells how many visits there were.
        hidden = ("visits", (place,)) in funnel.hidden

        def as_told(visits: float) -> Number:
            # Of a district with one pair the largest load is the number of its visits.
            return told_alone(round(visits)) if funnel.by_sixes else visits

        return {
            "trained": sum(each["trained"] for each in mine),
            "active": sum(each["active"] for each in mine),
            "median_load": HIDDEN_MARK if hidden else as_told(median(loads[place])) if loads[place] else None,
            "largest_load": HIDDEN_MARK if hidden else as_told(max(loads[place])) if loads[place] else None,
        }

    by_language: dict[str, int] = {}
    for each in figures.languages:
        by_language[each["language"]] = by_language.get(each["language"], 0) + each["trained"]
    return {
        "visitors": [line("visitors", [place], of_place(place)) for place in places],
        "languages": [
            line("languages", [language], {"speakers": trained})
            for language, trained in sorted(by_language.items(), key=lambda each: (-each[1], each[0]))
        ],
    }


def _of_counts(figures: Figures, cubes: Mapping[str, Cube], places: list[str]) -> dict[str, list[Line]]:
    def lines_of(name: str, of_place: Callable[[str], Shown]) -> list[Line]:
        return [line(name, [place], of_place(place)) for place in places]

    endings, logs, promises, referrals = (cubes[name] for name in ("endings", "logs", "promises", "referrals"))
    states = ("due", "in_time", "late", "waiting", "overdue")
    resources = sorted({each["resource"] for each in figures.referrals})
    return {
        "endings": lines_of(
            "endings",
            lambda place: {each: endings.shown(each, place) for each in ("declined", "not_reached", "withdrawn")},
        ),
        "logs": lines_of(
            "logs",
            lambda place: {
                **{each: logs.shown(each, place) for each in states},
                "in_time_share": percent(logs.shown("in_time", place), logs.shown("due", place)),
            },
        ),
        "follow-ups": lines_of(
            "follow-ups",
            lambda place: {
                "promised": promises.shown("promised", place),
                "kept": promises.shown("kept", place),
                "kept_share": percent(promises.shown("kept", place), promises.shown("promised", place)),
            },
        ),
        "referrals": [
            line(
                "referrals",
                [resource],
                {
                    "referrals": referrals.shown("referrals", resource),
                    **{f"referral_{each}": referrals.shown(f"referral_{each}", resource) for each in REFERRAL_STATUSES},
                },
            )
            for resource in (*resources, *([STATE] if resources else []))
        ],
    }


def _of_students(cube: Cube, districts: Sequence[str], *, published: bool) -> dict[str, list[Line]]:
    def of_students(*where: str) -> Shown:
        students, chronic = cube.shown("students", *where), cube.shown("chronic", *where)
        return {"students": students, "chronic": chronic, "chronic_rate": percent(chronic, students)}

    known = [place for place in (*districts, STATE) if ("students", (place,)) in cube.coefficients]
    places = [place for place in known if published or place != STATE]
    schools = sorted(
        where[1:]
        for what, where in cube.coefficients
        if what == "students" and where[0] == "school" and len(where) == 3
    )
    return {
        "chronic": [line("chronic", [place], of_students(place)) for place in places],
        "chronic-by-band": [
            line("chronic-by-band", [place, band], of_students(place, band))
            for place in places
            for band in bands_of(cube, place)
        ],
        "chronic-by-school": [
            line("chronic-by-school", [district, school], of_students("school", district, school))
            for district, school in schools
        ],
    }

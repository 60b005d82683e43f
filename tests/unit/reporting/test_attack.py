"""Nobody can work out a hidden number, whatever they add up and subtract."""

import csv
import io
import json
from typing import Any

import pytest

from services.reporting.rules import cubes, suppression
from services.reporting.rules.figures import Figures
from services.reporting.rules.measures import MEASURES, grade_band
from services.reporting.rules.suppression import PROTECTION, SMALLEST_NUMERATOR
from services.reporting.rules.tables import as_json, as_rows
from tests.unit.reporting.attacker import Attacker, attackers, attackers_of_releases, of_exact_counts
from tests.unit.reporting.small_state import figures_of, grown, published_of

SEEDS = range(4)
TOLERANCE = 1e-6


def documents_of(figures: Figures) -> dict[str, Any]:
    """Every published table as a reader gets it, and what is known of the schools anyway."""
    documents = {name: json.loads(json.dumps(as_json(t), default=str)) for name, t in published_of(figures).items()}
    taught = {
        (each["district"], each["school"], band) for each in figures.students if (band := grade_band(each["grade"]))
    }
    return {**documents, "schools": {"taught": sorted(taught)}, "movers": {"some": bool(figures.persons)}}


def pinned(attacker: Attacker) -> dict[str, tuple[float, float]]:
    """The hidden cells that are known more closely than the protection promises."""
    return {
        name: (low, high)
        for name, (low, high) in attacker.spans(attacker.hidden).items()
        if high - low < PROTECTION - TOLERANCE
    }


@pytest.mark.parametrize("movers", [0.0, 0.002, 0.05])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_attacker_with_every_published_table_pins_no_hidden_cell(seed: int, movers: float) -> None:
    documents = documents_of(figures_of(seed, movers=movers))
    for counted, attacker in attackers(documents).items():
        assert pinned(attacker) == {}, counted


def test_each_kind_of_count_has_hidden_cells_to_attack_and_shown_ones_to_attack_with() -> None:
    for counted, attacker in attackers(documents_of(figures_of(0))).items():
        assert len(attacker.hidden) >= 2, counted
        assert set(attacker.shown.values()) - {"*", 0}, counted


@pytest.mark.parametrize("districts", [1, 2, 3])
def test_the_fewer_districts_the_more_is_hidden_and_nothing_is_pinned(districts: int) -> None:
    for seed in SEEDS:
        for counted, attacker in attackers(documents_of(figures_of(seed, districts=districts))).items():
            assert pinned(attacker) == {}, (counted, seed)


def hide_only_small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_complementary(parts: Any, cells: Any, _groups: Any, _moves: Any) -> Any:
        return frozenset(suppression.small_cells(parts, cells))

    monkeypatch.setattr(cubes, "hidden_cells", without_complementary)


def tell_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_they_are(cube: cubes.Cube, what: str, *where: str) -> Any:
        return "*" if (what, where) in cube.hidden else cube.value(what, *where)

    monkeypatch.setattr(cubes.Cube, "shown", as_they_are)


# Two walls, each tried without the other: what is hidden holds where counts are exact, sixes where little is hidden.
@pytest.mark.parametrize("counted", ["households and visits", "requests", "logs", "referrals", "students"])
def test_hiding_only_small_cells_of_exact_counts_is_found_out(monkeypatch: pytest.MonkeyPatch, counted: str) -> None:
    tell_exactly(monkeypatch)
    assert not any(pinned(of_exact_counts(attackers(documents_of(figures_of(seed)))[counted])) for seed in SEEDS)
    hide_only_small_cells(monkeypatch)
    assert any(pinned(of_exact_counts(attackers(documents_of(figures_of(seed)))[counted])) for seed in SEEDS)


@pytest.mark.parametrize("counted", ["households and visits", "requests", "logs", "promises", "referrals"])
def test_told_by_sixes_even_small_cells_hidden_alone_are_known_to_a_six(
    monkeypatch: pytest.MonkeyPatch, counted: str
) -> None:
    hide_only_small_cells(monkeypatch)
    attacker = attackers(documents_of(figures_of(0)))[counted]
    assert attacker.hidden
    assert pinned(attacker) == {}


def test_what_is_told_otherwise_than_by_sixes_is_seen_by_who_expects_sixes(monkeypatch: pytest.MonkeyPatch) -> None:
    tell_exactly(monkeypatch)
    attacker = attackers(documents_of(figures_of(0)))["logs"]
    with pytest.raises(AssertionError, match="infeasible"):
        attacker.spans(attacker.hidden, whole=True)


@pytest.mark.parametrize("movers", [0.0, 0.05])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_small_number_is_hidden_in_every_table(seed: int, movers: float) -> None:
    for name, document in documents_of(figures_of(seed, movers=movers)).items():
        for line in document.get("lines", ()):
            for measure in document["measures"]:
                shown = line[measure["name"]]
                counted = measure["unit"] in ("households", "requests", "students", "promises", "referrals")
                if counted and MEASURES[measure["name"]].suppressed and shown != "*":
                    assert shown == 0 or shown >= 6, (name, line)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_csv_hides_what_the_json_hides(seed: int) -> None:
    for table in published_of(figures_of(seed)).values():
        text = io.StringIO()
        csv.writer(text).writerows(as_rows(table))
        rows = list(csv.DictReader(io.StringIO(text.getvalue())))
        for row, line in zip(rows, as_json(table)["lines"], strict=True):
            assert {key: row[key] for key in line} == {k: "" if v is None else str(v) for k, v in line.items()}


def test_what_follows_from_a_hidden_count_is_hidden_too() -> None:
    documents = documents_of(figures_of(3))
    hidden = {line["district"] for line in documents["visits"]["lines"] if line["visits"] == "*"}
    assert hidden
    for name, measures in (
        ("compensation", ("visit_minutes", "travel_minutes", "miles")),
        ("visitors", ("median_load", "largest_load")),
        ("visits", ("share_of_state", "visits_per_100_flagged")),
    ):
        for line in documents[name]["lines"]:
            if line["district"] in hidden:
                assert all(line[measure] == "*" for measure in measures), (name, line)


def recovered(attacker: Attacker, *, whole: bool = False) -> dict[str, tuple[float, float]]:
    """By how much cells grew between two releases where that is known to be about a few, and closely."""
    return {
        name: (low, high)
        for name, (low, high) in attacker.spans(attacker.grown, whole=whole).items()
        if high - low < PROTECTION - TOLERANCE and low < SMALLEST_NUMERATOR - 0.5 and high > 0.5
    }


def releases_of(seed: int, *, releases: int, districts: int) -> list[dict[str, Any]]:
    """So many months of one state, as they are published one after the other."""
    figures = [figures_of(seed, districts=districts)]
    for month in range(1, releases):
        figures.append(grown(figures[-1], 100 * seed + month))
    return [documents_of(each) for each in figures]


@pytest.mark.parametrize(("releases", "districts"), [(2, 5), (3, 3)])
def test_releases_subtracted_tell_no_count_under_six(releases: int, districts: int) -> None:
    for counted, attacker in attackers_of_releases(releases_of(1, releases=releases, districts=districts)).items():
        assert recovered(attacker) == {}, counted
        pinned_by_others = {
            name: (low, high)
            for name, (low, high) in attacker.spans(attacker.hidden).items()
            if high - low < PROTECTION - TOLERANCE
        }
        assert pinned_by_others == {}, counted


@pytest.mark.parametrize("counted", ["requests", "logs", "promises", "referrals"])
def test_nor_where_the_attacker_knows_that_counts_are_whole(counted: str) -> None:
    attacker = attackers_of_releases(releases_of(2, releases=2, districts=3))[counted]
    assert recovered(attacker, whole=True) == {}


def test_counts_told_exactly_are_found_out_by_subtraction(monkeypatch: pytest.MonkeyPatch) -> None:
    tell_exactly(monkeypatch)
    before, after = releases_of(1, releases=2, districts=5)
    shown_before = {line["district"]: line["visits"] for line in before["visits"]["lines"]}
    differ = [
        line["visits"] - shown_before[line["district"]]
        for line in after["visits"]["lines"]
        if "*" not in (line["visits"], shown_before[line["district"]])
    ]
    assert [each for each in differ if 0 < each < SMALLEST_NUMERATOR]


def test_all_tables_of_a_release_add_up() -> None:
    documents = documents_of(figures_of(2, movers=0.0))
    lines = {line["district"]: line for line in documents["logs"]["lines"]}
    whole = lines.pop("state")
    for measure in ("due", "in_time"):
        if "*" not in (shown := [line[measure] for line in lines.values()]):
            # Each line is rounded to a whole number once.
            assert abs(sum(shown) - whole[measure]) <= len(shown) / 2

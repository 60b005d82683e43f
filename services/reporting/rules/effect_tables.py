"""From the effect to tables that may be published.

Counts are told in tens and shares in whole per cents: two lines that differ by a few students, the next month's or a
district's and the state's, then don't tell how those few did.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.reporting.rules.effect import (
    MONTHS_SHOWN,
    NEVER,
    EffectOfMonth,
    Panel,
    StillChronic,
    effect_by_month,
    still_chronically_absent,
)
from services.reporting.rules.measures import BANDS, grade_band
from services.reporting.rules.suppression import is_small, may_show
from services.reporting.rules.tables import HIDDEN_MARK, STATE, Line, Number, Table, line

OTHER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaggedStudents:
    """The panel, and which district and band each of its students belongs to."""

    panel: Panel
    district: NDArray[np.str_]
    band: NDArray[np.str_]


def flagged_students(rows: Iterable[Mapping[str, Any]]) -> FlaggedStudents:
    """Lay the rows of the query out as columns."""
    students = list(rows)
    lengths = [len(each["months"]) for each in students]

    def column(name: str) -> NDArray[np.int64]:
        return np.array([each[name] for each in students], dtype=np.int64)

    def months(name: str) -> NDArray[np.int64]:
        return np.array([entry for each in students for entry in each[name]], dtype=np.int64)

    panel = Panel(
        household=column("household"),
        flag_month=column("flag_month"),
        visit_month=np.array(
            [NEVER if each["visit_month"] is None else each["visit_month"] for each in students], dtype=np.int64
        ),
        of_student=np.repeat(np.arange(len(students)), lengths),
        month=months("months"),
        days_enrolled=months("days_enrolled"),
        days_absent=months("days_absent"),
    )
    return FlaggedStudents(
        panel=panel,
        district=np.array([each["district"] for each in students], dtype=np.str_),
        band=np.array([grade_band(each["grade"]) or OTHER for each in students], dtype=np.str_),
    )


def effect_tables(
    students: FlaggedStudents, *, school_year: int, as_of: datetime | None, cut_off: date | None
) -> dict[str, Table]:
    """Make the tables of the effect and of who is still chronically absent: by district and by grade band."""
    districts = {str(name): students.district == name for name in np.unique(students.district)}
    bands = {name: students.band == name for name in BANDS}
    everybody = np.ones(students.panel.household.size, dtype=bool)
    of_place = {place: students.panel.only(wanted) for place, wanted in (*districts.items(), (STATE, everybody))}
    of_band = {band: students.panel.only(wanted) for band, wanted in bands.items()}

    def table(name: str, lines_of: Callable[[str, str, Panel], list[Line]], panels: Mapping[str, Panel]) -> Table:
        lines = [each for key, panel in panels.items() for each in lines_of(name, key, panel)]
        return Table(name=name, lines=tuple(lines), school_year=school_year, as_of=as_of, cut_off=cut_off)

    return {
        "effect": table("effect", _of_effect, of_place),
        "effect-by-band": table("effect-by-band", _of_effect, of_band),
        "still-chronic": table("still-chronic", _of_still, of_place),
        "still-chronic-by-band": table("still-chronic-by-band", _of_still, of_band),
    }


def _of_effect(name: str, key: str, panel: Panel) -> list[Line]:
    return [
        line(name, [key, str(each.months_since)], effect_shown(each))
        for each in effect_by_month(panel, months=MONTHS_SHOWN)
        if each.naive_students
    ]


def effect_shown(effect: EffectOfMonth) -> dict[str, Number | str]:
    """Give what may be published of one month: nothing of fewer than 20 students, visited or compared."""
    enough = _enough(effect.students) and _enough(effect.compared)
    return {
        "effect_students": _in_tens(effect.students) if enough else HIDDEN_MARK,
        "effect_compared": _in_tens(effect.compared) if enough else HIDDEN_MARK,
        "effect": _points(effect.effect) if enough else HIDDEN_MARK,
        "effect_low": _points(effect.low) if enough else HIDDEN_MARK,
        "effect_high": _points(effect.high) if enough else HIDDEN_MARK,
        "naive": _points(effect.naive) if _enough(effect.naive_students) else HIDDEN_MARK,
    }


def _of_still(name: str, key: str, panel: Panel) -> list[Line]:
    found = still_chronically_absent(panel)
    return [line(name, [key], still_shown(found))] if found.students else []


def still_shown(found: StillChronic) -> dict[str, Number | str]:
    """Give what may be published: neither a few who still are chronically absent, nor a few who are not."""
    improved = found.students - found.still
    shown = may_show(numerator=found.still, denominator=found.students) and not is_small(improved)
    return {
        "chronic_before": _in_tens(found.students) if shown else HIDDEN_MARK,
        "still_chronic_share": round(100 * found.still / found.students) if shown else HIDDEN_MARK,
    }


def _enough(students: int) -> bool:
    return may_show(numerator=students, denominator=students)


def _in_tens(count: int) -> int:
    return count // 10 * 10


def _points(value: float | None) -> Number:
    return None if value is None else round(value, 1) + 0.0  # no "-0.0"

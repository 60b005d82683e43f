"""The checker is checked: a rule that is wrong in one place must make some world of the gate differ from the oracle."""

import dataclasses
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import pytest

from services.flagging.rules import absence, rolls
from services.flagging.rules.absence import StintDays
from services.flagging.rules.rolls import Completion, Completions, Mark, RollPage
from services.flagging.store import rosters
from tests.component.flagging.conftest import Clock, Emptied
from tests.component.flagging.test_worlds import IN_THE_GATE, run
from tests.component.flagging.worlds import a_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

Mistake = tuple[object, str, Callable[..., Any]]


def _mirrored(day: date) -> date:
    return date(2026, 1, 1) - (day - date(2026, 1, 1))


def _earlier_entry_first(rule: Callable[..., Any]) -> Callable[..., Any]:
    def reversed_rule(*, parts: Iterable[StintDays]) -> Any:
        return rule(parts=[dataclasses.replace(part, entry_date=_mirrored(part.entry_date)) for part in parts])

    return reversed_rule


def _exit_day_counts(*, exit_date: date | None, exit_day_counts: bool, school_year: int) -> date:  # noqa: ARG001
    return absence.last_enrolled_day(exit_date=exit_date, exit_day_counts=True, school_year=school_year)


def _more_than_a_tenth(*, days_absent: int, days_enrolled: int, min_enrolled_days: int) -> bool:
    return days_enrolled >= min_enrolled_days and 10 * days_absent > days_enrolled


def _first_word_stands(words: Completions, place: int, word: Completion) -> bool:
    return words.by_place.setdefault(place, word) is word


def _first_mark_stands(page: RollPage, student: bytes, mark: Mark) -> bool:
    return page.marks.setdefault(student, mark) is mark


MISTAKES: dict[str, Mistake] = {
    "the earlier entry has the day": (absence, "overlay", _earlier_entry_first(absence.overlay)),
    "sums give it to the earlier entry": (absence, "own_days", _earlier_entry_first(absence.own_days)),
    "an exit day always counts": (rosters, "last_enrolled_day", _exit_day_counts),
    "10 % is not yet chronic": (absence, "is_chronically_absent", _more_than_a_tenth),
    "a reopened roll stays complete": (rolls.Completions, "put", _first_word_stands),
    "a correction is not heard": (rolls.RollPage, "put", _first_mark_stands),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_rule_that_is_wrong_is_found(
    emptied: Emptied, moved_clock: Clock, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    monkeypatch.setattr(*MISTAKES[mistake])
    for seed in IN_THE_GATE:
        try:
            await run(await emptied.empty(), a_world(seed), moved_clock)
        except AssertionError:
            return
    pytest.fail("no world of the gate noticed")

"""The checker's own eyes: what it must see on the topics, what is no fault, and what the table says of it."""

import json
from pathlib import Path
from typing import Any

from tests.faults.checks import by_word
from tests.faults.ledger import Ledger, Round, lines, markdown
from tests.faults.reading import Told
from tests.faults.rounds import DECK, kind_of
from tests.faults.town import BEGUN, DISTRICTS, PLANNED, Town, day_of


def flag(event: str, version: int, level: str = "at_risk", **more: Any) -> bytes:
    """Give a told flag of one student."""
    told = {"event_type": "absence-flag.raised.v1", "event_id": event, "student_key": "s", "version": version}
    return json.dumps(told | {"level": level, "occurred_at": event + more.pop("at", "")} | more).encode()


def told(*values: bytes) -> list[str]:
    """Take in events in their order, and give what is wrong about them."""
    taken = Told()
    for value in values:
        taken.take(value)
    return taken.wrong


def test_an_event_that_comes_again_is_no_fault_unless_it_says_something_else() -> None:
    assert told(flag("a", 1), flag("a", 1), flag("a", 1, at="later")) == []
    assert [each.partition(":")[0] for each in told(flag("a", 1), flag("a", 1, days_absent=3))] == ["doubled"]
    # Somebody who has heard of a newer version acts on neither.
    assert told(flag("a", 1), flag("b", 2), flag("a", 1, days_absent=3)) == []


def test_a_version_that_goes_back_and_a_request_opened_twice_are_found() -> None:
    assert by_word(told(flag("a", 2), flag("b", 1)))["wrong"] == 1
    requests = [{"event_type": "visit.requested.v1", "event_id": each, "request_id": "r"} for each in ("a", "b")]
    assert by_word(told(*(json.dumps(each).encode() for each in requests)))["doubled"] == 1


def test_a_ledger_goes_on_where_it_was_and_its_table_adds_up(tmp_path: Path) -> None:
    played = Ledger(seed=3)
    for number, counted in enumerate(({}, {"lost": 2})):
        played.rounds.append(
            Round(
                number=number, kind="freeze", times={"service kill -9": 10, "freeze": 2}, counted=counted,
                found=["lost: a mark"] * len(counted), recovery_seconds=4.0 + number,
            )
        )  # fmt: skip
    played.write(tmp_path)
    again = Ledger.of(tmp_path, seed=99)
    assert (again, again.is_clean(), again.is_enough(20)) == (played, False, False)
    (of_freeze,) = [line for line in lines(again) if line["fault"] == "freeze"]
    assert (of_freeze["times"], of_freeze["lost"], of_freeze["recovery_worst"]) == (4, 2, 5.0)
    assert "| freeze | 4 | 2 | 2 | 0 | 0 | 0 | 4.5, 5.0 |" in markdown(again)


def test_a_round_is_the_same_whenever_it_is_landed_and_every_kind_is_dealt() -> None:
    for number in (0, 1, 40, PLANNED + 3):
        first, again = (Town(seed=5, students=20).attendance(DISTRICTS[0], number) for _ in range(2))
        assert first == again
    assert (day_of(0), day_of(PLANNED)) == (BEGUN, None)
    assert {kind_of(5, number) for number in range(len(DECK))} == set(DECK)

"""Who may sign in, as a file says it."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.runtime.settings import SettingsRejected
from services.runtime.web.people import People
from tests import people


def test_a_person_sees_their_scopes_and_the_star_sees_all(tmp_path: Path) -> None:
    known = people.people(tmp_path)
    rosa, state, ana = known.named("rosa"), known.named("state"), known.named("ana")
    assert rosa is not None
    assert state is not None
    assert ana is not None
    assert [rosa.may_see(scope) for scope in ("hartford", "danbury", "norwich", "*", "")] == [True, True] + 3 * [False]
    assert state.may_see("a district of next year")
    assert (state.sees_everything, ana.sees_everything) == (True, False)


def test_a_key_names_its_person_and_no_other(tmp_path: Path) -> None:
    known = people.people(tmp_path)
    ben = known.with_key(people.key_of("ben"))
    assert ben is not None
    assert (ben.name, ben.role) == ("ben", "scheduler")
    assert known.with_key("") is None
    assert known.with_key(people.PEOPLE["ben"]["key_sha256"]) is None, "what the file holds is no key"


def test_name_and_key_must_go_together(tmp_path: Path) -> None:
    known = people.people(tmp_path)
    assert known.signing_in(name="ana", key=people.key_of("ana")) == known.named("ana")
    assert known.signing_in(name="ana", key=people.key_of("ben")) is None
    assert known.signing_in(name="nobody", key=people.key_of("ben")) is None
    assert known.signing_in(name="ana", key="\ud800") is None


WRONG: dict[str, Any] = {
    "no json": "{",
    "no secret": {"people": {}},
    "a short secret": {"secret": "ab", "people": {}},
    "a name with a space": {"secret": people.SECRET, "people": {"ana r": people.PEOPLE["ana"]}},
    "a key in clear": {"secret": people.SECRET, "people": {"ana": people.PEOPLE["ana"] | {"key": "clear"}}},
    "a scope with a capital": {"secret": people.SECRET, "people": {"ana": people.PEOPLE["ana"] | {"scopes": ["H"]}}},
}


@pytest.mark.parametrize("declared", WRONG.values(), ids=WRONG.keys())
def test_a_file_that_does_not_do_is_refused_without_saying_what_it_holds(tmp_path: Path, declared: Any) -> None:
    file = tmp_path / "people.json"
    file.write_text(declared if isinstance(declared, str) else json.dumps(declared))
    with pytest.raises(SettingsRejected, match="LEAP_PEOPLE_FILE") as refused:
        People.load(file)
    assert not any(word in str(refused.value) for word in ("clear", people.SECRET, people.PEOPLE["ana"]["key_sha256"]))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRejected, match="LEAP_PEOPLE_FILE: can't be read"):
        People.load(tmp_path / "nowhere.json")

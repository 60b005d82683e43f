"""Who may sign in, as a file says it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.runtime.seen.telemetry import FILE_BROKEN
from services.runtime.settings import SettingsRejected
from services.runtime.web.keys import sha256_of
from services.runtime.web.people import People
from tests import people
from tests.heard import heard


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
    "nobody": {"secret": people.SECRET},
    "a key that is no hash": {"people": {"ana": people.PEOPLE["ana"] | {"key": "summer2026"}}},
    "an end without a zone": {"people": {"ana": people.PEOPLE["ana"] | {"expires": "2027-01-01T00:00:00"}}},
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


def test_a_file_of_the_release_before_loads_and_its_keys_go_on(tmp_path: Path) -> None:
    of_before = "Zx9-fE3q_Rt7Yw2LmN0b"  # 120 random bits, without a form of their own
    known = people.people(tmp_path, old=people.PEOPLE["ana"] | {"key_sha256": sha256_of(of_before)})
    found = known.with_key(of_before)
    assert found is not None
    assert found.name == "old"
    assert known.signing_in(name="old", key=of_before) == found


CHOSEN = ["summer2026", "", "correct horse battery staple", "leap_" + "a" * 29, people.key_of("ana")[:-1] + "x"]


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize("field", ["key", "key_sha256"])
def test_a_key_that_was_not_made_here_is_refused_whatever_the_file_says(
    tmp_path: Path, chosen: str, field: str
) -> None:
    declared = {name: value for name, value in people.PEOPLE["ana"].items() if name != "key_sha256"}
    kept = sha256_of(chosen) if field == "key_sha256" else f"sha256:{sha256_of(chosen)}"
    known = people.people(tmp_path, sly={**declared, field: kept})
    assert known.with_key(chosen) is None
    assert known.signing_in(name="sly", key=chosen) is None


def test_a_key_of_the_release_before_is_none_where_the_file_says_it_was_made_here(tmp_path: Path) -> None:
    of_before = "Zx9-fE3q_Rt7Yw2LmN0b"
    declared = {name: value for name, value in people.PEOPLE["ana"].items() if name != "key_sha256"}
    known = people.people(tmp_path, old={**declared, "key": f"sha256:{sha256_of(of_before)}"})
    assert known.with_key(of_before) is None


def test_a_key_ends_when_the_file_says_so(tmp_path: Path) -> None:
    over, to_come = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (-1, 3600))
    known = people.people(
        tmp_path,
        ana=people.PEOPLE["ana"] | {"expires": over.isoformat()},
        ben=people.PEOPLE["ben"] | {"expires": to_come.isoformat()},
    )
    assert known.with_key(people.key_of("ana")) is None
    assert known.named("ana") is None
    assert known.with_key(people.key_of("ben")) is not None
    assert "ana" not in {person.name for person in known}


def test_a_changed_file_is_in_force_when_it_is_read_again(tmp_path: Path) -> None:
    known = people.people(tmp_path)
    assert not known.reread(), "nothing has changed"
    file = tmp_path / "people.json"
    without_ana = {name: each for name, each in people.PEOPLE.items() if name != "ana"}
    arriving = tmp_path / "arriving"
    arriving.write_text(json.dumps({"people": without_ana, "withdrawn": {"ben": "2026-11-30T00:00:00+00:00"}}))
    arriving.rename(file)
    assert known.reread()
    assert known.with_key(people.key_of("ana")) is None
    assert known.with_key(people.key_of("ben")) is None, "withdrawn is withdrawn, also while the line stands"
    assert known.is_withdrawn("ben")
    assert known.with_key(people.key_of("bea")) is not None


@pytest.mark.parametrize("broken", ["{", '{"people": {"ana": {}}}', None], ids=["no json", "no person", "gone"])
def test_a_broken_file_leaves_the_last_good_one_in_force_and_says_so(tmp_path: Path, broken: str | None) -> None:
    known, file = people.people(tmp_path), tmp_path / "people.json"
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    with heard() as said:
        assert not known.reread()
        assert not known.reread()
    assert [(line["log_level"], line["event"]) for line in said] == [
        ("error", "the people file can't be used, who was known before stays")
    ]
    assert known.with_key(people.key_of("ana")) is not None
    assert FILE_BROKEN.labels("people")._value.get() == 1
    people.people_file(tmp_path)
    assert known.reread()
    assert FILE_BROKEN.labels("people")._value.get() == 0


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRejected, match="LEAP_PEOPLE_FILE: can't be read"):
        People.load(tmp_path / "nowhere.json")

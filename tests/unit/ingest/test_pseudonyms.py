"""Pseudonyms: the same number always the same key, never across districts; the districts file fails clearly."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.districts_file import DistrictsFileUnreadable, load_districts
from services.ingest.rules.pseudonyms import Pseudonyms
from tests.unit.ingest.landed import HARTFORD_TOKEN, districts

HARTFORD = {"secret": "bb" * 32, "token": HARTFORD_TOKEN}
SECRETS = {"state_secret": "aa" * 32, "districts": {"hartford": HARTFORD}}


@given(st.text(min_size=1, max_size=64).filter(str.isprintable))
def test_a_number_has_one_key_per_district_and_one_for_the_state(number: str) -> None:
    ours, theirs = districts().pseudonyms["hartford"], districts().pseudonyms["danbury"]
    key = ours.student_key(student=number, state_student=None)
    assert key == ours.student_key(student=number, state_student="other") == str(UUID(key))
    assert key != theirs.student_key(student=number, state_student=None)
    assert ours.person_key(number) == theirs.person_key(number)
    assert len({key, ours.person_key(number), ours.household_key(number), str(UUID(ours.stint(number)))}) == 4


def test_another_secret_gives_other_keys() -> None:
    rotated = Pseudonyms(secret=b"n" * 32, state_secret=b"s" * 32)
    assert rotated.household_key("1") != districts().pseudonyms["hartford"].household_key("1")


def test_a_token_names_its_district_and_nobody_elses() -> None:
    assert districts().district_of_token(HARTFORD_TOKEN) == "hartford"
    assert districts().district_of_token(HARTFORD_TOKEN + "x") is None


def test_the_districts_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "districts.json"
    path.write_text(json.dumps(SECRETS))
    loaded = load_districts(path)
    assert list(loaded.pseudonyms) == ["hartford"]
    assert loaded.district_of_token(HARTFORD_TOKEN) == "hartford"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[]",
        "{}",
        json.dumps({**SECRETS, "state_secret": "short"}),
        json.dumps({**SECRETS, "districts": {"Hart_Ford": HARTFORD}}),
        json.dumps({**SECRETS, "districts": {"hartford": {"secret": "bb" * 32, "token": "short"}}}),
        json.dumps({**SECRETS, "districts": {"hartford": {"secret": "zz", "token": HARTFORD_TOKEN}}}),
        json.dumps({**SECRETS, "districts": dict.fromkeys(("a", "b"), HARTFORD)}),
    ],
)
def test_a_wrong_districts_file_stops_the_start_and_shows_no_secret(tmp_path: Path, written: str) -> None:
    path = tmp_path / "districts.json"
    path.write_text(written)
    with pytest.raises(DistrictsFileUnreadable) as caught:
        load_districts(path)
    assert HARTFORD_TOKEN not in str(caught.value)
    assert "bb" * 32 not in str(caught.value)

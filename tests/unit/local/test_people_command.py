"""`leap people`: who may sign in is changed by a command, and a key is shown once."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deploy import cli
from deploy.commands.people import problem_of_people
from services.runtime.web.keys import is_ours
from services.runtime.web.people import People
from tests import people


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A people file as the release before wrote it."""
    monkeypatch.setattr("deploy.commands.people.folder", lambda: tmp_path)
    path = people.people_file(tmp_path)
    monkeypatch.setenv("LEAP_PEOPLE_FILE", str(path))
    return path


def leap(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run `leap people ... --json` and give what it says."""
    assert cli.run(["people", "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_somebody_comes_gets_a_new_key_and_goes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = leap(capsys, "add", "lena", "--role", "scheduler", "--scopes", "hartford", "--language", "es")["key"]
    lena = People.load(file).with_key(key)
    assert lena is not None
    assert (lena.name, lena.role, lena.scopes, lena.language) == ("lena", "scheduler", frozenset({"hartford"}), "es")
    assert key not in file.read_text()
    assert is_ours(key)

    newer = leap(capsys, "rotate", "lena")["key"]
    known = People.load(file)
    assert (known.with_key(key), known.with_key(newer)) == (None, lena)

    leap(capsys, "withdraw", "lena")
    known = People.load(file)
    assert known.with_key(newer) is None
    assert known.is_withdrawn("lena")
    assert known.with_key(people.key_of("ana")) is not None, "nobody else is concerned"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret" not in json.loads(file.read_text()), "one for all services is no more"


def test_a_key_of_the_release_before_is_listed_and_rotated_into_one_of_ours(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = {each["name"]: each["key"] for each in leap(capsys, "list")["people"]}
    assert listed["ana"] == "rotate", "of the release before"
    key = leap(capsys, "rotate", "ana")["key"]
    listed = {each["name"]: each["key"] for each in leap(capsys, "list")["people"]}
    assert (listed["ana"], listed["ben"]) == ("ours", "rotate")
    known = People.load(file)
    assert (known.with_key(key), known.with_key(people.key_of("ana"))) == (known.named("ana"), None)


def test_a_key_may_be_given_an_end(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leap(capsys, "add", "guest", "--role", "visitor", "--scopes", "hartford", "--expires", "2099-06-30")
    (guest,) = (each for each in leap(capsys, "list")["people"] if each["name"] == "guest")
    assert guest["expires"] == "2099-07-01T00:00:00-04:00", "the last day is whole, here"
    assert not guest["expired"]
    words = ["people", "add", "late", "--role", "visitor", "--scopes", "hartford", "--expires", "2020-01-01"]
    assert cli.run(words) == 1
    assert "is over" in capsys.readouterr().err
    assert "late" not in file.read_text()


def test_a_person_of_a_provider_is_withdrawn_by_name_and_let_in_again(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leap(capsys, "withdraw", "valley.m.vega")
    assert People.load(file).is_withdrawn("valley.m.vega")
    assert "valley.m.vega" in leap(capsys, "list")["withdrawn"]
    leap(capsys, "add", "valley.m.vega", "--role", "visitor", "--scopes", "hartford")
    assert not People.load(file).is_withdrawn("valley.m.vega")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["withdraw", "nobody"], "nobody is called nobody"),
        (["rotate", "nobody"], "nobody is called nobody"),
        (["add", "ana", "--role", "visitor", "--scopes", "hartford"], "is there already"),
        (["add", "Lena R", "--role", "visitor", "--scopes", "hartford"], "nothing was changed"),
        (["add", "lena", "--role", "visitor", "--scopes", "Hartford!"], "nothing was changed"),
    ],
)
def test_what_can_t_be_done_changes_nothing_and_says_why(
    file: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    before = file.read_bytes()
    assert cli.run(["people", *words]) == 1
    assert said in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_broken_file_is_not_written_over(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problem_of_people() == ""
    file.write_text('{"people": {"ana": ')
    assert problem_of_people() == "LEAP_PEOPLE_FILE: correct not JSON", "which `leap status` says"
    assert cli.run(["people", "withdraw", "ana"]) == 1
    assert "LEAP_PEOPLE_FILE" in capsys.readouterr().err
    assert file.read_text() == '{"people": {"ana": '


def test_two_changes_at_once_are_both_made(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [["people", "--json", "add", f"guest-{n}", "--role", "visitor", "--scopes", "hartford"] for n in range(20)]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(cli.run, words)) == {0}
    capsys.readouterr()
    assert {f"guest-{n}" for n in range(20)} <= set(json.loads(file.read_text())["people"])

"""The list of what was released only grows: every way to spoil it, with and without history."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import released
from tests.contracts.spoilt import (
    FLAGGING,
    LIST,
    ROOT,
    VISITS,
    commit,
    drop,
    edit,
    gate,
    git,
    problems,
    release,
    rewrite,
    run,
)

PAIR = "    started_at: Moment\n    pair: Pair\n"
LIFT = "    lift: str | None = None\n"


@pytest.mark.parametrize(
    "what", ["schemas/roll.completed.v1.json", "topics/visit-log.json", "migrations/flagging/0001_absence.sql"]
)
def test_rewritten_bytes_fail(tree: Path, what: str) -> None:
    file = tree / "contracts/released/0001" / what
    file.write_bytes(file.read_bytes() + b"\n")

    code, said = gate(tree)

    assert code == 1
    assert said.startswith(f"released/0001/{what}: rewritten: restore it")


@pytest.mark.parametrize(
    ("what", "before", "after"),
    [
        ("schemas/roll.completed.v1.json", b'"feed"', b'"feeds"'),
        ("topics/visit-log.json", b'"partitions": 24', b'"partitions": 12'),
        ("migrations/flagging/0001_absence.sql", b"fillfactor = 45", b"fillfactor = 70"),
    ],
)
def test_bytes_rewritten_with_their_digest_fail(tree: Path, what: str, before: bytes, after: bytes) -> None:
    rewrite(tree, what, before, after)
    assert problems(tree)


def test_a_dropped_entry_fails(tree: Path) -> None:
    drop(tree, "schemas/roll.completed.v1.json", with_bytes=False)

    code, said = gate(tree)

    assert code == 1
    assert said == "released/0001/schemas/roll.completed.v1.json: in no line of list.sha256: restore its line\n"


def test_dropped_bytes_fail(tree: Path) -> None:
    (tree / "contracts/released/0001/topics/visit-log.json").unlink()
    assert problems(tree) == ["released/0001/topics/visit-log.json: listed and not there: restore it"]


def test_an_entry_dropped_with_its_bytes_fails_where_later_ones_stand(tree: Path) -> None:
    drop(tree, "migrations/flagging/0002_days_behind_a_flag.sql", with_bytes=True)
    (complaint,) = problems(tree)
    assert complaint.startswith(f"{FLAGGING}/0002_days_behind_a_flag.sql: in no line of the list")


def test_a_migration_released_twice_fails(tree: Path) -> None:
    form = tree / "contracts/released/9000/migrations/flagging/0001_absence.sql"
    form.parent.mkdir(parents=True)
    form.write_text("SELECT 1;\n")
    with (tree / LIST).open("a") as lines:
        lines.write(f"{hashlib.sha256(form.read_bytes()).hexdigest()}  9000/migrations/flagging/0001_absence.sql\n")
    shutil.copy(form, tree / FLAGGING / "0001_absence.sql")
    assert problems(tree) == ["migrations/flagging/0001_absence.sql: released twice: it never changes"]


def test_a_line_that_is_no_entry_fails(tree: Path) -> None:
    with (tree / LIST).open("a") as lines:
        lines.write("<<<<<<< HEAD\n")
    assert problems(tree) == ["released/list.sha256: '<<<<<<< HEAD' is no entry"]


def test_no_list_at_all_fails(tree: Path) -> None:
    shutil.rmtree(tree / "contracts/released")
    (complaint,) = problems(tree)
    assert complaint.startswith("released/list.sha256: missing")


def test_a_history_in_which_the_list_only_grew_passes(tree: Path) -> None:
    commit(tree)
    release(tree, f"{FLAGGING}/0099_later.sql")
    commit(tree)

    ran = run(tree, "contracts.compatibility")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def spoil_by_dropping(tree: Path) -> None:
    drop(tree, "topics/visit-log.json", with_bytes=True)


def spoil_by_rewriting(tree: Path) -> None:
    rewrite(tree, "migrations/flagging/0001_absence.sql", b"fillfactor = 45", b"fillfactor = 70")
    edit(tree, f"{FLAGGING}/0001_absence.sql", "fillfactor = 45", "fillfactor = 70")


def spoil_by_beginning_anew(tree: Path) -> None:
    edit(tree, f"{FLAGGING}/0001_absence.sql", "fillfactor = 45", "fillfactor = 70")
    shutil.rmtree(tree / "contracts/released")
    (tree / LIST).parent.mkdir()
    (tree / LIST).touch()
    released.extend(tree / "contracts")


@pytest.mark.parametrize("spoil", [spoil_by_dropping, spoil_by_rewriting, spoil_by_beginning_anew])
@pytest.mark.parametrize("landed", [False, True])
def test_what_no_single_state_shows_the_history_does(tree: Path, spoil: Callable[[Path], None], landed: bool) -> None:
    commit(tree)
    spoil(tree)
    assert released.list_problems(tree / "contracts") == released.migration_problems(tree / "contracts") == []
    if landed:
        commit(tree)
        (tree / "README").touch()
        commit(tree)

    code, said = gate(tree)

    assert code == 1
    assert "in the list of commit" in said
    assert "restore it, released is released" in said


def test_a_list_taken_away_and_put_back_is_as_good_as_before(tree: Path) -> None:
    commit(tree)
    text = (tree / LIST).read_text()
    (tree / LIST).unlink()
    commit(tree)
    (tree / LIST).write_text(text)
    commit(tree)
    assert problems(tree) == []


def test_two_branches_that_released_the_same_number_keep_all_entries_when_one_is_renumbered(tree: Path) -> None:
    commit(tree)
    git(tree, "checkout", "-q", "-b", "theirs")
    theirs = release(tree, f"{FLAGGING}/0098_theirs.sql")
    commit(tree)
    git(tree, "checkout", "-q", "-")
    ours = release(tree, "services/ingest/migrations/0098_ours.sql")
    commit(tree)
    assert ours == theirs

    git(tree, "merge", "-q", "--strategy-option=ours", "theirs")
    assert {line.split(":")[0] for line in problems(tree)} == {f"released/{theirs}/migrations/flagging/0098_theirs.sql"}
    (tree / "contracts/released" / theirs / "migrations/flagging/0098_theirs.sql").unlink()
    (entry,) = released.extend(tree / "contracts")
    commit(tree)

    assert int(entry.release) == int(theirs) + 1
    assert problems(tree) == []


def test_a_shallow_clone_is_judged_without_history(tree: Path, tmp_path: Path) -> None:
    commit(tree)
    release(tree, f"{FLAGGING}/0099_later.sql")
    commit(tree)
    clone = tmp_path / "clone"
    git(tree, "clone", "-q", "--depth", "1", f"file://{tree}", str(clone))

    assert gate(clone) == (0, "")
    edit(clone, f"{FLAGGING}/0099_later.sql", "1", "2")
    assert gate(clone)[0] == 1


def test_a_hook_of_another_tree_does_not_mislead(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tree)
    spoil_by_dropping(tree)
    monkeypatch.setenv("GIT_DIR", os.devnull)
    assert len(problems(tree)) == 1


def snapshot(tree: Path) -> dict[Path, bytes]:
    """Read every byte of the copy's list."""
    return {file: file.read_bytes() for file in (tree / "contracts/released").rglob("*") if file.is_file()}


def test_a_release_adds_what_is_new_and_touches_nothing_that_is_there(tree: Path) -> None:
    edit(tree, VISITS, PAIR, PAIR + LIFT)
    assert run(tree, "contracts.generate").returncode == 0
    before = snapshot(tree)
    code, said = gate(tree)
    assert (code, snapshot(tree)) == (0, before)
    assert said == "not released yet: contracts/schemas/visit.attempted.v1.json\n"

    assert gate(tree, "--release") == (0, said.replace("not released yet", "released"))

    number = released.read_list(tree / "contracts")[-1].release
    after = snapshot(tree)
    listed = after.pop(tree / LIST)
    assert listed.startswith(before.pop(tree / LIST))
    assert after.keys() - before.keys() == {tree / "contracts/released" / number / "schemas/visit.attempted.v1.json"}
    assert before.items() <= after.items()
    assert gate(tree, "--release") == (0, "")
    assert snapshot(tree) == {**after, tree / LIST: listed}


def test_every_released_form_counts_and_not_only_the_last(tree: Path) -> None:
    edit(tree, VISITS, PAIR, PAIR + LIFT)
    assert run(tree, "contracts.generate").returncode == 0
    assert gate(tree, "--release")[0] == 0
    edit(tree, VISITS, LIFT, "")
    assert run(tree, "contracts.generate").returncode == 0

    code, said = gate(tree)

    assert code == 1
    assert "schemas/visit.attempted.v1.json: breaking: lift: running readers still look for it" in said


def test_a_release_of_something_broken_is_refused_and_writes_nothing(tree: Path) -> None:
    edit(tree, f"{FLAGGING}/0001_absence.sql", "fillfactor = 45", "fillfactor = 46")
    before = snapshot(tree)

    code, said = gate(tree, "--release")

    assert (code, snapshot(tree)) == (1, before)
    assert "add a new migration" in said


def test_what_is_there_is_never_opened_for_writing(tree: Path) -> None:
    last = release(tree, f"{FLAGGING}/0099_later.sql")
    there = tree / "contracts/released" / f"{int(last) + 1:04}" / "migrations/flagging" / "0100_later.sql"
    there.parent.mkdir(parents=True)
    there.write_text("SELECT 1;\n")
    with pytest.raises(FileExistsError):
        release(tree, f"{FLAGGING}/0100_later.sql", "SELECT 2;\n")
    assert there.read_text() == "SELECT 1;\n"


def test_make_and_the_hook_call_the_gate_and_only_release_1_extends_the_list() -> None:
    def planned(*arguments: str) -> str:
        return subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "-m contracts.compatibility\n" in planned("check")
    assert "--release" not in planned("contracts") + planned("contracts", "RELEASE=0") + planned("check")
    assert "-m contracts.compatibility --release\n" in planned("contracts", "RELEASE=1")
    assert "-m contracts.compatibility\n" in (ROOT / ".pre-commit-config.yaml").read_text()
    assert "make check\n" in (ROOT / ".ci/run").read_text()

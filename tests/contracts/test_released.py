"""What was released stays: every way to change an event, a topic or a migration, each tried on a copy of the tree."""

import hashlib
import shutil
from pathlib import Path

import pytest

from contracts import compatibility
from contracts.generate import FOLDER
from tests.contracts.spoilt import (
    FLAGGING,
    TOPICS,
    VISITS,
    edit,
    gate,
    problems,
    run,
)


def test_what_is_committed_here_keeps_what_was_released() -> None:
    assert compatibility.broken_releases() == []


def test_the_list_holds_the_digest_of_each_file_beside_it_and_of_nothing_else() -> None:
    home = FOLDER / "released"
    told = dict(line.split("  ")[::-1] for line in (home / "list.sha256").read_text().splitlines())
    lying = {file.relative_to(home).as_posix(): file for file in home.rglob("*") if file.is_file()}
    del lying["list.sha256"]
    assert {place: hashlib.sha256(file.read_bytes()).hexdigest() for place, file in lying.items()} == told


def test_an_untouched_copy_without_history_passes_and_says_that_there_is_none(tree: Path) -> None:
    ran = run(tree, "contracts.compatibility")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "earlier commits of the list are not looked at" in ran.stderr


def test_a_new_member_of_a_closed_list_fails(tree: Path) -> None:
    unsafe = '    UNSAFE_LEFT = "unsafe_left"\n'
    edit(tree, VISITS, unsafe, unsafe + '    WRONG_ADDRESS = "wrong_address"\n')
    edit(tree, VISITS, "Outcome.UNSAFE_LEFT\n    ]", "Outcome.UNSAFE_LEFT, Outcome.WRONG_ADDRESS\n    ]")
    assert run(tree, "contracts.generate").returncode == 0

    code, said = gate(tree)

    assert code == 1
    assert said.splitlines() == [
        "schemas/visit.attempted.v1.json: breaking: outcome: running readers refuse the new value 'wrong_address'",
        "what was released stays: a change that breaks is a new event version, or a new topic, beside the old one",
    ]


def test_a_removed_field_fails(tree: Path) -> None:
    before, after = (tree / VISITS).read_text().split("class VisitAttempted(_Log):")
    after = after.replace("    place: Place | None = None\n", "", 1)
    (tree / VISITS).write_text(f"{before}class VisitAttempted(_Log):{after}")
    assert run(tree, "contracts.generate").returncode == 0

    code, said = gate(tree)

    assert code == 1
    assert "schemas/visit.attempted.v1.json: breaking: place: running readers still look for it" in said.splitlines()


def test_a_removed_event_fails(tree: Path) -> None:
    (tree / "contracts/schemas/roll.completed.v1.json").unlink()
    assert "breaking: schemas/roll.completed.v1.json: removed, and its events are still kept" in problems(tree)


def test_an_example_that_readers_of_the_release_refuse_fails(tree: Path) -> None:
    example = tree / "contracts/examples/roll.completed.v1/full-feed-closes-its-day.json"
    example.write_text(example.read_text().replace('"full"', '"weekly"'))
    assert f"breaking: examples/roll.completed.v1/{example.name}: readers of release 0001 refuse it" in problems(tree)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('name="absence-flags"', 'name="flags"', "breaking: topic absence-flags: removed"),
        (
            'name="absence-flags",\n        key="student_key"',
            'name="absence-flags",\n        key="district"',
            "unknown: topic absence-flags: x-key was 'student_key', is 'district'",
        ),
        ("PARTITIONS = 24", "PARTITIONS = 48", "breaking: topic visit-log: partitions was 24, is 48"),
        (
            "LANDING_RETENTION_MS = 30",
            "LANDING_RETENTION_MS = 3",
            "breaking: topic attendance-in-{district}: topicConfiguration was ",
        ),
        ("events.FlagChanged, ", "", "breaking: topic absence-flags: absence-flag.changed.v1 left it"),
        ("        personal_data=True,\n", "", "unknown: topic household-contacts: x-personal-data was True, is False"),
        ("        compacted=True,\n", "", "breaking: topic visitors: topicConfiguration was "),
    ],
)
def test_a_topic_that_changes_under_its_readers_fails(tree: Path, before: str, after: str, complaint: str) -> None:
    edit(tree, TOPICS, before, after)
    assert run(tree, "contracts.generate").returncode == 0

    code, said = gate(tree)

    assert code == 1
    assert any(line.startswith(complaint) for line in said.splitlines()), said


def test_a_migration_edited_by_one_byte_fails(tree: Path) -> None:
    edit(tree, f"{FLAGGING}/0001_absence.sql", "fillfactor = 45", "fillfactor = 46")

    code, said = gate(tree)

    assert code == 1
    assert said.startswith(f"{FLAGGING}/0001_absence.sql: edited after it was released: restore it from contracts/")


def test_line_ends_are_bytes_too(tree: Path) -> None:
    file = tree / FLAGGING / "0001_absence.sql"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert len(problems(tree)) == 1


def test_a_migration_put_back_to_an_earlier_form_fails(tree: Path) -> None:
    shutil.copy(tree / "contracts/released/earlier/flagging/0001_absence.1.sql", tree / FLAGGING / "0001_absence.sql")
    assert len(problems(tree)) == 1


def test_a_migration_that_is_gone_fails(tree: Path) -> None:
    (tree / FLAGGING / "0003_closed_days_in_one_shift.sql").unlink()
    (complaint,) = problems(tree)
    assert complaint.startswith(f"{FLAGGING}/0003_closed_days_in_one_shift.sql: gone, and databases have run it")


def test_a_renamed_migration_is_gone(tree: Path) -> None:
    file = tree / FLAGGING / "0003_closed_days_in_one_shift.sql"
    file.rename(file.with_name("0003_closed_days.sql"))
    assert len(problems(tree)) == 2  # gone under its name, and another that stands before it


def test_a_new_migration_passes_and_is_named_until_it_is_released(tree: Path) -> None:
    (tree / FLAGGING / "0099_later.sql").write_text("SELECT 1;\n")
    assert gate(tree) == (0, f"not released yet: {FLAGGING}/0099_later.sql\n")
    assert gate(tree, "--release") == (0, f"released: {FLAGGING}/0099_later.sql\n")
    assert gate(tree) == (0, "")

    (tree / FLAGGING / "0099_later.sql").write_text("SELECT 2;\n")
    assert gate(tree, "--release")[0] == 1


def test_a_new_migration_before_released_ones_fails(tree: Path) -> None:
    (tree / FLAGGING / "0002_another.sql").write_text("SELECT 1;\n")
    (complaint,) = problems(tree)
    assert complaint.startswith(f"{FLAGGING}/0002_another.sql: in no line of the list, and databases have run later")

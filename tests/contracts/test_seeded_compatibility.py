"""A checker that can't fail protects nothing: each one is given the fault it exists for."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from contracts import compatibility, generate
from contracts.compatibility import BaseUnreadable, Tree, broken_promises, committed, misshapen_events, orphans
from contracts.events import Event
from contracts.generate import FOLDER, concrete_events, stale_files
from contracts.topics import TOPICS

ROLL = "schemas/roll.completed.v1.json"
ROLL_EXAMPLE = "examples/roll.completed.v1/full-feed-closes-its-day.json"
EVENTS = concrete_events()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the committed contracts that may be spoilt."""
    for kind in ("schemas", "asyncapi", "examples"):
        shutil.copytree(FOLDER / kind, tmp_path / "contracts" / kind)
    shutil.copy(FOLDER / "access.md", tmp_path / "contracts")
    return tmp_path / "contracts"


def edited(tree: Tree, path: str, **changes: object) -> dict[str, str]:
    """Return the tree with top-level fields of one JSON file replaced."""
    return {**tree, path: json.dumps({**json.loads(tree[path]), **changes})}


def without(tree: Tree, prefix: str) -> dict[str, str]:
    """Return the tree without the files below a path."""
    return {path: text for path, text in tree.items() if not path.startswith(prefix)}


def refused(tree: Tree) -> list[str]:
    """Check the tree's examples against its schemas and today's classes."""
    examples = {path: text for path, text in tree.items() if path.startswith("examples/")}
    return compatibility.unreadable_examples(examples, schemas=tree, events=EVENTS, exact=True)


def test_an_edited_schema_is_stale(folder: Path) -> None:
    (folder / ROLL).write_text((folder / ROLL).read_text().replace("RollCompleted", "Roll"))
    assert [line.split(":")[0] for line in stale_files(folder)] == [ROLL]


def test_a_missing_document_is_stale(folder: Path) -> None:
    (folder / "asyncapi/flagging.json").unlink()
    assert stale_files(folder) == ["asyncapi/flagging.json: not committed"]


def test_an_edited_table_of_routes_is_stale(folder: Path) -> None:
    (folder / "access.md").write_text((folder / "access.md").read_text() + "\n")
    assert [line.split(":")[0] for line in stale_files(folder)] == ["access.md"]


def test_a_schema_of_nothing_is_stale(folder: Path) -> None:
    (folder / "schemas/bell.rung.v1.json").write_text("{}")
    assert stale_files(folder) == ["schemas/bell.rung.v1.json: belongs to no event or service"]


def test_writing_repairs_what_is_stale(folder: Path) -> None:
    (folder / "schemas/bell.rung.v1.json").write_text("{}")
    (folder / ROLL).write_text("{}")
    generate.write(folder)
    assert stale_files(folder) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"feed": "weekly"}, "can't be loaded"),
        ({"school_day": "2026-02-30"}, "can't be loaded"),
        ({"school": None}, "can't be loaded"),
        ({"occurred_at": "2026-09-14T16:00:00-04:00"}, "comes back as other JSON"),
        ({"occurred_at": 1789391111}, "$.occurred_at"),
        ({"occurred_at": "2026-09-14 20:00:00Z"}, "$.occurred_at"),
        ({"event_id": "0123456789abcdef0123456789abcdef"}, "$.event_id"),
        ({"teacher": "unknown"}, "comes back as other JSON"),
    ],
)
def test_a_spoilt_example_is_found(changes: dict[str, object], complaint: str) -> None:
    found = refused(edited(committed(), ROLL_EXAMPLE, **changes))
    assert found
    assert all(line.startswith(ROLL_EXAMPLE) for line in found)
    assert any(complaint in line for line in found), found


def test_a_spoilt_example_is_reported_without_its_values() -> None:
    found = refused(edited(committed(), ROLL_EXAMPLE, school_day="Robin Madeupton"))
    assert found
    assert "Madeupton" not in str([line for line in found if "can't be loaded" in line])


def test_an_example_that_is_no_json_is_found() -> None:
    assert refused({**committed(), ROLL_EXAMPLE: '{"event_type":'})


def test_an_example_without_a_situation_is_found() -> None:
    tree = committed()
    found = refused({**tree, "examples/roll.completed.v1/Example_1.json": tree[ROLL_EXAMPLE]})
    assert found == ["examples/roll.completed.v1/Example_1.json: is not named by its situation in kebab-case"]


def test_a_single_example_is_too_few() -> None:
    found = orphans(without(committed(), ROLL_EXAMPLE), events=EVENTS, topics=TOPICS)
    assert found == ["roll.completed.v1: 1 of 2 examples"]


def test_a_missing_schema_is_found() -> None:
    assert orphans(without(committed(), ROLL), events=EVENTS, topics=TOPICS) == ["roll.completed.v1: no schema"]


def test_schemas_and_examples_without_an_event_are_found() -> None:
    tree = {**committed(), "schemas/bell.rung.v1.json": "{}", "examples/bell.rung.v1/at-noon.json": "{}"}
    assert orphans(tree, events=EVENTS, topics=TOPICS) == [
        "schemas/bell.rung.v1.json: no event",
        "examples/bell.rung.v1: no event",
    ]


def test_an_event_on_no_topic_is_found() -> None:
    found = orphans(committed(), events=EVENTS, topics=[t for t in TOPICS if t.name != "receipt-progress"])
    assert found == ["receipt.progressed.v1: on no topic"]


def test_an_event_on_two_topics_is_found() -> None:
    second = replace(TOPICS[0], name="attendance-again", events=TOPICS[0].events[:1])
    assert orphans(committed(), events=EVENTS, topics=[*TOPICS, second]) == ["attendance.recorded.v1: on 2 topics"]


def test_a_topic_that_nobody_reads_writes_or_fills_is_found() -> None:
    lonely = replace(TOPICS[0], name="bells", events=(), producer="porter", consumers=())
    assert orphans(committed(), events=EVENTS, topics=[*TOPICS, lonely]) == [
        "bells: carries no event",
        "bells: nobody reads it",
        "bells: porter is no service",
    ]


def test_a_careless_event_class_is_found() -> None:
    class BellRung(Event):
        model_config: ClassVar = {"frozen": False, "extra": "forbid"}
        EVENT_TYPE: ClassVar[str] = "BellRung"
        event_type: Literal["BellRung"] = "BellRung"

    assert len(misshapen_events([BellRung])) == 4
    assert BellRung not in concrete_events(), "a class of the tests is no contract"


def test_nothing_is_broken_against_itself() -> None:
    assert broken_promises(committed(), committed(), events=EVENTS) == []


def test_a_new_version_beside_the_old_one_breaks_nothing() -> None:
    now = {**committed(), "schemas/roll.completed.v2.json": "{}"}
    assert broken_promises(committed(), now, events=EVENTS) == []


def test_a_changed_schema_breaks_a_promise() -> None:
    now = edited(committed(), ROLL, required=["event_id", "event_type", "occurred_at", "district"])
    found = broken_promises(committed(), now, events=EVENTS)
    assert f"{ROLL}: breaking: feed: may be missing now, and running readers require it" in found


def test_an_unjudged_change_breaks_a_promise() -> None:
    found = broken_promises(committed(), edited(committed(), ROLL, additionalProperties=False), events=EVENTS)
    assert found == [f"{ROLL}: unknown: the event: no rule judges a change of 'additionalProperties'"]


def test_a_removed_schema_breaks_a_promise() -> None:
    found = broken_promises(committed(), without(committed(), ROLL), events=EVENTS)
    assert f"breaking: {ROLL}: removed, and its events are still kept" in found


def test_a_removed_example_breaks_a_promise() -> None:
    found = broken_promises(committed(), without(committed(), ROLL_EXAMPLE), events=EVENTS)
    assert found == [f"breaking: {ROLL_EXAMPLE}: an example once merged stays"]


def test_an_old_event_that_todays_class_refuses_breaks_a_promise() -> None:
    base = edited(committed(), ROLL_EXAMPLE, feed="weekly")
    found = broken_promises(base, committed(), events=EVENTS)
    assert len(found) == 1
    assert "an event of the base revision" in found[0]


def test_a_new_event_that_a_running_reader_refuses_breaks_a_promise() -> None:
    path = "examples/roll.completed.v1/a-weekly-feed.json"
    now = {**committed(), path: committed()[ROLL_EXAMPLE].replace('"full"', '"weekly"')}
    assert broken_promises(committed(), now, events=EVENTS) == [
        f"breaking: {path}: readers of the base revision refuse it"
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"partitions": 24', '"partitions": 48'),
        ('"retention.ms": -1', '"retention.ms": 86400000'),
        ('"address": "absence-flags"', '"address": "flags"'),
        ('"x-key": "student_key"', '"x-key": "district"'),
    ],
)
def test_a_topic_that_changes_under_its_readers_breaks_a_promise(before: str, after: str) -> None:
    now = {p: text.replace(before, after) if p.startswith("asyncapi/") else text for p, text in committed().items()}
    assert now != committed()
    assert broken_promises(committed(), now, events=EVENTS)


def test_the_base_is_read_from_git(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", "base")
    (folder / ROLL).unlink()

    assert compatibility.at_revision("HEAD", folder) == committed()
    assert ROLL not in committed(folder)


def test_a_base_that_is_not_there_is_an_error_and_no_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BaseUnreadable):
        compatibility.at_revision("no-such-revision")
    assert compatibility.main(["--base", "no-such-revision"]) == 2
    assert "no-such-revision" in capsys.readouterr().err


def test_the_commands_fail_on_a_stale_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ROLL).unlink()
    monkeypatch.setattr(generate.stale_files, "__defaults__", (folder,))
    monkeypatch.setattr(compatibility.problems, "__defaults__", (folder,))

    assert generate.main(["--check"]) == 1
    assert compatibility.main([]) == 1
    assert ROLL in capsys.readouterr().out


def git(folder: Path, *arguments: str) -> None:
    """Run git in the parent of a copied contracts folder."""
    subprocess.run(["git", "-C", str(folder.parent), *arguments], check=True, capture_output=True)

"""Each change that can happen to a schema has one verdict, and the verdict is never kinder than the truth."""

import copy
from typing import Any

import pytest

from contracts.differences import Verdict, breaking, differences

ROLL: dict[str, Any] = {
    "title": "RollCompleted",
    "type": "object",
    "$defs": {"Feed": {"type": "string", "enum": ["exceptions", "full"]}},
    "properties": {
        "school": {"type": "string", "maxLength": 40},
        "feed": {"$ref": "#/$defs/Feed"},
        "students": {"type": "integer", "minimum": 0},
        "receipt": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}], "default": None},
        "days": {"type": "array", "items": {"type": "string", "format": "date"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}]},
    },
    "required": ["school", "feed", "students"],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the roll's schema with one place set, or removed where the value is `...`."""
    schema = copy.deepcopy(ROLL)
    *parents, last = path.split("/")
    node = schema
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return schema


def verdicts(new: dict[str, Any]) -> set[Verdict]:
    """Return the verdicts on a change of the roll's schema."""
    return {difference.verdict for difference in differences(old=ROLL, new=new)}


def test_an_unchanged_schema_has_no_difference() -> None:
    assert differences(old=ROLL, new=copy.deepcopy(ROLL)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title", "CompletedRoll"),
        ("properties/school/description", "the district's own code"),
        ("properties/teacher_present", {"type": "boolean", "default": True}),
        ("$defs/Feed/enum", ["full", "exceptions"]),
        ("required", ["feed", "school", "students"]),
    ],
)
def test_words_order_and_a_field_that_may_be_missing_are_benign(path: str, value: Any) -> None:
    assert verdicts(changed(path, value)) == {Verdict.BENIGN}


def test_a_definition_with_another_name_is_no_difference() -> None:
    renamed = changed("properties/feed", {"$ref": "#/$defs/FeedKind"})
    renamed["$defs"] = {"FeedKind": ROLL["$defs"]["Feed"]}

    assert differences(old=ROLL, new=renamed) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/students", ...),
        ("properties/receipt", ...),
        ("properties/students/type", "string"),
        ("properties/students/minimum", 1),
        ("properties/students/minimum", ...),
        ("properties/students/maximum", 1000),
        ("properties/school/maxLength", 80),
        ("properties/school/pattern", "^[A-Z]"),
        ("properties/school/enum", ["H01"]),
        ("$defs/Feed/enum", ["exceptions", "full", "weekly"]),
        ("$defs/Feed/enum", ["full"]),
        ("properties/receipt/default", ...),
        ("properties/receipt/anyOf", [{"type": "string", "format": "uuid"}]),
        ("properties/receipt/anyOf/0/format", "uri"),
        ("properties/days/items/format", "date-time"),
        ("properties/days/items", ...),
        ("properties/pair/prefixItems/1/type", "integer"),
        ("required", ["school", "feed"]),
        ("required", ["school", "feed", "students", "receipt"]),
    ],
)
def test_what_an_old_event_or_a_running_reader_would_not_survive_is_breaking(path: str, value: Any) -> None:
    assert Verdict.BREAKING in verdicts(changed(path, value))


def test_a_new_field_that_is_required_is_breaking() -> None:
    new = changed("properties/teacher", {"type": "string"})
    new["required"] = [*ROLL["required"], "teacher"]

    assert [str(difference) for difference in breaking(differences(old=ROLL, new=new))] == [
        "breaking: teacher: required now, and old events may lack it"
    ]


@pytest.mark.parametrize("keyword", ["additionalProperties", "dependentRequired", "oneOf", "patternProperties"])
def test_what_no_rule_judges_is_unknown_and_not_let_through(keyword: str) -> None:
    found = differences(old=ROLL, new=changed(keyword, {}))

    assert [difference.verdict for difference in found] == [Verdict.UNKNOWN]
    assert breaking(found) == found
